"""Shared set-up: MindSpore prepared as the commands do it, a small data set, a trained network."""

import contextlib
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests/cpp")]

from lite_package import lite_home  # noqa: E402

from src import device  # noqa: E402
from src.config import build_config  # noqa: E402

device.set_environment("CPU")  # before any test module imports MindSpore

from src.errors import run_command  # noqa: E402


def pytest_collection_finish() -> None:
    """Tests that build networks themselves find MindSpore as the commands prepare it; those without it stay without."""
    if "mindspore" in sys.modules:
        device.prepare(build_config({"platform": "CPU"}))


def pytest_addoption(parser):
    parser.addoption("--fuzz_count", type=int, default=300, help="damaged files that tests/cpp/test_fuzz.py makes")


@pytest.fixture(autouse=True)
def no_report_unless_it_is_tested(request, monkeypatch):
    """Runs in this process end without their page, which takes a second or two."""
    if "report" not in request.keywords:
        monkeypatch.setattr("src.evaluation.ending.write_report", lambda folder, answers: None)


CLASSES = ("blue", "green", "red")
TINY = ["--backbone", "resnext11_8x16d", "--num_classes", "3", "--image_size", "16,16", "--platform", "CPU"]


def run_arguments(data, tmp_path, **values) -> list:
    """The command line of a short run."""
    settings = {
        "data_dir": data, "ckpt_path": tmp_path / "run", "cache_dir": tmp_path / "cache", "per_batch_size": 4,
        "max_epoch": 1, "color_jitter": 0, "lr": 0.02, "report": 0, **values,
    }  # fmt: skip
    return [*TINY, *[text for key, value in settings.items() for text in (f"--{key}", str(value))]]


def write_image(path: Path, color: int, seed: int, size: tuple = (24, 20)) -> Path:
    """A noisy image whose channel `color` is bright; the ending decides the format. `size`: width, height."""
    pixels = np.random.default_rng(seed).integers(0, 100, (size[1], size[0], 3), np.uint8)
    pixels[:, :, color] += 120
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)
    return path


def write_data_set(root: Path, per_class: int) -> Path:
    """root/{train,val}/{blue,green,red}/*.{jpg,png}."""
    for part, count in (("train", per_class), ("val", per_class - 1)):
        for color, name in zip((2, 1, 0), CLASSES):
            for i in range(count):
                ending = "jpg" if i % 2 else "PNG"
                write_image(root / part / name / f"{name}{i}.{ending}", color, seed=100 * color + i + 10 * len(part))
    return root


@pytest.fixture
def data_set(tmp_path: Path) -> Path:
    """A data set of its own for a test that changes it: 3 classes, 6 training and 5 validation images each."""
    return write_data_set(tmp_path / "data", per_class=6)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> dict:
    """A tiny network trained by the command: paths of the data, the run and its newest checkpoint. Not to be changed."""
    import train

    root = tmp_path_factory.mktemp("trained")
    data = write_data_set(root / "data", per_class=12)
    arguments = [
        "--data_dir", str(data), "--ckpt_path", str(root / "run"), "--cache_dir", str(root / "cache"), *TINY,
        "--per_batch_size", "8", "--max_epoch", "8", "--lr", "0.02", "--log_interval", "2", "--color_jitter", "0",
        "--ckpt_interval", "3", "--keep_checkpoint_max", "2", "--eval_batch_size", "7",
    ]  # fmt: skip
    assert run_command(train.main, arguments) == 0
    return {"root": root, "data": data, "run": root / "run", "ckpt": root / "run" / "last.ckpt", "arguments": arguments}


@contextlib.contextmanager
def building(folder: Path):
    """Keeps a build folder for this process: test files that use it may run at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepared_epoch(index, config, epoch=0, workers=2, **arguments) -> list:
    """Batches (images, labels) of an epoch as network and loss get them: what `train_pipeline` gives, prepared."""
    import mindspore as ms

    from src.data.pipeline import read_batches, train_pipeline

    batches = list(read_batches(train_pipeline(index, config, epoch, workers, **arguments)))
    keys = (config.mean, config.std, config.random_erase_prob, config.mixup_alpha, config.cutmix_alpha)
    keys += (config.per_batch_size, config.image_size, config.num_classes, config.device_normalization)
    keys += (config.train_image_size,)
    if keys not in PREPARED:  # compiling takes longer than what it does here
        from src.training.batches import PreparedBatch

        PREPARED[keys] = PreparedBatch(config)
    return [[tensor.asnumpy() for tensor in PREPARED[keys](*map(ms.Tensor, batch))] for batch in batches]


PREPARED: dict = {}


def run_all(commands: list) -> None:
    for command in commands:
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]


@pytest.fixture(scope="session")
def infer_programs() -> Path:
    """The folder of the C++ programs and their tests, built where they are not current."""
    folder = ROOT / "ascend310_infer/build"
    setup = ["bash", ROOT / "scripts/setup_cpp.sh", "--tests"]
    build = ["bash", ROOT / "scripts/build_infer.sh", folder, "-DWERROR=ON"]
    configure = ["cmake", "-DWERROR=ON", folder]  # of an earlier build, which a user may have made
    build_tests = ["cmake", "--build", folder, "--target", "all", "tests", "--parallel", "2"]
    with building(folder):
        run_all([setup, build, configure, build_tests])
    return folder


@pytest.fixture(scope="session")
def sanitized_programs() -> Path:
    """The same with sanitizers and with stand-ins for AscendCL and MindSpore Lite, without OpenVINO."""
    folder, source = ROOT / "ascend310_infer/build/sanitized", ROOT / "ascend310_infer"
    options = ["-DSTANDINS=ON", "-DSANITIZE=ON", "-DWERROR=ON", "-DWITH_OPENVINO=OFF", "-DCMAKE_BUILD_TYPE=Debug"]
    for name in ("ACL_INCLUDE_DIR", "LITE_INCLUDE_DIR"):
        options.append(f"-D{name}={os.environ.get(name) or source / 'tests/standins'}")
    options += [f"-DPython3_EXECUTABLE={ROOT / '.venv/bin/python'}"] * (ROOT / ".venv/bin/python").exists()
    options.append(f"-DLITE_HOME={lite_home()}")  # for the programs lite_*, which tests/cpp/test_mindspore_lite.py builds
    targets = ["infer_images", "infer_bin", "infer_stream", "misuse", "tests"]
    configure = ["cmake", "-S", source, "-B", folder, *options]
    build = ["cmake", "--build", folder, "--target", *targets, "--parallel", "2"]
    with building(folder):
        run_all([["bash", ROOT / "scripts/setup_cpp.sh", "--tests"], configure, build])
    return folder


@pytest.fixture(scope="session")
def exported(trained, tmp_path_factory) -> Path:
    """The trained network as ONNX, with its .meta.json. Not to be changed."""
    import export

    model = tmp_path_factory.mktemp("exported") / "network.onnx"
    arguments = ["--ckpt_file", trained["ckpt"], "--file_format", "ONNX", "--file_name", model, *TINY]
    assert run_command(export.main, [str(argument) for argument in arguments]) == 0
    return model


@pytest.fixture(scope="module")
def network(trained):
    """The trained network, ready to be served (tests/serving)."""
    from servers import LIMITS

    from src.serving.monitor import Monitor
    from src.serving.network import Network

    config = build_config({"pretrained": str(trained["ckpt"]), "platform": "CPU"})
    network = Network(config, LIMITS, largest_batch=4, monitor=Monitor())
    yield network
    network.close()


@pytest.fixture(scope="module")
def port(network):
    """The port of a server of that network."""
    from servers import running

    with running(network) as port:
        yield port


@pytest.fixture
def command(capsys):
    """Runs a command in this process; returns exit code, stdout and stderr."""

    def run(main, *arguments) -> tuple:
        capsys.readouterr()
        code = run_command(main, [str(argument) for argument in arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def refused(command):
    """Runs a command that must fail with exactly one line on stderr, and returns that line."""

    def run(main, *arguments, code: int = 2) -> str:
        status, _, err = command(main, *arguments)
        errors = [line for line in err.splitlines() if line.startswith("error: ")]
        assert status == code, err
        assert len(errors) == 1 and "Traceback" not in err, err
        return errors[0]

    return run
