"""scripts/setup_env.sh without a network and without a real installation.

The script is copied to a repository of its own and sees only stub interpreters: shell scripts that answer the
version probe, `-m venv` and `-m pip` as a test wants, and write down each pip call.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "setup_env.sh"
# The commands that the script, and the stubs below, may use.
TOOLS = [
    "awk", "bash", "cat", "cp", "cut", "dirname", "du", "flock", "grep", "mkdir", "readlink", "rm", "sha256sum",
    "sleep", "tail", "touch",
]  # fmt: skip

# An interpreter. Inside .venv it becomes the environment's Python, so every answer comes from its own text:
# VERSION, BITS, KIND, MISSING (modules) and PIP (a shell command) are filled in by `Repository.add_python`.
STUB = r"""#!/bin/bash
case "$*" in
  *platform.python_version*) echo "VERSION BITS KIND MISSING" ;;
  *version_info*) version=VERSION; echo "${version%.*}" ;;
  *importlib.metadata*) [[ -e "$(dirname "$0")/pip" ]] ;;
  "-m venv "*)
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && touch "$3/bin/pip" ;;
  "-m pip install "*)
    echo "${PIP_TARGET-}${PYTHONPATH-}$*" >>"$PIP_CALLS"
    PIP ;;
  *) exit 9 ;;
esac
"""


class Repository:
    """A repository folder with a blank in its name, a controlled PATH and a home without Pythons."""

    def __init__(self, folder: Path):
        self.root = folder / "my repo"
        self.bin = folder / "bin"
        self.calls = folder / "pip calls"
        self.venv = self.root / ".venv"
        (self.root / "scripts").mkdir(parents=True)
        self.bin.mkdir()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.add_tool("df", self.free_disk(99_999))
        # The real usual places may hold a real Python: search an empty folder instead.
        places = f"local places=('{folder}')\n"
        text, count = re.subn(r"local places=\(.*?\)\n", places, SCRIPT.read_text(), flags=re.DOTALL)
        assert count == 1
        (self.root / "scripts" / "setup_env.sh").write_text(text)
        (self.root / "requirements.txt").write_text("numpy==1.26.4\n")
        (self.root / "requirements-dev.txt").write_text("-r requirements.txt  # run-time\npytest==9.2.0\n")

    @staticmethod
    def free_disk(megabytes: int) -> str:
        return f"echo 'Filesystem 1M-blocks Used Available Use% Mounted'; echo '/dev/x 9 9 {megabytes} 9% /'"

    def add_tool(self, name: str, command: str) -> Path:
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{command}\n")
        path.chmod(0o755)
        return path

    def add_python(self, name, version="3.11.7", bits=64, kind="CPython", missing="", pip="true", folder=None):
        path = (folder or self.bin) / name
        text = STUB
        for key, value in {"VERSION": version, "BITS": bits, "KIND": kind, "MISSING": missing}.items():
            text = re.sub(rf"\b{key}\b", str(value), text)
        path.write_text(text.replace("    PIP ;;", f"    {pip} ;;"))
        path.chmod(0o755)
        return path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        env = {"PATH": str(self.bin), "HOME": str(self.root.parent), "PIP_CALLS": str(self.calls), **environment}
        command = [str(self.bin / "bash"), str(self.root / "scripts" / "setup_env.sh"), *arguments]
        return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=30, check=False)

    def pip_calls(self) -> list:
        return self.calls.read_text().splitlines() if self.calls.exists() else []


@pytest.fixture
def repo(tmp_path):
    return Repository(tmp_path)


def assert_fails(result, *parts: str) -> None:
    """One line on stderr in the house style, with all parts, and a non-zero exit code."""
    lines = result.stderr.splitlines()
    assert result.returncode != 0 and len(lines) == 1, result.stderr
    assert re.fullmatch(r"setup_env: .+: got .+; expected .+\. .+", lines[0]), lines[0]
    for part in parts:
        assert part in lines[0]


def assert_silent(result) -> None:
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# --- the search for a Python ---


def test_no_python_at_all(repo):
    assert_fails(repo.run(), "Python: got none;", "3.9 - 3.12", "set PYTHON")


def test_no_matching_python_lists_what_was_found(repo):
    repo.add_python("python3", version="3.13.0")
    repo.add_python("python", version="2.7.18")
    repo.add_python("python3.10", version="3.10.1", bits=32)
    repo.add_python("python3.9", version="3.9.1", kind="PyPy")
    repo.add_tool("python3.12", "echo 'pyenv: python3.12: command not found' >&2; exit 127")
    found = ["python3 (3.13.0)", "python (2.7.18)", "python3.10 (3.10.1, 32-bit)", "python3.9 (3.9.1, PyPy)"]
    assert_fails(repo.run(), *found, "python3.12 (does not run)")
    assert not repo.venv.exists()


def test_python_without_venv_is_passed_over(repo):
    repo.add_python("python3.11", missing="+ensurepip")
    assert_fails(repo.run(), "python3.11 (3.11.7, lacks ensurepip)", "Install the package python3.11-venv")
    repo.add_python("python3.10", version="3.10.13")
    assert "for Python 3.10 " in repo.run().stdout


@pytest.mark.parametrize(
    "version, bits, problem",
    [("3.13.0", 64, "3.13.0"), ("3.8.18", 64, "3.8.18"), ("3.11.7", 32, "3.11.7, 32-bit")],
)
def test_unusable_python_variable(repo, version, bits, problem):
    repo.add_python("python3.11")
    path = repo.add_python("other", version=version, bits=bits)
    assert_fails(repo.run(PYTHON=str(path)), f"PYTHON: got '{path}' ({problem})", "unset it")


def test_missing_python_variable(repo):
    repo.add_python("python3.11")
    assert_fails(repo.run(PYTHON="no-such-python"), "PYTHON: got 'no-such-python' (does not run)")


def test_python_variable_is_taken_and_remakes_another_version(repo):
    repo.add_python("python3.11")
    assert "Python 3.11" in repo.run().stdout
    other = repo.add_python("other", version="3.12.1")
    assert "Python 3.12" in repo.run(PYTHON=str(other)).stdout
    assert_silent(repo.run(PYTHON=str(other)))
    assert_silent(repo.run())


def test_callers_settings_are_ignored(repo):
    repo.add_python("python3.10", version="3.10.13")
    active = repo.root.parent / "active"
    (active / "bin").mkdir(parents=True)
    repo.add_python("python3.11", folder=active / "bin")
    settings = {"VIRTUAL_ENV": str(active), "PATH": f"{active}/bin:{repo.bin}", "PYTHONPATH": "/x", "PIP_TARGET": "/y"}
    result = repo.run(**settings)
    assert result.returncode == 0 and "Python 3.10" in result.stdout
    assert repo.pip_calls()[0].startswith("-m pip install")


# --- failures of the installation ---


def test_too_little_disk(repo):
    repo.add_python("python3.11")
    repo.add_tool("df", repo.free_disk(6143))
    assert_fails(repo.run(), "disk space: got 6143 MB", str(repo.root), "at least 6144 MB")
    assert repo.pip_calls() == []


@pytest.mark.parametrize(
    "output, parts",
    [
        ("WARNING: Retrying after connection broken by NewConnectionError: Name or service not known", ["network: "]),
        ("ERROR: HTTPSConnectionPool(host=x, port=443): Read timed out.", ["network: ", "proxy"]),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", ["disk space: "]),
        ("ERROR: No matching distribution found for numpy==9", ["exit code 3 (ERROR: No matching", "numpy==9"]),
    ],
)
def test_pip_fails(repo, output, parts):
    repo.add_python("python3.11", pip=f"echo '{output}'; echo 'ERROR: more noise' | grep -v ERROR; exit 3")
    assert_fails(repo.run(), *parts, str(repo.venv / "setup_env.log"))
    assert output in (repo.venv / "setup_env.log").read_text()
    repo.add_python("python3.11", folder=repo.venv / "bin").rename(repo.venv / "bin" / "python")
    assert repo.run().returncode == 0  # the cause is gone: the same environment is completed
    assert_silent(repo.run())


def test_missing_requirements_file(repo):
    repo.add_python("python3.11")
    assert_fails(repo.run("nothing.txt"), "requirements file: got 'nothing.txt'")


def test_folder_in_the_way(repo):
    repo.add_python("python3.11")
    (repo.root / ".venv.lock").mkdir()
    assert_fails(repo.run(), "lock: got", "Remove it")


# --- what is done again and what is not ---


def test_current_environment_returns_at_once(repo):
    repo.add_python("python3.11")
    first = repo.run()
    assert (first.returncode, first.stderr, len(first.stdout.splitlines())) == (0, "", 1)
    assert "3 GB" in first.stdout and "minutes" in first.stdout
    for tool in ("python3.11", "df", "flock"):  # neither a search nor a look at the disk nor a lock is needed
        (repo.bin / tool).unlink()
    assert_silent(repo.run())
    assert len(repo.pip_calls()) == 1


def test_dev_installation_satisfies_the_plain_one(repo):
    repo.add_python("python3.11")
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert "installing" in repo.run(name).stdout
    for name in ("requirements.txt", "requirements-dev.txt", "requirements.txt"):
        assert_silent(repo.run(name))
    assert len(repo.pip_calls()) == 2


def test_changed_file_is_installed_also_through_r(repo):
    repo.add_python("python3.11")
    repo.run("requirements-dev.txt")
    (repo.root / "requirements.txt").write_text("numpy==1.26.3\n")
    assert "installing requirements-dev.txt" in repo.run("requirements-dev.txt").stdout
    assert_silent(repo.run("requirements.txt"))


def test_other_pins_void_the_stamp_of_the_earlier_ones(repo):
    repo.add_python("python3.11")
    (repo.root / "other.txt").write_text("numpy==1.26.3\n")
    for name in ("requirements.txt", "other.txt", "requirements.txt"):
        assert f"installing {name}" in repo.run(name).stdout


def test_interrupted_installation_is_completed(repo):
    # The stub kills the script and itself halfway, as a closed terminal does.
    repo.add_python("python3.11", pip='[[ -e "$0.again" ]] || { touch "$0.again"; kill -9 $PPID $$; }')
    assert repo.run().returncode == -9
    half = repo.venv / "lib" / "python3.11" / "site-packages" / "half-1.0.dist-info"
    half.mkdir(parents=True)
    whole = half.with_name("whole-1.0.dist-info")
    whole.mkdir()
    (whole / "RECORD").touch()
    assert "installing" in repo.run().stdout
    assert not half.exists() and whole.exists()
    assert_silent(repo.run())


@pytest.mark.parametrize("lost", ["bin/pip", "bin/python"])
def test_broken_environment_is_remade(repo, lost):
    repo.add_python("python3.11")
    repo.run()
    for stamp in repo.venv.glob(".installed-*" if lost == "bin/pip" else "nothing"):
        stamp.unlink()  # an environment without pip was never completed
    (repo.venv / lost).unlink()
    (repo.venv / "left over").touch()
    if lost == "bin/python":
        (repo.venv / lost).symlink_to("/no/such/python")
    assert "installing" in repo.run().stdout
    assert not (repo.venv / "left over").exists()


def test_second_setup_waits_for_the_first(repo):
    repo.add_python("python3.11", pip="sleep 0.5")
    script = [str(repo.bin / "bash"), str(repo.root / "scripts" / "setup_env.sh")]
    env = {"PATH": str(repo.bin), "HOME": os.devnull, "PIP_CALLS": str(repo.calls)}
    both = [subprocess.Popen(script, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    output = "".join(process.communicate(timeout=30)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert output.count("installing") == 1 and output.count("waiting") == 1
    assert len(repo.pip_calls()) == 1
