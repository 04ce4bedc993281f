"""scripts/setup_env.sh with a MindSpore of the user's choice: one that is installed already, or another version."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_setup_env_real import Repository, make_wheel


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    """A lock file with MindSpore 3.0 among its packages; version 2.0 is to be had too."""
    repository = Repository(tmp_path_factory.mktemp("mindspore"))
    make_wheel(repository.wheels, "mindspore", "2.0", {"mindspore/__init__.py": b"ORIGIN = 'version 2'\n"})
    locked = make_wheel(repository.wheels, "mindspore", "3.0", {"mindspore/__init__.py": b"ORIGIN = 'lock file'\n"})
    (repository.root / "requirements.txt").write_text(locked + "    # via nothing\n" + repository.alpha)
    return repository


@pytest.fixture(scope="module")
def container(tmp_path_factory) -> Path:
    """An interpreter that has a MindSpore, as in a container with CANN, and another alpha, which must not be used."""
    folder = tmp_path_factory.mktemp("container")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = folder / f"lib/python3.{sys.version_info[1]}/site-packages"
    for name, content in (("mindspore", "ORIGIN = 'container'\n"), ("alpha", "raise SystemExit('not this one')\n")):
        (site / name).mkdir()
        (site / name / "__init__.py").write_text(content)
    (site / "mindspore-1.9.dist-info").mkdir()
    (site / "mindspore-1.9.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: mindspore\nVersion: 1.9\n")
    return folder / "bin/python"


def set_up(repo, monkeypatch, choice: str = "", python: str = "") -> subprocess.CompletedProcess:
    monkeypatch.setenv("MINDSPORE", choice)
    monkeypatch.setattr(sys, "executable", str(python or sys.executable))  # `Repository.run` takes it as PYTHON
    return repo.run()


def found(repo) -> str:
    code = "import alpha, alpha.part, mindspore, importlib.metadata as m; print(mindspore.ORIGIN, m.version('mindspore'))"
    result = subprocess.run([repo.root / ".venv/bin/python", "-c", code], capture_output=True, text=True, check=False)
    return result.stdout.strip() or result.stderr


def files_of_mindspore(container: Path) -> dict:
    """Its files but those that Python writes when it is imported."""
    files = [path for path in container.parents[1].rglob("*mindspore*/**/*") if path.is_file() and path.suffix != ".pyc"]
    assert files
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_an_installed_mindspore_is_used_where_it_is_until_another_one_is_asked_for(repo, container, monkeypatch):
    before = files_of_mindspore(container)
    outcome = set_up(repo, monkeypatch, "installed", container)
    assert (outcome.returncode, outcome.stderr) == (0, "") and found(repo) == "container 1.9"
    assert "mindspore" not in repo.installed() and "alpha" in repo.installed()
    for choice in ("installed", ""):  # later set-ups keep it, asked or not
        outcome = set_up(repo, monkeypatch, choice, container)
        assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    assert found(repo) == "container 1.9"

    assert set_up(repo, monkeypatch, "2.0").returncode == 0 and found(repo) == "version 2 2.0"
    assert set_up(repo, monkeypatch, "2.0").stdout == ""
    assert set_up(repo, monkeypatch, "locked").returncode == 0 and found(repo) == "lock file 3.0"
    assert set_up(repo, monkeypatch).stdout == ""
    assert before == files_of_mindspore(container)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [("installed", "has none"), ("newest", "got 'newest'"), ("9.9", "uv pip install mindspore==9.9")],
)
def test_what_is_not_there_is_one_line(repo, monkeypatch, choice, reason):
    (repo.home / "bare").mkdir(exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", repo.home / "bare"], check=True)
    bare = repo.home / "bare/bin/python"
    outcome = set_up(repo, monkeypatch, choice, bare if choice == "installed" else "")
    assert outcome.returncode == 1 and reason in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
