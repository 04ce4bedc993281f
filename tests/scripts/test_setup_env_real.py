"""scripts/setup_env.sh with the real venv, pip and uv, on wheels made here: no network."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")


def make_wheel(folder: Path, name: str, number: str, files: dict) -> str:
    """Writes a wheel with `files` (name: bytes); returns its line for a lock file."""
    info = f"{name}-{number}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{info}/RECORD,,"]
    path = folder / f"{name}-{number}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in files.items():
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{file},sha256={digest},{len(content)}")
            entry = zipfile.ZipInfo(file)
            entry.external_attr = 0o100755 << 16  # a regular file; uv may be run
            wheel.writestr(entry, content)
        wheel.writestr(f"{info}/RECORD", "\n".join(record))
    return f"{name}=={number} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


class Repository:
    """The scripts, two lock files and a folder of wheels, which takes the place of the registry."""

    def __init__(self, folder: Path):
        self.root, self.wheels = folder / "repo", folder / "wheels"
        self.wheels.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        number = version("uv")
        uv = make_wheel(self.wheels, "uv", number, {f"uv-{number}.data/scripts/uv": UV.read_bytes()})
        self.alpha = make_wheel(self.wheels, "alpha", "1", {"alpha/__init__.py": b"", "alpha/part.py": b"ANSWER = 42\n"})
        beta = make_wheel(self.wheels, "beta", "2", {"beta.py": b""})
        (self.root / "requirements.txt").write_text(self.alpha)
        (self.root / "requirements-dev.txt").write_text(self.alpha + beta + uv)
        self.site = self.root / ".venv" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
        self.home = folder
        (folder / "empty").touch()

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "UV_"))}
        ours = {"HOME": str(self.home), "PYTHON": sys.executable, "PIP_CONFIG_FILE": str(self.home / "empty")}
        registry = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        command = ["bash", str(self.root / "scripts" / "setup_env.sh"), *arguments]
        env = {**keep, **ours, **registry}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)

    def installed(self) -> set:
        return {path.name.split("-")[0] for path in self.site.glob("*.dist-info")} - {"setuptools"}


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """Set up once; each test but the last leaves it complete."""
    repository = Repository(tmp_path_factory.mktemp("real"))
    outcome = repository.run()
    assert (outcome.returncode, outcome.stderr) == (0, "")
    return repository


def test_packages_are_there_and_compiled(repo):
    assert repo.installed() == {"pip", "uv", "alpha"}
    assert list(repo.site.glob("alpha/__pycache__/part.*.pyc"))
    outcome = repo.run()
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


def test_what_no_lock_file_names_is_removed(repo):
    assert repo.run("requirements-dev.txt").returncode == 0
    assert repo.installed() == {"pip", "uv", "alpha", "beta"}
    assert repo.run().stdout == ""  # all is there
    shutil.rmtree(repo.site / "alpha-1.dist-info")
    assert repo.run().returncode == 0
    assert repo.installed() == {"pip", "uv", "alpha"}


def test_interruption_is_mended(repo):
    """uv counts a package as installed as soon as its description is there; INSTALLER is what it writes last."""
    (repo.site / "alpha-1.dist-info" / "INSTALLER").unlink()
    (repo.site / "alpha" / "part.py").unlink()
    assert repo.run().returncode == 0
    assert (repo.site / "alpha" / "part.py").read_text() == "ANSWER = 42\n"


def refuse(repo, tool: str, package: str, lock: str) -> None:
    """Runs the set-up with another hash of `package` in the lock file: one line, and the package is not installed."""
    good = (repo.root / lock).read_text()
    digest = good.index("sha256:", good.index(f"{package}==")) + 7
    (repo.root / lock).write_text(good[:digest] + 64 * "0" + good[digest + 64 :])
    outcome = repo.run(lock)
    (repo.root / lock).write_text(good)
    assert outcome.returncode == 1 and len(outcome.stderr.splitlines()) == 1
    assert f"setup_env: {tool}: got exit code " in outcome.stderr
    assert "hash" in (repo.root / ".venv" / "setup_env.log").read_text().lower()
    assert package not in repo.installed()


def test_package_with_another_hash_is_refused(repo):
    shutil.rmtree(repo.site / "alpha-1.dist-info")
    refuse(repo, "uv pip sync", "alpha", "requirements.txt")
    assert repo.run().returncode == 0 and "alpha" in repo.installed()


def test_uv_with_another_hash_is_refused(repo):
    """The last test: it takes uv from the environment."""
    (repo.root / ".venv" / "bin" / "uv").unlink()
    refuse(repo, "pip install uv", "uv", "requirements-dev.txt")
