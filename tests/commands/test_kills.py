"""Every writer killed with SIGKILL at random moments: nothing half-written is taken for whole, nothing is lost, and the
same command goes on to the end. The short form comes with every run of the tests, 50 kills per writer with `-m exhaustive`.
"""

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import ROOT, write_data_set
from src import checkpoint
from src.data.cache import load_arrays
from src.data.sources.folder import PLAN, index_folder
from src.data.sources.lists import index_flat
from src.data.sources.mindrecord import index_mindrecord
from src.errors import UserError
from src.model_info import meta_path
from src.report.run_files import read_run

MINDSPORE = "from src import config, device; device.prepare(config.build_config({'platform': 'CPU'}))\n"
RUN = "\nprint('ready', flush=True)\nsys.exit(run_command(main, sys.argv[1:]))"


def content(root: Path) -> dict:
    """Files below a folder that are no part of an unfinished write."""
    names = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    return {str(name): (root / name).read_bytes() for name in names if not any(p.startswith(".") for p in name.parts)}


class Writer:
    """A command, and what must hold after it was killed and after it has ended.

    Args:
        root: a folder for it.
        source: class folders, not to be changed.
    """

    code = ""  # gives `main`

    def __init__(self, root: Path, source: Path):
        self.root, self.source, self.out = root, source, root / "out"
        self.reset()

    def reset(self) -> None:
        """Makes the state before the command."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir()

    def arguments(self) -> list:
        """Those of the command."""
        return [self.source, self.out]

    def check(self, has_ended: bool) -> None:
        """Whether all is well."""
        raise NotImplementedError

    def is_done(self) -> bool:
        """Whether a kill came when all was done, so that the same command would be refused."""
        return not (self.out / PLAN).exists() and any(content(self.out))


class Transfer(Writer):
    """prepare to_flat and to_folders."""

    code = "from src.data.tools.prepare import main"

    def __init__(self, kind: str, mode: str, root: Path, source: Path):
        self.kind, self.mode = kind, mode
        self.images = {Path(name).name: image for name, image in content(source).items()}
        self.labels = {Path(name).name: name.split("/")[0] for name in content(source)}
        super().__init__(root, source)

    def reset(self) -> None:
        super().reset()
        if self.kind == "to_flat":
            shutil.copytree(self.source, self.root / "data")
            return
        (self.root / "data").mkdir()
        for name, image in self.images.items():
            (self.root / "data" / name).write_bytes(image)
        (self.root / "labels").write_text("".join(f"{name} {label}\n" for name, label in self.labels.items()))

    def arguments(self) -> list:
        labels = ["--label_file", self.root / "labels"] if self.kind == "to_folders" else []
        return [self.kind, "--data_dir", self.root / "data", "--output", self.out, "--mode", self.mode, *labels]

    def check(self, has_ended: bool) -> None:
        left, there = content(self.root / "data"), content(self.out)
        lists = [there.pop(name) for name in ("val_label.txt", "class_names.txt") if name in there]
        everything = [*left.items(), *there.items()]
        assert {Path(name).name for name, _ in everything} == set(self.images)  # none is lost
        assert all(self.images[Path(name).name] == image for name, image in everything)  # all are whole
        if self.kind == "to_flat" and there:
            assert len(lists) == 2 and len(lists[0].splitlines()) == len(self.images)
        if not has_ended and (self.out / PLAN).exists():
            with pytest.raises(UserError, match="filled in part"):
                index_folder(self.out)
        elif has_ended or there:
            index = index_flat(self.out, self.out / "val_label.txt") if self.kind == "to_flat" else index_folder(self.out)
            names = index.class_names or lists[1].decode().split()
            assert {Path(file).name: names[label] for file, label in zip(index.files, index.labels)} == self.labels
            assert len(left) == (0 if self.mode == "move" else len(self.images))


class MindRecord(Writer):
    """prepare to_mindrecord."""

    code = MINDSPORE + "import src.data.sources.mindrecord\nfrom src.data.tools.prepare import main"

    def arguments(self) -> list:
        return ["to_mindrecord", "--source", self.source, "--output", self.out]

    def check(self, has_ended: bool) -> None:
        if has_ended or self.out.exists():
            index, expected = index_mindrecord(self.out), index_folder(self.source)
            index.images.check()
            assert index.files == expected.files and (index.labels == expected.labels).all()


class Preprocess(Writer):
    code = MINDSPORE + "import src.offline.preprocess\nfrom preprocess import main"

    def arguments(self) -> list:
        return ["--data_dir", self.source, "--bin_dir", self.out, "--image_size", "16,16", "--platform", "CPU",
                "--cache_dir", self.root / "cache"]  # fmt: skip

    def check(self, has_ended: bool) -> None:
        if has_ended or self.out.exists():
            assert [len(image) for image in content(self.out).values()] == [3 * 16 * 16 * 4] * len(content(self.source))
            assert meta_path(self.out).exists()


class Export(Writer):
    """Exports over an earlier export; `source` is a checkpoint."""

    code = MINDSPORE + "import src.exporting.export\nfrom export import main"

    def arguments(self) -> list:
        self.out = self.root / "net.onnx"
        return ["--ckpt_file", self.source, "--file_format", "ONNX", "--file_name", self.out, "--platform", "CPU"]

    def check(self, has_ended: bool) -> None:
        if has_ended or self.out.exists():
            from onnxruntime import InferenceSession

            assert InferenceSession(self.out.read_bytes()).get_inputs()
            assert meta_path(self.out).exists()


class Checkpoint(Writer):
    """Saves two states of a network in turn, as training does."""

    code = MINDSPORE + (
        "import mindspore as ms; from pathlib import Path; from src import checkpoint\n"
        "from src.model_info import ModelInfo; from src.models.create import create_model\n"
        "def main(arguments):\n"
        "    network = create_model('resnext50_32x4d', 3)\n"
        "    for number in range(4):\n"
        "        for parameter in network.get_parameters():\n"
        "            parameter.set_data(ms.ops.full(parameter.shape, number % 2, dtype=parameter.dtype))\n"
        "        checkpoint.save(network, Path(arguments[1]) / 'last.ckpt', ModelInfo(backbone=str(number % 2)))\n"
        "    return 0"
    )

    def check(self, has_ended: bool) -> None:
        if has_ended or (self.out / "last.ckpt").exists():
            saved = checkpoint.load(self.out / "last.ckpt")
            assert {value.asnumpy().max() for value in saved.weights.values()} == {int(saved.info.backbone)}


class Cache(Writer):
    """Writes two states of a cache in turn."""

    code = (
        "import numpy as np; from pathlib import Path; from src.data.cache import save_arrays\n"
        "def main(arguments):\n"
        "    for number in range(20):\n"
        "        arrays = {'a': np.full(300_000, number % 2), 'b': np.full(9, number % 2)}\n"
        "        save_arrays(Path(arguments[1]) / 'a.npz', arrays)\n"
        "    return 0"
    )

    def check(self, has_ended: bool) -> None:
        if has_ended or (self.out / "a.npz").exists():
            arrays = load_arrays(self.out / "a.npz", ("a", "b"))
            assert len(set(arrays["a"].tolist()) | set(arrays["b"].tolist())) == 1


class Report(Writer):
    """Writes the answers and the page of two evaluations in turn, as eval.py does."""

    code = (
        "import matplotlib.figure, jinja2, numpy as np; from pathlib import Path\n"
        "from src.evaluation.ending import write_report; from src.report.answers import Answers\n"
        "def main(arguments):\n"
        "    for number in range(4):\n"
        "        same = np.full(99 * (1 + number % 2), number % 2, np.int32)\n"
        "        result = {'top1': 1.0, 'top1_correct': len(same), 'images': len(same)}\n"
        "        answers = Answers(same, same, 0 * same, np.ones(len(same), np.float32), 2, (), result)\n"
        "        write_report(Path(arguments[1]), lambda: answers)\n"
        "    return 0"
    )

    def check(self, has_ended: bool) -> None:
        run = read_run(self.out) if has_ended or (self.out / "answers.npz").exists() else None
        assert not run or len(run.answers) == 99 * (1 + run.answers.labels.max())
        if has_ended or (self.out / "report.html").exists():
            page = (self.out / "report.html").read_text(encoding="utf-8")
            assert page.startswith("<!DOCTYPE html>") and page.endswith("</html>")
            assert ("99 of 99" in page) != ("198 of 198" in page)


def start(writer: Writer) -> subprocess.Popen:
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom src.errors import run_command\n{writer.code}{RUN}"
    arguments = [str(argument) for argument in writer.arguments()]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=writer.root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    return process


def finish(writer: Writer) -> float:
    """Runs the command to its end; returns the seconds that it took."""
    process = start(writer)
    began = time.monotonic()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    writer.check(has_ended=True)
    assert not [path for path in writer.root.rglob(".*") if path.name != ".part"], "something was left behind"
    return time.monotonic() - began


def kill_again_and_again(writer: Writer, kills: int, duration: float = 0) -> None:
    """Kills the command at `kills` moments of its work, each time going on with what the last one left.

    Args:
        duration: seconds that the command takes; 0: to be measured.
    """
    chance, done = random.Random(), 0
    if not duration:
        duration = finish(writer)
        writer.reset()
    while done < kills:
        process = start(writer)
        time.sleep(chance.uniform(0, duration))
        if process.poll() is None:
            process.kill()
            done += 1
        process.communicate()
        writer.check(has_ended=process.returncode == 0)
        if writer.is_done() or (done % 5 == 0 and done < kills):
            writer.reset()
    finish(writer)


@pytest.fixture(scope="module")
def class_folders(tmp_path_factory) -> Path:
    return write_data_set(tmp_path_factory.mktemp("kills") / "data", per_class=40) / "train"


TRANSFERS = [(kind, mode) for kind in ("to_flat", "to_folders") for mode in ("copy", "link", "move")]
OTHERS = (MindRecord, Preprocess, Cache, Report)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "mode"), TRANSFERS)
def test_prepare_killed_twice(class_folders, tmp_path, kind, mode):
    kill_again_and_again(Transfer(kind, mode, tmp_path / "root", class_folders), 2, duration=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_a_writer_killed_once(class_folders, tmp_path, kind):
    kill_again_and_again(kind(tmp_path / "root", class_folders), 1, duration=0.4)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("kind", "mode"), TRANSFERS)
def test_prepare_killed_at_many_moments(class_folders, tmp_path, kind, mode):
    kill_again_and_again(Transfer(kind, mode, tmp_path / "root", class_folders), 50)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", (*OTHERS, Checkpoint))
def test_a_writer_killed_at_many_moments(class_folders, tmp_path, kind):
    kill_again_and_again(kind(tmp_path / "root", class_folders), 50)


@pytest.mark.exhaustive
def test_export_killed_at_many_moments(trained, tmp_path):
    kill_again_and_again(Export(tmp_path / "root", trained["ckpt"]), 50)
