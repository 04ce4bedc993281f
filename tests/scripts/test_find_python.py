"""Which interpreter scripts/setup_env.sh takes, on stub interpreters."""

import pytest
from stub_repository import Repository, assert_fails, assert_silent


@pytest.fixture
def repo(tmp_path):
    return Repository(tmp_path)


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
    repo.add_python("python3.11", missing="ensurepip")
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
