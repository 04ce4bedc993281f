"""The doctor on this very machine, on one without packages, and what it reads from tools, files and shapes."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT
from src.doctor import python_packages
from src.doctor.__main__ import main
from src.doctor.cann import version_in
from src.doctor.device_memory import shapes_of
from src.doctor.machine import Machine, numbers
from src.doctor.model_file import check_model
from src.doctor.npu import Devices, read_table
from src.doctor.python_packages import fits, requirements
from src.doctor.resources import memory_bytes
from src.doctor.versions import MINDSPORE_CANN, cann_of, chip_family, firmware_of, oldest_driver
from src.networks.registry import find_model, list_models

OF_310P = """
| npu-smi 23.0.0                                   Version: 23.0.0                                     |
| NPU     Name                  | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device                | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
| 2       310P3                 | OK              | NA           38                0     / 0             |
| 0       0                     | 0000:01:00.0    | 0            1585 / 44280                            |
| 2       310P3                 | OK              | NA           37                0     / 0             |
| 1       1                     | 0000:01:00.0    | 0            1201 / 43693                            |
| NPU     Chip                  | Process id      | Process name             | Process memory(MB)        |
| 2       0                     | 910310          | python                   | 310                       |
"""
OF_910A = """
| npu-smi 23.0.0                    Version: 23.0.0                                  |
| 0     910A      | Warning  | 65.0       42         0    / 0                 |
| 0               | 0000:7B:00.0 | 0    2534 / 15171   0     / 32768          |
"""


def doctor(*arguments: object, flags: tuple = ()) -> subprocess.CompletedProcess:
    command = [sys.executable, *flags, "-m", "src.doctor", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)


@pytest.mark.slow
def test_nothing_is_wrong_with_the_machine_that_runs_these_tests(data_set, tmp_path):
    run = ["--backbone", "resnext11_8x16d", "--num_classes", 3, "--image_size", "16,16", "--per_batch_size", 4]
    places = ["--data_dir", data_set, "--cache_dir", tmp_path / "cache", "--ckpt_path", tmp_path / "run"]
    done = doctor(*run, *places, "--platform", "CPU", "--master_port", 20188)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert lines[-1].startswith("problems: 0, ") and not re.search("not checked|Traceback", done.stdout + done.stderr)
    assert any(re.match(r"ok +mindspore: 2\.\d+\.\d+ can be imported", line) for line in lines)
    assert any(line.startswith("ok") and "train: 18 images of 3 classes" in line for line in lines)


def test_without_any_package_it_says_what_is_missing():
    done = doctor("--json", "--master_port", 20189, "--data_dir", "photos", flags=("-S",))  # -S: without site-packages
    assert done.returncode == 1 and not done.stderr
    found = {(row["check"], row["level"]): row["text"] for row in json.loads(done.stdout)["findings"]}
    assert (
        found[("packages", "problem")]
        == f"not installed: {', '.join(name for name in requirements() if name != 'mindspore')}"
    )
    assert found[("mindspore", "problem")] == "not installed for this Python"
    assert ("python", "ok") in found and ("ports", "ok") in found and ("configuration", "warning") in found


def test_a_mistaken_key_is_a_usage_error():
    done = doctor("--per_bach_size", 4)
    assert (
        done.returncode == 2
        and "per_bach_size: unknown key in the command line; did you mean per_batch_size?" in done.stderr
    )


def test_the_table_of_npu_smi_is_read_in_every_layout():
    assert read_table(OF_310P) == Devices(["310P3", "310P3"], ["OK", "OK"], 43693, 2)
    assert read_table(OF_910A) == Devices(["910A"], ["Warning"], 32768, 1)
    assert read_table("dcmi module initialize failed") == Devices([], [], 0, 0)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Version=8.2.RC1\nversion_dir=8.2.RC1\n", "8.2.RC1"),
        ("timestamp=1\npackage_version=25.5.1\n", "25.5.1"),
        ("# version: 1.0\nruntime_running_version=[7.7.0.1.238:8.3.RC1]\n", ""),
        ("Version = 7.8.0.5.201\n", "7.8.0.5.201"),
        ("", ""),
    ],
)
def test_versions_are_read_from_the_files_of_ascend(tmp_path, text, version):
    (tmp_path / "version.info").write_text(text)
    assert version_in(tmp_path / "version.info") == version


def test_versions_that_fit_each_other():
    assert cann_of("2.10.0")[-1] == "9.1" and cann_of("2.7.0") == ("8.2",) and "8.5" in cann_of("2.7.2")
    assert cann_of("2.1.0") == () and cann_of("2.70") == ()
    assert oldest_driver("9.1.0") == (25, 5) and oldest_driver("7.0") is None
    assert firmware_of("25.2.0") == (7, 7) and firmware_of("24.1.rc3") == (7, 3) and firmware_of("21.0.2") is None
    assert [chip_family(chip) for chip in ("310P3", "Ascend910B4", "910B", "910ProA", "310", "310B1")] == [
        "310P", "910B", "910", "910", "310", "310B",
    ]  # fmt: skip
    assert numbers("8.3.RC1") == (8, 3) and numbers("rc") == ()
    assert fits("2.10.0", ">=2.9,<2.11") and not fits("2.11.0", ">=2.9,<2.11") and not fits("1.26.3", ">=1.26.4,<2")


def test_the_versions_of_cann_are_those_that_the_installed_mindspore_accepts():
    import importlib.metadata
    from importlib.util import find_spec
    from pathlib import Path

    package = Path(find_spec("mindspore").submodule_search_locations[0])
    source = (package / "run_check/_check_version.py").read_text(encoding="utf-8").partition("class AscendEnvChecker")[2]
    accepted = re.search(r"self\.version = \[(.*?)\]", source)[1].replace('"', "").split(", ")
    own = ".".join(importlib.metadata.version("mindspore").split(".")[:2])
    assert own == "2.7" or list(MINDSPORE_CANN[own]) == accepted  # of 2.7 each release has its own


def test_memory_is_what_the_limit_of_the_container_leaves(tmp_path):
    for place, text in {
        "proc/meminfo": "MemAvailable:    8000 kB\n", "sys/fs/cgroup/memory.max": "4096000\n",
        "sys/fs/cgroup/memory.current": "96000\n",
    }.items():  # fmt: skip
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(text)
    assert memory_bytes(Machine(tmp_path)) == 4_000_000
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert memory_bytes(Machine(tmp_path)) == 8000 * 1024


def test_the_shapes_have_the_parameters_of_every_network():
    page = (ROOT / "docs/networks.md").read_text(encoding="utf-8")
    counted = dict(re.findall(r"^\| `(\w+)` \| \d+ x \d+ \| ([\d,]+) \|", page, re.MULTILINE))
    for name in list_models():
        spec = find_model(name)
        shapes = shapes_of(spec, 10 if spec.stem == "cifar" else 1000, spec.image_size, spec.image_size)
        assert f"{shapes.parameters:,}" == counted[name], name


def test_a_checkpoint_says_where_it_comes_from(tmp_path):
    import checkpoints
    from descriptions import DESCRIPTION, RUN

    description = {key: value for key, value in {**DESCRIPTION, **RUN}.items() if key != "sha256"}
    weights = {"fc.weight": np.zeros((3, 4), np.float32)}
    path = checkpoints.write(tmp_path / "last.ckpt", checkpoints.described(weights, json.dumps(description)))
    (finding,) = check_model(path, "2.10.0", ("blue", "green", "red"))
    assert finding.level == "ok" and "resnext11_8x16d, 3 classes, epoch 8, step 32" in finding.text
    path.write_bytes(path.read_bytes()[:-30])
    (finding,) = check_model(path, "2.10.0")
    assert finding.level == "problem" and str(path) in finding.text
    (finding,) = check_model(tmp_path / "x.pth", None)
    assert finding.level == "problem" and "no such file" in finding.text
    (tmp_path / "x.pth").write_bytes(b"")
    (finding,) = check_model(tmp_path / "x.pth", None)
    assert finding.level == "warning" and "python -m src.weights" in finding.cure


def test_what_breaks_a_check_stops_no_other(monkeypatch, capsys):
    def broken(machine):
        raise RuntimeError("boom")

    monkeypatch.setattr(python_packages, "check_python", broken)
    code = main(["--platform", "CPU", "--master_port", "20190"], Machine(interpreter=("/bin/false",)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "warning  python: not checked: RuntimeError: boom; please report this"
    assert code == 1 and len(lines) > 5 and any("mindspore: 2." in line and "cannot be imported" in line for line in lines)
