"""Rank tables: every rule has a table that breaks it; make, merge, show; finding this server."""

import copy
import json
import os
import threading
import time

import pytest

from src.errors import UserError
from src.launch import addresses, rank_table, table
from src.launch.table_rules import violations


def table_of(*servers, devices=2, version="1.0"):
    """Servers with `devices` devices each, ranks counting on."""
    listed = []
    for number, name in enumerate(servers):
        entries = [
            {"device_id": str(d), "device_ip": f"192.168.{number}.{d + 1}", "rank_id": str(number * devices + d)}
            for d in range(devices)
        ]
        if version == "1.2":
            for entry in entries:
                entry["super_device_id"] = entry["rank_id"]
        listed.append({"server_id": name, "device": entries})
    content = {"version": version, "server_count": str(len(listed)), "server_list": listed, "status": "completed"}
    if version == "1.2":
        content["super_pod_list"] = [{"super_pod_id": "0", "server_list": [{"server_id": name} for name in servers]}]
    return content


def saved(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def device(content, server=0, number=0):
    return content["server_list"][server]["device"][number]


MODELARTS = {
    "status": "completed",
    "group_count": "1",
    "group_list": [
        {
            "device_count": "4",
            "group_name": "job-trainjob",
            "instance_count": "2",
            "instance_list": [
                {"pod_name": "p1", "server_id": "10.0.0.2", "devices": [
                    {"device_id": "0", "device_ip": "192.1.2.1"}, {"device_id": "1", "device_ip": "192.1.2.2"}]},
                {"pod_name": "p0", "server_id": "10.0.0.1", "devices": [
                    {"device_id": "0", "device_ip": "192.1.1.1"}, {"device_id": "1", "device_ip": "192.1.1.2"}]},
            ],
        }
    ],
}  # fmt: skip

BREAKS = {
    "status: is missing, must be 'completed'; whoever writes the table has not finished it": lambda t: t.pop("status"),
    "status: is 'initializing', must be 'completed'": lambda t: t.update(status="initializing"),
    "version: is '2.0', must be one of 1.0, 1.2": lambda t: t.update(version="2.0"),
    "server_count: is \"3\", must be '2': that many servers are listed": lambda t: t.update(server_count="3"),
    "server_count: is 2, must be '2'": lambda t: t.update(server_count=2),
    "server_list: must be a list of servers, is an object": lambda t: t.update(server_list={}),
    "server_list: must be a list of servers, is empty": lambda t: t.update(server_list=[]),
    "server_list[1]: must be an object, is a text": lambda t: t["server_list"].__setitem__(1, "10.0.0.2"),
    "server_list[1]: server_id: must be a text such as '10.0.0.1', is missing":
        lambda t: t["server_list"][1].pop("server_id"),
    "server_id: has 64 characters, must have fewer than 64": lambda t: t["server_list"][1].update(server_id="x" * 64),
    "server 10.0.0.1: server_id: used 2 times": lambda t: t["server_list"][1].update(server_id="10.0.0.1"),
    "server 10.0.0.1: host_ip: \"here\" is not an IP address": lambda t: t["server_list"][0].update(host_ip="here"),
    "server 10.0.0.2: device: must be a list of devices, is empty": lambda t: t["server_list"][1].update(device=[]),
    "server 10.0.0.2: device[1]: must be an object, is a number":
        lambda t: t["server_list"][1]["device"].__setitem__(1, 7),
    "server 10.0.0.2, device[1]: device_id: is 1, must be a number from 0 in quotes":
        lambda t: device(t, 1, 1).update(device_id=1),
    "server 10.0.0.1, device 0: device_id: used 2 times": lambda t: device(t, 0, 1).update(device_id="0"),
    "server 10.0.0.2, device 1: device_ip: is \"300.1.1.1\", must be an IP address": lambda t: device(t, 1, 1).update(
        device_ip="300.1.1.1"),
    "server 10.0.0.2, device 0: device_ip: is missing": lambda t: device(t, 1, 0).pop("device_ip"),
    "server 10.0.0.1, device 0, server 10.0.0.2, device 1: device_ip: all have 192.168.0.1":
        lambda t: device(t, 1, 1).update(device_ip="192.168.0.1"),
    "server 10.0.0.1, device 1: rank_id: is \"-1\", must be a number": lambda t: device(t, 0, 1).update(rank_id="-1"),
    "server 10.0.0.1, device 0, server 10.0.0.2, device 0: rank_id: all have 0":
        lambda t: device(t, 1, 0).update(rank_id="0"),
    "rank_id: 3 missing; 4 devices must have the ranks 0 to 3": lambda t: device(t, 1, 1).update(rank_id="7"),
    "server 10.0.0.1, device 0: rank_id: lies behind those of server 10.0.0.2": lambda t: (
        t["server_list"].reverse(),
        [entry.update(rank_id=str(n)) for n, entry in enumerate(e for s in t["server_list"] for e in s["device"])]),
    "server 10.0.0.1, device 0: device_port: is \"0\", must be a number from 1 to 65535":
        lambda t: device(t).update(device_port="0"),
}  # fmt: skip


@pytest.mark.parametrize("line", BREAKS)
def test_every_broken_rule_is_one_line_that_says_where(line):
    content = table_of("10.0.0.1", "10.0.0.2")
    assert violations(content) == []
    BREAKS[line](content)
    found = violations(content)
    assert any(line in problem for problem in found), found
    assert all("\n" not in problem for problem in found)


BREAKS_1_2 = {
    "super_pod_list: version 1.2 needs a list of super pods, is missing": lambda t: t.pop("super_pod_list"),
    "server 10.0.0.1, device 0: super_device_id: is missing": lambda t: device(t).pop("super_device_id"),
    "server 10.0.0.1: super_device_id: 0 used 2 times": lambda t: device(t, 0, 1).update(super_device_id="0"),
    "server 10.0.0.2, device 0: backup_device_ip: is \"x\"": lambda t: device(t, 1).update(backup_device_ip="x"),
    "super_pod_list: server 10.0.0.2: is in 0 super pods, must be in one":
        lambda t: t["super_pod_list"][0]["server_list"].pop(),
    "super_pod_list: server 10.9.9.9: not in server_list":
        lambda t: t["super_pod_list"][0]["server_list"].append({"server_id": "10.9.9.9"}),
    "super_pod_list[0]: super_pod_id: must be a text, is missing": lambda t: t["super_pod_list"][0].pop("super_pod_id"),
    "super_pod_list[0]: server_list: must list objects": lambda t: t["super_pod_list"][0].update(server_list=["10.0.0.1"]),
}  # fmt: skip


@pytest.mark.parametrize("line", BREAKS_1_2)
def test_the_rules_of_version_1_2(line):
    content = table_of("10.0.0.1", "10.0.0.2", version="1.2")
    assert violations(content) == []
    BREAKS_1_2[line](content)
    assert any(line in problem for problem in violations(content))


def test_check_lists_all_violations_and_fails(tmp_path, command):
    content = table_of("10.0.0.1", "10.0.0.2")
    device(content, 0, 0)["rank_id"] = 0
    device(content, 1, 1)["device_ip"] = ""
    code, out, _ = command(rank_table.main, "check", saved(tmp_path / "t.json", content))
    assert code == 1 and "server 10.0.0.1, device 0: rank_id" in out and "server 10.0.0.2, device 1: device_ip" in out
    assert "violations: 3" in out  # the third: one rank is missing
    good = saved(tmp_path / "good.json", table_of("10.0.0.1", devices=3))
    code, out, _ = command(rank_table.main, "check", good)
    assert code == 0 and "good, version 1.0, servers: 1, ranks: 3" in out
    assert "note for Ascend 910A: server 10.0.0.1: has 3 devices" in out
    code, out, _ = command(rank_table.main, "check", good, "--chip", "910A")
    assert code == 1 and out.startswith("server 10.0.0.1: has 3 devices; one server can use 1, 2, 4 or 8")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "must be an object"),
        ('{"deploy_mode": "lab", "group_list": []}', "legacy layout with deploy_mode"),
        ('{"server_group_list": []}', "table of several jobs"),
        ('{"group_list": [], "status": "initializing"}', "status: is 'initializing'"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, refused, content, reason):
    path = tmp_path / "t.json"
    path.write_text(content, encoding="utf-8")
    assert reason in refused(rank_table.main, "show", path)


def test_missing_and_binary_files_are_refused(tmp_path, refused):
    assert "no such file" in refused(rank_table.main, "check", tmp_path / "none.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    assert "is not a text file" in refused(rank_table.main, "check", tmp_path / "b.json")


def test_modelarts_template_becomes_a_table_in_dictionary_order(tmp_path, command):
    path = saved(tmp_path / "jobstart_hccl.json", MODELARTS)
    loaded = table.load_table(path)
    assert [(s.server_id, [d.rank for d in s.devices]) for s in loaded.servers] == [
        ("10.0.0.1", [0, 1]), ("10.0.0.2", [2, 3]),
    ]  # fmt: skip
    code, out, _ = command(rank_table.main, "show", path)
    assert code == 0 and "2     10.0.0.2  0       192.1.2.1" in out


def test_an_unfinished_table_is_waited_for(tmp_path):
    path = tmp_path / "t.json"
    path.touch()
    steps = [
        threading.Timer(0.3, lambda: saved(path, {**MODELARTS, "status": "initializing"})),
        threading.Timer(0.8, lambda: saved(path, MODELARTS)),
    ]
    for step in steps:
        step.start()
    assert table.load_table(path, wait=20).rank_count == 4
    for step in steps:
        step.join()
    saved(path, {**MODELARTS, "status": "initializing"})
    started = time.monotonic()
    with pytest.raises(UserError, match="status: is 'initializing'"):
        table.load_table(path, wait=0.3)
    assert 0.3 <= time.monotonic() - started < 5
    with pytest.raises(UserError, match="no such file"):  # at once: more likely a mistyped path
        table.load_table(tmp_path / "never.json", wait=60)


def test_notes_for_910a():
    assert table.notes(table_of("a", devices=8)) == []
    split = table_of("a")
    device(split, 0, 1)["device_id"] = "5"
    assert "devices 0,5 lie in two rings" in table.notes(split)[0]
    assert "can use 1, 2, 4 or 8" in table.notes(table_of("a", devices=3))[0]
    assert any("each needs 8" in line for line in table.notes(table_of("a", "b")))
    assert table.notes(table_of("a", "b", devices=16)) == []  # another chip


def test_make_with_given_addresses_and_merge(tmp_path, command, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, net in (("10.0.0.9", 9), ("10.0.0.10", 10)):
        ips = f"192.168.{net}.1,192.168.{net}.2"
        code, _, err = command(rank_table.main, "make", "--devices", "2-3", "--server_id", name, "--device_ips", ips)
        assert code == 0, err
    made = ["hccl_2p_23_10.0.0.9.json", "hccl_2p_23_10.0.0.10.json"]
    code, out, err = command(rank_table.main, "merge", *made)
    assert code == 0 and "wrote hccl_2s_4p.json" in out, err
    merged = table.load_table(tmp_path / "hccl_2s_4p.json")
    assert [(s.server_id, s.devices[0].rank, s.devices[0].device_id) for s in merged.servers] == [
        ("10.0.0.10", 0, 2), ("10.0.0.9", 2, 2),
    ]  # the dictionary order  # fmt: skip
    assert "server 10.0.0.9 is in 2 of the tables" in refused(rank_table.main, "merge", made[0], made[0])
    assert "different versions" in refused(
        rank_table.main, "merge", made[0], saved(tmp_path / "a3.json", table_of("n", version="1.2"))
    )
    one = ["make", "--server_id", "a", "--devices", "0,1", "--device_ips"]
    assert "1 addresses for 2 devices" in refused(rank_table.main, *one, "1.1.1.1")
    assert "must be an IP address" in refused(rank_table.main, *one, "1.1.1.1,oops")
    assert "names a device twice" in refused(rank_table.main, "make", "--devices", "1,0-2", "--device_ips", "1.1.1.1")


def test_merged_super_pods_stay_together():
    merged = table.merge_contents([table_of("b", version="1.2"), table_of("a", version="1.2")])
    assert [s["server_id"] for s in merged["server_list"]] == ["a", "b"]
    assert merged["super_pod_list"] == [{"super_pod_id": "0", "server_list": [{"server_id": "b"}, {"server_id": "a"}]}]


def test_device_addresses_from_hccn_tool(tmp_path, monkeypatch, command, refused):
    tool = tmp_path / "hccn_tool"
    tool.write_text('#!/bin/sh\n[ "$2" = 7 ] && { echo "device 7 is offline" >&2; exit 1; }\n'
                    'echo "ipaddr:192.168.10$2.101"\necho "netmask:255.255.255.0"\n')  # fmt: skip
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    output = tmp_path / "made.json"
    code, _, err = command(rank_table.main, "make", "--devices", "0,1", "--server_id", "10.0.0.1", "--output", output)
    assert code == 0, err
    assert [d.device_ip for d in table.load_table(output).servers[0].devices] == ["192.168.100.101", "192.168.101.101"]
    assert "device 7 is offline" in refused(rank_table.main, "make", "--server_id", "10.0.0.1")


def test_device_addresses_from_hccn_conf(tmp_path, monkeypatch):
    monkeypatch.setattr(addresses, "HCCN_TOOLS", ())
    monkeypatch.setattr(addresses, "HCCN_CONF", tmp_path / "hccn.conf")
    with pytest.raises(UserError, match=r"pass --device_ips"):
        addresses.device_addresses([0])
    (tmp_path / "hccn.conf").write_text("address_0=192.168.1.1\nnetmask_0=255.255.255.0\naddress_1=192.168.1.2\n")
    assert addresses.device_addresses([1, 0]) == ["192.168.1.2", "192.168.1.1"]
    with pytest.raises(UserError, match="has no address_2"):
        addresses.device_addresses([2])


def test_this_server_is_found_by_address_name_or_id(monkeypatch):
    monkeypatch.delenv("HOST_IP", raising=False)
    content = table_of("198.51.100.7", "loopback-name")
    with pytest.raises(UserError, match="is not in the rank table, which lists 198.51.100.7, loopback-name"):
        addresses.find_server(table.parsed(content))
    assert addresses.find_server(table.parsed(content), "loopback-name").devices[0].rank == 2
    with pytest.raises(UserError, match="'x' is not in the rank table"):
        addresses.find_server(table.parsed(content), "x")
    local = copy.deepcopy(content)
    local["server_list"][0]["server_id"] = "127.0.0.1"
    assert addresses.find_server(table.parsed(local)).server_id == "127.0.0.1"
    content["server_list"][1]["host_ip"] = "127.0.0.1"
    assert addresses.find_server(table.parsed(content)).server_id == "loopback-name"
    local["server_list"][1]["server_id"] = addresses.socket.gethostname()
    with pytest.raises(UserError, match="are all this server"):
        addresses.find_server(table.parsed(local))
    monkeypatch.setenv("HOST_IP", "198.51.100.7")
    assert addresses.find_server(table.parsed(table_of("198.51.100.7", "x"))).server_id == "198.51.100.7"
