import random
import resource
import signal
import subprocess
import sys
import time

import mindspore as ms
import numpy as np
import pytest

from conftest import ROOT
from src import checkpoint
from src.errors import UserError
from src.model_info import ModelInfo
from src.models.create import create_model

INFO = ModelInfo(class_names=("a",) * 1000)


@pytest.fixture(scope="module")
def network():
    return create_model("resnet20", 10)


@pytest.fixture
def saved(network, tmp_path):
    checkpoint.save(network, tmp_path / "a.ckpt", INFO)
    return tmp_path / "a.ckpt"


def test_weights_and_metadata_come_back(network, saved):
    loaded = checkpoint.load(saved)
    assert loaded.info == INFO
    other = create_model("resnet20", 10)
    checkpoint.load_into(other, loaded)
    for a, b in zip(network.get_parameters(), other.get_parameters()):
        assert a.name == b.name and (a.asnumpy() == b.asnumpy()).all()
    assert [path.name for path in saved.parent.iterdir()] == ["a.ckpt"]  # no temporary files


@pytest.mark.parametrize(
    ("name", "classes", "parts"),
    [
        ("resnet20", 7, ["2 of another shape", "fc.weight (10, 64) instead of (7, 64)", "num_classes"]),
        ("resnet32", 10, ["missing", "layer1.3.conv1.weight"]),
        ("resnext11_8x16d", 10, ["unknown", "of another shape"]),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(saved, name, classes, parts):
    with pytest.raises(UserError) as error:
        checkpoint.load_into(create_model(name, classes), checkpoint.load(saved))
    assert all(part in str(error.value) for part in [str(saved), "does not fit", *parts])


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.bool_, np.uint8])
def test_integers_are_no_weights(network, tmp_path, kind):
    values = {**checkpoint.weights_of(network), "fc.bias": np.ones(10, kind)}
    ms.save_checkpoint([{"name": name, "data": ms.Tensor(each)} for name, each in values.items()], str(tmp_path / "a.ckpt"))
    with pytest.raises(UserError, match="1 no floating-point numbers .fc.bias"):
        checkpoint.load_into(create_model("resnet20", 10), checkpoint.load(tmp_path / "a.ckpt"))


@pytest.mark.parametrize("damage", ["half", "last bytes", "empty", "text", "missing"])
def test_truncated_and_foreign_files_are_refused(saved, damage):
    content = saved.read_bytes()
    damaged = {"half": content[: len(content) // 2], "last bytes": content[:-10], "empty": b"", "text": b"hello " * 50}
    if damage == "missing":
        saved.unlink()
    else:
        saved.write_bytes(damaged[damage])
    with pytest.raises(UserError, match=str(saved)):
        checkpoint.load(saved)


def test_any_flipped_bit_is_refused(saved):
    content = saved.read_bytes()
    generator = random.Random(0)
    positions = [generator.randrange(len(content)) for _ in range(20)]
    positions += [generator.randrange(len(content) - 3000, len(content)) for _ in range(20)]  # the metadata's end
    for position in positions:
        flipped = bytearray(content)
        flipped[position] ^= 1 << generator.randrange(8)
        saved.write_bytes(bytes(flipped))
        with pytest.raises(UserError, match="a.ckpt"):
            checkpoint.load_into(create_model("resnet20", 10), checkpoint.load(saved))


def test_a_file_of_another_program_is_read_without_checksum(network, tmp_path):
    ms.save_checkpoint(network, str(tmp_path / "plain.ckpt"))
    loaded = checkpoint.load(tmp_path / "plain.ckpt")
    assert loaded.info == ModelInfo() and loaded.run is None
    checkpoint.load_into(create_model("resnet20", 10), loaded)


def test_weights_that_are_not_finite_are_not_written(network, saved):
    broken = create_model("resnet20", 10)
    broken.fc.bias.set_data(ms.Tensor(np.full(10, np.nan, np.float32)))
    with pytest.raises(UserError, match="fc.bias holds NaN or Inf"):
        checkpoint.save(broken, saved, INFO)
    assert checkpoint.load(saved).info == INFO


def test_a_full_disk_keeps_the_old_checkpoint_and_leaves_nothing_behind(network, saved):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limit[1]))  # no file may grow beyond this
    try:
        with pytest.raises(UserError, match="a.ckpt: cannot be written.*free space"):
            checkpoint.save(network, saved, ModelInfo(class_names=("b",)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert checkpoint.load(saved).info == INFO
    assert [path.name for path in saved.parent.iterdir()] == ["a.ckpt"]


def test_a_folder_that_cannot_be_made_is_one_line(network, saved):
    with pytest.raises(UserError, match="cannot be written"):
        checkpoint.save(network, saved / "b.ckpt", INFO)  # a file where a folder should be


@pytest.mark.slow
def test_a_kill_while_saving_leaves_the_last_good_checkpoint(tmp_path):
    code = (
        "import sys; from pathlib import Path; from src import device; from src.config import build_config\n"
        "device.prepare(build_config({'platform': 'CPU'}))\n"
        "from src import checkpoint; from src.model_info import ModelInfo; from src.models.create import create_model\n"
        "network = create_model('resnext11_8x16d', 10)\n"
        "for step in range(10**6):\n"
        "    checkpoint.save(network, Path(sys.argv[1]), ModelInfo(backbone=str(step))); print(step, flush=True)"
    )
    path = tmp_path / "a.ckpt"
    for attempt in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            time.sleep(random.Random(attempt).uniform(0, 0.2))
            process.kill()
            reported = [0] + [int(line) for line in process.stdout]
        assert int(checkpoint.load(path).info.backbone) >= reported[-1]
