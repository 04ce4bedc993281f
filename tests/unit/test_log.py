"""What reaches a terminal."""

import logging

import pytest

from src.data.sources.folder import index_folder
from src.errors import UserError, printable, run_command
from src.log import log, start_log

NASTY = "a\x1b[2J\x9b31m\r\n\u202egnp.exe\x07"
SHOWN = "a\\x1b[2J\\x9b31m\\r\\n\\u202egnp.exe\\x07"


@pytest.fixture
def logged(tmp_path):
    """Starts the log as commands do; gives the file it goes to. Puts things back afterwards."""
    kept = log.handlers[:], log.level, log.propagate, logging.raiseExceptions
    start_log(tmp_path / "log.txt")
    yield tmp_path / "log.txt"
    log.handlers[:], log.level, log.propagate, logging.raiseExceptions = kept


def test_control_characters_are_shown_and_other_text_stays():
    assert printable(NASTY) == SHOWN
    for text in ("rosé 日本 \\x1b", "caf\udce9"):
        assert printable(text) == text


def test_log_lines_hold_no_control_characters(logged, capsys):
    log.info("reading %s", NASTY)
    log.warning("cannot be used: %s", NASTY)
    out, err = capsys.readouterr()
    assert out == f"reading {SHOWN}\n" and err == f"cannot be used: {SHOWN}\n"
    assert [line.split(" ", 3)[3] for line in logged.read_text().splitlines()] == [
        f"reading {SHOWN}", f"cannot be used: {SHOWN}"
    ]  # fmt: skip


def test_a_traceback_in_the_log_keeps_its_lines(logged, capsys):
    try:
        raise ValueError("inner")
    except ValueError:
        log.exception("failed")
    assert "Traceback (most recent call last):\n" in capsys.readouterr().err


def test_errors_hold_no_control_characters(tmp_path, capsys):
    def fail(_arguments) -> int:
        raise UserError(f"data_dir: no such folder '{NASTY}'")

    assert run_command(fail, []) == 2
    assert capsys.readouterr().err == f"error: data_dir: no such folder '{SHOWN}'\n"


def test_class_folders_with_control_characters(tmp_path, logged, capsys):
    (tmp_path / "data" / "empty\x1b[31m").mkdir(parents=True)
    (tmp_path / "data" / "c").mkdir()
    (tmp_path / "data" / "c" / "a.png").write_bytes(b"x")
    (tmp_path / "data" / "c" / "a.\x1b[2J").write_bytes(b"x")
    index_folder(tmp_path / "data")
    output = "".join(capsys.readouterr())
    assert "\x1b" not in output and "empty\\x1b[31m" in output and "1 .\\x1b[2j" in output
