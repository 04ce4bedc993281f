"""One fault at a time on a sound server: the doctor names it, and nothing else. Then thirty of them at once."""

import json

import pytest
from machines import KERNELS, TABLE, TOOLKIT, Server, sound
from planted import FAULTS, MORE, Fault

from src.doctor import ports
from src.doctor.__main__ import main


def free_ports(count: int) -> int:
    """The first of some neighboring ports that nobody uses."""
    for first in range(20300, 32000, count):
        if all(ports._is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError("no free ports")


@pytest.fixture
def server(tmp_path, monkeypatch) -> Server:
    first = free_ports(20)
    monkeypatch.setattr(ports, "HCCL_PORTS", range(first + 4, first + 20))
    return sound(tmp_path, first)


@pytest.fixture
def examined(capsys):
    """The findings on a server that are not ok, as (check, level, text), and the exit code."""

    def run(server: Server) -> tuple:
        words = [word for key, value in server.arguments.items() for word in (f"--{key}", str(value))]
        code = main(["--json", *words], server.machine)
        found = json.loads(capsys.readouterr().out)
        rows = [(row["check"], row["level"], row["text"]) for row in found["findings"] if row["level"] != "ok"]
        assert all(bool(row["cure"]) == (row["level"] != "ok") for row in found["findings"])
        assert found["counts"]["ok"] + len(rows) == len(found["findings"])
        return rows, code

    return run


def names(fault: Fault, rows: list) -> bool:
    """Whether one of the findings is the fault."""
    return any(check == fault.check and level == fault.level and fault.says in text for check, level, text in rows)


def test_nothing_is_wrong_with_a_sound_server(server, examined):
    assert examined(server) == ([], 0)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_named_and_nothing_else(server, examined, monkeypatch, name):
    plant, fault = FAULTS[name]
    plant(server, monkeypatch)
    rows, code = examined(server)
    assert names(fault, rows), rows
    assert {check for check, _, _ in rows} == {fault.check}
    assert code == int(fault.level == "problem")


@pytest.mark.parametrize("name", MORE)
def test_a_fault_with_consequences_is_named(server, examined, monkeypatch, name):
    plant, fault = MORE[name]
    plant(server, monkeypatch)
    rows, code = examined(server)
    assert names(fault, rows), rows
    assert code == int(any(level == "problem" for _, level, _ in rows))
    assert not any("not checked" in text for _, _, text in rows)


def test_a_sound_server_of_another_make_stays_sound(server, examined, tmp_path):
    server.environment.update(HCCL_EXEC_TIMEOUT="0", ONEDNN_MAX_CPU_ISA="AVX2")
    server.write(f"{TOOLKIT}/opp_kernel/version.info", "Version=9.0.0\n")  # operators apart from the toolkit
    server.hccn(address="no address")
    table = TABLE.replace("910B3", "310P3").replace("HBM-Usage(MB)        ", "                     ")
    server.program("npu-smi", table)
    (server.root / KERNELS / "ascend310p").mkdir()
    server.arguments.pop("rank_table")
    assert examined(server) == ([], 0)


def test_thirty_faults_at_once_are_all_named(server, examined, monkeypatch):
    together = [
        "python too new", "numpy 2", "avx-512", "set_env.sh not sourced", "library not on the path", "library deleted",
        "cann of another mindspore", "firmware too old", "ill device", "manager not passed on", "no permission",
        "device that is not there", "mindspore sees none", "link down", "timeout out of range", "unfinished table",
        "port taken", "port of hccl taken", "disk full", "device too small", "little shared memory", "old cmake",
        "lite without its library", "bad image", "huge file", "image under two labels", "image in train and val",
        "other classes in val", "image twice", "damaged model",
    ]  # fmt: skip
    for name in together:
        FAULTS[name][0](server, monkeypatch)
    rows, code = examined(server)
    assert code == 1
    assert not [name for name in together if not names(FAULTS[name][1], rows)], rows
    assert len(together) >= 30
