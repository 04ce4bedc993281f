"""scripts/run_infer_310.sh, and the scripts that build what it runs."""

import os
import shutil
import subprocess

import pytest

from conftest import ROOT

ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}


def run(folder, script, *arguments, env=ENVIRONMENT):
    command = ["bash", str(ROOT / "scripts" / script), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=env)


@pytest.mark.slow
def test_accuracy_is_written_to_the_current_folder(infer_programs, exported, trained, tmp_path):
    folder = tmp_path / "my run"
    folder.mkdir()
    shutil.copytree(trained["data"] / "val", folder / "my data")
    result = run(folder, "run_infer_310.sh", exported, "my data", 0, "--batch", 3)
    assert result.returncode == 0, result.stderr
    line = "Total data: 33, top1 accuracy: 1.00000, top5 accuracy: 1.00000.\n"
    assert (folder / "acc.log").read_text() == line and line in result.stdout and "(batch of 3)" in result.stdout
    assert len(list((folder / "result_Files").glob("*_0.bin"))) == 33
    assert (folder / "time_Result/test_perform_static.txt").is_file()

    (folder / "my data/red/broken.jpg").write_bytes(b"\xff\xd8\xff")
    result = run(folder, "run_infer_310.sh", exported, "my data")
    assert result.returncode == 3 and result.stderr.count("\n") == 1
    assert (folder / "acc.log").read_text() == line and "red/broken.jpg" in (folder / "failed.txt").read_text()


def test_wrong_arguments_show_the_usage(tmp_path):
    for arguments in ([], ["model.onnx"], ["model.onnx", "data", "zero"], ["--model_path", "x", "--dataset_path", "y"]):
        result = run(tmp_path, "run_infer_310.sh", *arguments)
        assert result.returncode == 2 and "usage: bash scripts/run_infer_310.sh" in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.slow
def test_errors_of_the_program_are_passed_on(infer_programs, exported, tmp_path):
    result = run(tmp_path, "run_infer_310.sh", exported, "nowhere", "--build_dir", infer_programs)
    assert result.returncode == 2 and result.stderr == "error: --dataset_path: no such file or folder 'nowhere'\n"


def test_a_build_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    result = run(tmp_path, "run_infer_310.sh", "model.onnx", "data", "--build_dir", "file/build")
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert f"got '{tmp_path}/file/build', which cannot be written" in result.stderr and "--build_dir FOLDER" in result.stderr


def test_a_build_folder_without_a_name_is_refused(tmp_path):
    for arguments in (["--build_dir", ""], ["--build_dir="], ["--build_dir"]):
        result = run(tmp_path, "run_infer_310.sh", "model.onnx", "data", *arguments)
        assert result.returncode == 2 and "--build_dir: got no value" in result.stderr


def test_the_callers_cdpath_does_not_lead_elsewhere(tmp_path):
    (tmp_path / "scripts/lib").mkdir(parents=True)
    command = ["bash", "-c", 'cd "$1" && source scripts/lib/commands.sh && echo "$repository"', "bash", str(ROOT)]
    environment = {**ENVIRONMENT, "CDPATH": f".:{tmp_path}"}
    assert subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout == f"{ROOT}\n"


@pytest.fixture
def machine(tmp_path):
    """A PATH with bash's helpers alone, and a compiler that finds every header; returns its folder and an environment."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "dirname", "grep", "rm", "mktemp", "env", "cat", "chmod", "head"):
        os.symlink(shutil.which(name), folder / name)

    def add(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    add("c++", "cat >/dev/null")
    add("make", ":")
    return add, {"PATH": str(folder), "HOME": str(tmp_path)}


def test_nothing_is_installed_where_nothing_is_missing(machine, tmp_path):
    add, environment = machine
    add("cmake", ":")
    add("apt-get", "echo called; exit 1")
    result = run(tmp_path, "setup_cpp.sh", env=environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_missing_tools_are_installed_by_root(machine, tmp_path):
    add, environment = machine
    add("id", "echo 0")
    cmake = tmp_path / "bin/cmake"
    add("apt-get", f'echo "$@" >>{tmp_path}/calls; printf "#!/bin/sh\\n" >{cmake}; chmod +x {cmake}')
    result = run(tmp_path, "setup_cpp.sh", env=environment)
    assert result.returncode == 0 and result.stdout == "setup_cpp: installing cmake\n", result.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].endswith("update") and calls[1].endswith("install --no-install-recommends cmake")


def test_the_command_is_printed_where_installing_is_not_allowed(machine, tmp_path):
    add, environment = machine
    add("c++", "cat >/dev/null; exit 1")
    for name in ("id", "sudo"):
        add(name, "echo 1000; exit 1")
    result = run(tmp_path, "setup_cpp.sh", env=environment)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    packages = "cmake gcc-c++ libjpeg-turbo-devel libpng-devel libtiff-devel libwebp-devel json-devel"
    assert f"Run: sudo dnf install -y {packages}" in result.stderr
    add("apt-get", "exit 1")
    add("id", "echo 1000")
    result = run(tmp_path, "setup_cpp.sh", env=environment)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    packages = "cmake g++ libjpeg-dev libpng-dev libtiff-dev libwebp-dev nlohmann-json3-dev"
    assert f"Run: sudo apt-get install -y --no-install-recommends {packages}\n" in result.stderr


def test_a_failing_apt_gives_its_reason(machine, tmp_path):
    add, environment = machine
    add("id", "echo 0")
    add("apt-get", 'echo "E: Unable to locate package cmake"; exit 100')
    result = run(tmp_path, "setup_cpp.sh", env=environment)
    assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert "got 'E: Unable to locate package cmake'" in result.stderr
