"""The secret of the launchers: where it comes from, what is refused, where it must not go."""

import os
import subprocess
import sys

import pytest
from test_rank_table import saved, table_of

from src.errors import UserError
from src.launch import command
from src.launch.secret import VARIABLE, read_secret, shared_secret

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    path = tmp_path / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


def test_from_a_file_or_the_environment(file, monkeypatch):
    assert read_secret(file) == SECRET.encode()
    assert read_secret(None) == b""
    monkeypatch.setenv(VARIABLE, f" {SECRET[::-1]}\n")
    assert read_secret(None) == SECRET[::-1].encode() and VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, SECRET[::-1])
    assert read_secret(file) == SECRET.encode()
    seen = [sys.executable, "-c", f"import os; print({VARIABLE!r} in os.environ)"]
    assert subprocess.run(seen, capture_output=True, text=True, check=True).stdout == "False\n"  # taken out all the same


def test_a_file_that_others_can_read_is_warned_about(file, caplog):
    assert read_secret(file) and not caplog.records
    file.chmod(0o644)
    assert read_secret(file) and "can be read by others (mode 0644)" in caplog.text and SECRET not in caplog.text


def test_what_is_no_secret_is_refused(file, tmp_path, monkeypatch):
    def refusal(path):
        with pytest.raises(UserError) as error:
            read_secret(path)
        return str(error.value)

    file.write_text("short-secret\n")
    assert refusal(file).startswith(f"secret_file: '{file}' holds 12 bytes; expected at least 16")
    assert "short-secret" not in refusal(file)
    file.write_text("")
    assert "holds 0 bytes" in refusal(file)
    file.write_bytes(b"x" * 5000)
    assert "has more than 4096 bytes" in refusal(file)
    assert "No such file" in refusal(tmp_path / "none") and "Is a directory" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refusal(tmp_path / "pipe")
    monkeypatch.setenv(VARIABLE, "short-secret")
    assert refusal(None).startswith(f"{VARIABLE} holds 12 bytes") and "short-secret" not in refusal(file)


def test_without_a_secret_servers_are_one_machine_or_it_is_said_that_nobody_else_is_there(file, caplog):
    assert shared_secret(file, 2, "192.0.2.1", False) == SECRET.encode()
    for nodes, master in ((1, "192.0.2.1"), (2, "127.0.0.1"), (2, "127.9.9.9"), (2, "::1")):
        assert shared_secret(None, nodes, master, False) == b"" and not caplog.records
    for master in ("192.0.2.1", "0.0.0.0", "::", "2001:db8::1", "fe80::1%eth0"):
        with pytest.raises(UserError, match=r"secret_file: no value; .* --insecure_network 1 does without"):
            shared_secret(None, 2, master, False)
    assert shared_secret(None, 2, "192.0.2.1", True) == b""
    assert "whoever reaches 192.0.2.1 can take a server's place" in caplog.text


def test_the_launcher_takes_it_and_gives_it_to_nobody(file, tmp_path, monkeypatch, refused):
    two = ["--platform", "CPU", "--device_num", "1", "--nnodes", "2", "--node_rank", "1", "--master_addr", "192.0.2.1"]
    table = saved(tmp_path / "t.json", table_of("192.0.2.1", "192.0.2.2"))
    by_table = ["--platform", "CPU", "--rank_table", str(table), "--server_id", "192.0.2.2"]
    for arguments in (two, by_table):
        assert "secret_file: no value" in refused(command.main, "train.py", *arguments)
        options, keys = command._parser().parse_known_args(["train.py", *arguments, "--secret_file", str(file)])
        job = command.create_job(options, keys)
        assert job.secret == SECRET.encode()
        assert SECRET not in repr(job) and not [word for word in job.program if "secret" in word]
    monkeypatch.setenv(VARIABLE, SECRET)
    options, keys = command._parser().parse_known_args(["train.py", "--platform", "CPU", "--device_num", "1"])
    command.create_job(options, keys)  # one server needs none, and its ranks must not have it either
    assert VARIABLE not in os.environ
