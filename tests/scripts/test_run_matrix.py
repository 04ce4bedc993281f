"""scripts/run_matrix.sh with a set-up and a pytest that only say what they were asked."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SETUP = """#!/usr/bin/env bash
mkdir -p .venv/bin
echo "set up $MINDSPORE from $1 in $PWD"
{
  echo '#!/bin/sh'
  echo 'echo "$@"; cat content'
  echo "echo '== 7 passed, ${MINDSPORE:2:1} skipped in 1.5s =='; [ $MINDSPORE != 2.8.0 ]"
} >.venv/bin/python
chmod +x .venv/bin/python
"""


@pytest.fixture
def repository(tmp_path) -> Path:
    """A checkout with a changed file, a new one and one that is ignored."""
    root = tmp_path / "my repo"
    (root / "scripts").mkdir(parents=True)
    (root / "tests").mkdir()
    for name in ("run_matrix.sh", "test_parts.sh"):
        shutil.copy(ROOT / "scripts" / name, root / "scripts")
    for number in range(27):  # more than one part
        (root / f"tests/test_{number}.py").touch()
    (root / "scripts/setup_env.sh").write_text(SETUP)
    (root / ".gitignore").write_text("outputs/\nignored\n")
    (root / "content").write_text("as committed\n")
    (root / "gone").touch()
    git = ["git", "-C", root, "-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], check=True)
    (root / "content").write_text("as it is now\n")
    (root / "gone").unlink()
    (root / "new").touch()
    (root / "ignored").touch()
    return root


def run(repository: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = ["bash", repository / "scripts/run_matrix.sh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def test_every_release_gets_a_copy_and_an_environment_of_its_own(repository):
    outcome = run(repository, "2.7.2", "2.8.0", "2.9.0", "--", "-k", "some tests")
    assert outcome.returncode == 1  # of the second one
    skipped = {"2.7.2": 14, "2.8.0": 16, "2.9.0": 18}
    assert [line.split(" (")[0].rpartition(", ")[0] for line in outcome.stdout.splitlines()] == [
        f"MindSpore {version}: 14 passed, {count} skipped" for version, count in skipped.items()
    ]
    copy, log = repository / "outputs/matrix/2.7.2", (repository / "outputs/matrix/2.7.2.log").read_text()
    assert f"set up 2.7.2 from requirements-dev.txt in {copy}" in log
    assert "-k some tests tests/test_0.py tests/test_1.py" in log and "as it is now" in log
    assert {path.name for path in copy.iterdir()} == {".gitignore", ".venv", "content", "new", "scripts", "tests"}

    (repository / "new").unlink()
    (copy / ".venv/kept").touch()
    assert run(repository, "2.7.2").returncode == 0
    assert (copy / ".venv/kept").exists() and not (copy / "new").exists()


def test_without_a_word_it_is_all_releases(repository):
    outcome = run(repository)
    assert [line.split(":")[0].split()[1] for line in outcome.stdout.splitlines()] == ["2.7.2", "2.8.0", "2.9.0", "2.10.0"]
