"""Rank tables that somebody wrote to harm: huge, deep, with names that a terminal obeys."""

import os

import pytest
from test_rank_table import device, saved, table_of

from src.errors import UserError
from src.launch import rank_table

HOSTILE = {
    "huge rank": (lambda t: device(t).update(rank_id="9" * 5000), 'rank_id: is "9'),
    "huge device": (lambda t: device(t).update(device_id="9" * 5000), 'device_id: is "9'),
    "huge port": (lambda t: device(t).update(device_port="9" * 5000), 'device_port: is "9'),
    "digits of another alphabet": (lambda t: device(t).update(rank_id="\u0661"), "rank_id: is"),
    "lone surrogate": (lambda t: t["server_list"][0].update(server_id="\ud800"), r'is "\ud800"'),
    "escape sequence": (lambda t: t["server_list"][0].update(server_id="\x1b[2Jx"), r"is "),
    "same escape sequences": (lambda t: [s.update(server_id="\x1b[2J") for s in t["server_list"]], r"server_list[0]: "),
    "scope of an address": (lambda t: device(t).update(device_ip="fe80::1%\x1b[2J"), "device_ip: is "),
    "long name": (lambda t: t["server_list"][0].update(server_id="x" * 10**5), "has 100000 characters"),
    "long version": (lambda t: t.update(version="\x1b" * 10**5), "version: is"),
    "long status": (lambda t: t.update(status=["completed"] * 10**5), "status: is a list"),
    "version is a list": (lambda t: t.update(version=["1.0"]), "version: is a list"),
    "nested values": (lambda t: device(t).update(rank_id=[[[1]]]), "rank_id: is a list"),
    "a rank many times": (
        lambda t: t["server_list"][0].update(device=[dict(device(t)) for _ in range(3000)]), "device_id: used 3000 times"),
}  # fmt: skip


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_values_are_one_short_line(tmp_path, refused, command, how):
    content = table_of("10.0.0.1", "10.0.0.2")
    change, reason = HOSTILE[how]
    change(content)
    path = saved(tmp_path / "t.json", content)
    line = refused(rank_table.main, "show", path)
    assert reason in line and len(line) < 1000 and line.isprintable()
    code, out, _ = command(rank_table.main, "check", path)
    assert code == 1 and "violations: " in out and all(len(text) < 1000 and text.isprintable() for text in out.splitlines())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[" * 60_000, "has more than 16 levels"),
        ('{"a":' * 60_000, "has more than 16 levels"),
        ('{"status": "completed", "a": ' + "[" * 500 + "]" * 500 + "}", "has more than 16 levels"),
        ('{"server_count": ' + "9" * 5000 + "}", "has a number of several thousand digits"),
        (" " * (17 << 20), "has more than 16777216 bytes"),
    ],
)
def test_files_that_would_exhaust_the_reader_are_refused(tmp_path, refused, content, reason):
    path = tmp_path / "t.json"
    path.write_text(content, encoding="utf-8")
    line = refused(rank_table.main, "show", path)
    assert reason in line and len(line) < 1000


def test_a_pipe_is_not_waited_for(tmp_path, refused):
    os.mkfifo(tmp_path / "t.json")
    assert "is not a regular file" in refused(rank_table.main, "check", tmp_path / "t.json")


@pytest.mark.parametrize("text", ["9" * 5000, "0-" + "9" * 12, "\u00b2", "0-", "-1", "", "5-3"])
def test_lists_of_devices_are_bounded(text):
    with pytest.raises(UserError, match="devices: "):
        rank_table.parse_devices(text)
