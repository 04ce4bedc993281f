"""scripts/setup_env.sh on stubs of Python, pip and uv; test_setup_env_real.py uses the real ones."""

import os
import subprocess

import pytest
from stub_repository import Repository, assert_fails, assert_silent


@pytest.fixture
def repo(tmp_path):
    return Repository(tmp_path)


# --- what the caller's settings do ---


def test_callers_settings_are_ignored(repo):
    repo.add_python("python3.10", version="3.10.13")
    active = repo.root.parent / "active"
    (active / "bin").mkdir(parents=True)
    repo.add_python("python3.11", folder=active / "bin")
    settings = {"VIRTUAL_ENV": str(active), "PATH": f"{active}/bin:{repo.bin}", "PYTHONPATH": "/x", "PIP_TARGET": "/y"}
    settings["UV_PYTHON"] = "/z"
    result = repo.run(**settings)
    assert result.returncode == 0 and "Python 3.10" in result.stdout
    assert repo.calls_of("pip")[0].startswith("-m pip install")
    assert repo.calls_of("uv")[0].startswith("pip sync")


def test_pips_settings_serve_uv(repo):
    repo.add_python("python3.11")
    settings = [
        ":env:.index-url='http://mirror/simple'",
        "global.extra-index-url='http://a/simple\\nhttp://b/simple'",
        "global.find-links='/wheels'",
        "global.index-url='http://elsewhere/simple'",
        "global.timeout='60'",
        "install.trusted-host='mirror'",
    ]
    assert repo.run(PIP_SETTINGS="\n".join(settings)).returncode == 0
    call = repo.calls_of("uv")[0]
    assert " --default-index http://mirror/simple " in call and "elsewhere" not in call and "--no-index" not in call
    assert " --index http://a/simple --index http://b/simple " in call
    assert " --find-links /wheels " in call and " --allow-insecure-host mirror " in call
    (repo.venv / "has").unlink()
    assert repo.run(PIP_SETTINGS=":env:.no-index='1'").returncode == 0
    assert " --no-index " in repo.calls_of("uv")[1] and "--default-index" not in repo.calls_of("uv")[1]


# --- failures of the installation ---


def test_too_little_disk(repo):
    repo.add_python("python3.11")
    repo.add_tool("df", repo.free_disk(4095))
    assert_fails(repo.run(), "disk space: got 4095 MB", str(repo.root), "at least 4096 MB")
    assert repo.calls_of("pip") == repo.calls_of("uv") == []


UNKNOWN = "WARNING: Retrying after connection broken by NewConnectionError: Name or service not known"


@pytest.mark.parametrize("tool", ["pip", "uv"])
@pytest.mark.parametrize(
    "lines, parts",
    [
        ([UNKNOWN, UNKNOWN, "ERROR: No matching distribution found for uv==9"], ["Name or service", "found for uv==9"]),
        (["error: Request failed", "  cause: Failed to fetch: x", "  cause: dns error"], ["Request failed", "dns error"]),
        (["error: Failed to install: a.whl", "  cause: No space left on device (os error 28)"], ["No space left"]),
        (["Resolved", "error: Failed to download", "  cause: Hash mismatch for `a`", "    Expected:"], ["mismatch"]),
        (["something else"], ["see the log"]),
    ],
)
def test_installation_fails(repo, tool, lines, parts):
    output = "\n".join(lines)
    repo.add_python("python3.11", **{tool: f"cat <<'TEXT'\n{output}\nTEXT\n    exit 3"})
    assert_fails(repo.run(), f"{tool} ", "exit code 3", "network", "proxy", *parts, str(repo.venv / "setup_env.log"))
    assert (repo.venv / "setup_env.log").read_text() == output + "\n"
    repo.add_python("python3.11")
    if tool == "uv":  # uv is there: the same environment is completed
        (repo.venv / "bin" / "uv").write_text((repo.venv / "bin" / "uv").read_text().replace("exit 3", "true"))
        (repo.venv / "kept").touch()
    assert repo.run().returncode == 0
    assert (repo.venv / "kept").exists() == (tool == "uv")
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
    assert len(repo.calls_of("pip")) == len(repo.calls_of("uv")) == 1


def test_uv_comes_by_its_hashes(repo):
    repo.add_python("python3.11")
    repo.run()
    assert (repo.venv / "uv.txt").read_text() == "uv==0.1 \\\n    --hash=sha256:uv==0.1 \\\n    --hash=sha256:uv==0.12\n"
    assert "--require-hashes" in repo.calls_of("pip")[0] and "--require-hashes" in repo.calls_of("uv")[0]


def test_dev_installation_satisfies_the_plain_one(repo):
    repo.add_python("python3.11")
    for name in ("requirements.txt", "requirements-dev.txt"):
        assert "installing" in repo.run(name).stdout
    for name in ("requirements.txt", "requirements-dev.txt", "requirements.txt"):
        assert_silent(repo.run(name))
    assert (len(repo.calls_of("pip")), len(repo.calls_of("uv"))) == (1, 2)


def test_changed_lock_file_is_installed(repo):
    repo.add_python("python3.11")
    repo.run("requirements-dev.txt")
    repo.lock("requirements.txt", "numpy==1.26.3")
    repo.lock("requirements-dev.txt", "numpy==1.26.3", "pytest==9.2.0", "uv==0.1")
    assert "installing requirements-dev.txt" in repo.run("requirements-dev.txt").stdout
    assert_silent(repo.run("requirements.txt"))


def test_other_pins_replace_the_earlier_ones(repo):
    repo.add_python("python3.11")
    repo.lock("other.txt", "numpy==1.26.3")
    for name in ("requirements.txt", "other.txt", "requirements.txt"):
        assert f"installing {name}" in repo.run(name).stdout


def test_interrupted_installation_is_completed(repo):
    # The stub kills the script and itself halfway, as a closed terminal does; uv may believe that it has all.
    halfway = '[[ -e "$0.again" ]] || { touch "$0.again"; cp "${@: -1}" "$has"; kill -9 $PPID $$; }'
    repo.add_python("python3.11", uv=halfway)
    assert repo.run().returncode == -9
    half = repo.venv / "lib" / "python3.11" / "site-packages" / "half-1.0.dist-info"
    half.mkdir(parents=True)
    (half / "RECORD").touch()
    whole = half.with_name("whole-1.0.dist-info")
    whole.mkdir()
    (whole / "INSTALLER").touch()
    assert "installing" in repo.run().stdout
    assert not half.exists() and whole.exists()
    assert_silent(repo.run())
    assert len(repo.calls_of("pip")) == 1


@pytest.mark.parametrize("lost", ["bin/uv", "bin/python"])
def test_broken_environment_is_remade(repo, lost):
    repo.add_python("python3.11")
    repo.run()
    (repo.venv / lost).unlink()
    (repo.venv / "left over").touch()
    if lost == "bin/python":
        (repo.venv / lost).symlink_to("/no/such/python")
    assert "installing" in repo.run().stdout
    assert not (repo.venv / "left over").exists()


def test_second_setup_waits_for_the_first(repo):
    repo.add_python("python3.11", uv="sleep 0.5")
    script = [str(repo.bin / "bash"), str(repo.root / "scripts" / "setup_env.sh")]
    env = {**repo.environment(), "HOME": os.devnull}
    both = [subprocess.Popen(script, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    output = "".join(process.communicate(timeout=30)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert output.count("installing") == 1 and output.count("waiting") == 1
    assert len(repo.calls_of("uv")) == 1
