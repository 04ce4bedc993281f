"""Files and folders that are whole or not there, and locks that die with their process."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from conftest import ROOT
from src.errors import UserError
from src.files import owning, replacing, work_folder, write_text


def start(code: str, *arguments) -> subprocess.Popen:
    """A process that runs `code`, which prints a line when it is ready."""
    code = f"import sys, time\nfrom pathlib import Path\nfrom src.files import *\n{textwrap.dedent(code)}"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline()
    return process


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate(timeout=20)


HALF_WRITTEN = """
    with replacing(Path(sys.argv[1])) as temporary:
        temporary.write_text("half")
        print("ready", flush=True)
        time.sleep(60)
"""
OWNING = """
    with owning(Path(sys.argv[1]), "ckpt_path"):
        print("ready", flush=True)
        time.sleep(60)
"""


def test_what_a_killed_process_was_writing_goes_with_the_next_and_nothing_else_does(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    living, killed = start(HALF_WRITTEN, target), start(HALF_WRITTEN, target)
    kill(killed)
    assert target.read_text() == "old"
    (tmp_path / ".resnet-zoo-mine").write_text("a file of somebody")
    (tmp_path / ".resnet-zoo-link").symlink_to(tmp_path)
    (tmp_path / ".resnet-zoo-new").mkdir()  # killed before it was locked
    write_text(tmp_path / "b.txt", "new")
    left = {path.name for path in tmp_path.iterdir()} - {".resnet-zoo-link", ".resnet-zoo-mine", "a.txt", "b.txt"}
    assert [(tmp_path / name / "a.txt").read_text() for name in left] == ["half"]
    assert (tmp_path / ".resnet-zoo-link").is_symlink() and (tmp_path / ".resnet-zoo-mine").is_file()
    kill(living)


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_the_umask_decides_who_may_read(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "x")
        with replacing(tmp_path / "folder") as folder:
            folder.mkdir()
            (folder / "b").write_text("x")
            (folder / "b").chmod(0o400)  # as MindSpore leaves its files
    finally:
        os.umask(before)
    for path in ("a.txt", "folder/b"):
        assert (tmp_path / path).stat().st_mode & 0o777 == mode


def test_what_is_being_written_is_closed_to_others_and_has_a_new_name_each_time(tmp_path):
    with work_folder(tmp_path) as one, work_folder(tmp_path) as other:
        assert one != other and one.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_a_folder_takes_the_place_of_an_empty_one_only(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("old")
    with pytest.raises(UserError, match="full: cannot be written: .*not empty"), replacing(tmp_path / "full") as folder:
        folder.mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["full"] and (tmp_path / "full" / "a").read_text() == "old"


def test_the_second_owner_is_refused_until_the_first_has_died(tmp_path):
    folder = tmp_path / "run"
    owner = start(OWNING, folder)
    with pytest.raises(UserError) as error, owning(folder, "ckpt_path"):
        pass
    line = str(error.value)
    assert line.startswith(f"ckpt_path: '{folder}' is in use by process {owner.pid} on {os.uname().nodename} since 20")
    assert "\n" not in line and "choose another folder" in line
    owner.send_signal(signal.SIGSTOP)  # a process that stands still lives
    with pytest.raises(UserError), owning(folder, "ckpt_path"):
        pass
    kill(owner)
    with owning(folder, "ckpt_path"):
        assert str(os.getpid()) in (folder / ".lock").read_text()
    assert list(folder.iterdir()) == []


def test_a_lock_is_not_followed_out_of_its_folder(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "private").write_text("mine")
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "private")
    with pytest.raises(UserError, match="output: cannot write"), owning(tmp_path / "run", "output"):
        pass
    assert (tmp_path / "private").read_text() == "mine"


def test_a_folder_on_a_file_system_without_locks_can_be_used_all_the_same(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("src.files.fcntl.flock", flock)
    (tmp_path / ".resnet-zoo-other").mkdir()  # may be in use: nobody can tell
    with owning(tmp_path, "ckpt_path"):
        write_text(tmp_path / "a.txt", "x")
    assert {path.name for path in tmp_path.iterdir()} == {".resnet-zoo-other", "a.txt"}


def test_names_that_are_no_text_keep_their_bytes(tmp_path):
    name = os.fsdecode(b"\xc3\x28.png")
    write_text(tmp_path / "names.txt", name)
    assert (tmp_path / "names.txt").read_bytes() == b"\xc3\x28.png"


def test_a_full_disk_is_one_line_and_leaves_the_old_content(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); sys.path.insert(0, '.')\n"
    code += "from src.files import write_text; from pathlib import Path; from src.errors import run_command\n"
    code += "sys.exit(run_command(lambda a: write_text(Path(a[0]), 'x' * 5000) or 0, sys.argv[1:]))"
    result = subprocess.run([sys.executable, "-c", code, str(target)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stderr.startswith(f"error: {target}: cannot be written: File too large")
    assert len(result.stderr.splitlines()) == 1
    assert target.read_text() == "old" and [Path(target.name)] == [p.relative_to(tmp_path) for p in tmp_path.iterdir()]
