"""The rules of rank tables: what keeps one from being used, and what a chip would refuse.

Reference: CANN, HCCL user guide, "rank table" for each product; MindSpore tutorials up to 2.7, "rank table start-up".
"""

import ipaddress
import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Optional

from ..errors import first_of
from .job import shown

VERSIONS = ("1.0", "1.2")
RING = 4  # Ascend 910A: devices 0-3 and 4-7 of a server are two rings
MAX_SERVER_ID = 64
MAX_PORT = 65535
MAX_DIGITS = 9
MAX_SHOWN = 80  # characters of a wrong value

_Ranked = tuple[int, str, str]


def violations(content: dict[str, Any]) -> list[str]:
    """What keeps a table from being used, one line each: which server, which device, which field. Empty: none."""
    problems = []
    status, version = content.get("status"), content.get("version")
    if status != "completed":
        said = "is missing" if status is None else f"is {_short(status)}"
        problems.append(f"status: {said}, must be 'completed'; whoever writes the table has not finished it")
    if not isinstance(version, str) or version not in VERSIONS:
        said = "is missing" if version is None else f"is {_short(version)}"
        problems.append(f"version: {said}, must be one of {', '.join(VERSIONS)}")
    servers = content.get("server_list")
    if not isinstance(servers, list) or not servers:
        return [*problems, f"server_list: must be a list of servers, is {kind(servers)}"]
    count = content.get("server_count")
    if count != str(len(servers)):
        problems.append(f"server_count: is {_shown(count)}, must be '{len(servers)}': that many servers are listed")

    ranked: list[_Ranked] = []  # (rank, server's name, where) of every device whose rank is a number
    addresses: list[Any] = []
    for position, server in enumerate(servers):
        if not isinstance(server, dict):
            problems.append(f"server_list[{position}]: must be an object, is {kind(server)}")
            continue
        name: Any = server.get("server_id")
        where = f"server {name[:MAX_SERVER_ID]}" if _is_name(name) else f"server_list[{position}]"
        problems += _server_violations(server, where, version, len(servers) > 1, ranked, addresses)
    names = [server.get("server_id") for server in servers if isinstance(server, dict)]
    problems += [f"server {shown(name, MAX_SERVER_ID)}: server_id: used {n} times" for name, n in repeated(names)]
    problems += [f"{places}: device_ip: all have {ip}" for ip, places in _shared(addresses)]
    problems += _rank_violations(ranked)
    if version == "1.2":
        problems += _super_pod_violations(content.get("super_pod_list"), [name for name in names if _is_name(name)])
    return problems


def _server_violations(
    server: dict[str, Any], where: str, version: Any, several: bool, ranked: list[_Ranked], addresses: list[Any]
) -> list[str]:  # fmt: skip
    """The violations of one server; adds its devices to `ranked` and `addresses`."""
    problems = []
    name: Any = server.get("server_id")
    if not _is_name(name):
        problems.append(f"{where}: server_id: must be a text such as '10.0.0.1', is {_shown(name)}")
    elif len(name) >= MAX_SERVER_ID:
        problems.append(f"{where}: server_id: has {len(name)} characters, must have fewer than {MAX_SERVER_ID}")
    if "host_ip" in server and not _is_address(server["host_ip"]):
        problems.append(f"{where}: host_ip: {_shown(server['host_ip'])} is not an IP address in quotes")
    devices = server.get("device")
    if not isinstance(devices, list) or not devices:
        return [*problems, f"{where}: device: must be a list of devices, is {kind(devices)}"]
    ids = []
    super_ids = []
    for position, device in enumerate(devices):
        if not isinstance(device, dict):
            problems.append(f"{where}: device[{position}]: must be an object, is {kind(device)}")
            continue
        is_number = _is_number(device.get("device_id"))
        at = f"{where}, device {device['device_id']}" if is_number else f"{where}, device[{position}]"
        problems += [f"{at}: {problem}" for problem in _device_violations(device, version, several)]
        if is_number:
            ids.append(device["device_id"])
        if _is_number(device.get("super_device_id")):
            super_ids.append(device["super_device_id"])
        if _is_address(device.get("device_ip")):
            addresses.append((device["device_ip"], at))
        if _is_number(device.get("rank_id")):
            ranked.append((int(device["rank_id"]), name, at))
    problems += [f"{where}, device {number}: device_id: used {n} times" for number, n in repeated(ids)]
    if version == "1.2":
        problems += [f"{where}: super_device_id: {number} used {n} times" for number, n in repeated(super_ids)]
    return problems


def _device_violations(device: dict[str, Any], version: Any, several: bool) -> list[str]:
    needed: dict[str, tuple[Callable[[Any], bool], str]] = {
        "device_id": (_is_number, "a number from 0 in quotes"),
        "rank_id": (_is_number, "a number from 0 in quotes"),
    }
    if several or version == "1.2" or "device_ip" in device:
        needed["device_ip"] = (_is_address, "an IP address in quotes")
    if version == "1.2":
        needed["super_device_id"] = (_is_number, "a number from 0 in quotes")
    if "backup_device_ip" in device:
        needed["backup_device_ip"] = (_is_address, "an IP address in quotes")
    for port in ("device_port", "backup_device_port", "host_port"):
        if port in device:
            needed[port] = (_is_port, f"a number from 1 to {MAX_PORT} in quotes")
    return [
        f"{field}: is {_shown(device.get(field))}, must be {expected}"
        for field, (fits, expected) in needed.items()
        if not fits(device.get(field))
    ]


def _rank_violations(ranked: list[_Ranked]) -> list[str]:
    """Ranks must be 0..n-1, and with several servers follow the dictionary order of server_id."""
    ranks = [rank for rank, _, _ in ranked]
    problems = [f"{places}: rank_id: all have {rank}" for rank, places in _shared((r, where) for r, _, where in ranked)]
    missing = sorted(set(range(len(ranks))) - set(ranks))
    if missing:
        shown = first_of([str(rank) for rank in missing])
        problems.append(f"rank_id: {shown} missing; {len(ranks)} devices must have the ranks 0 to {len(ranks) - 1}")
    in_order = [(name, where) for _, name, where in sorted(ranked, key=lambda entry: entry[0]) if _is_name(name)]
    for (before, _), (name, where) in zip(in_order, in_order[1:]):
        if name < before:
            problems.append(
                f"{where}: rank_id: lies behind those of server {before[:MAX_SERVER_ID]}; ranks must follow the "
                "dictionary order of server_id (python -m src.launch.rank_table merge renumbers)"
            )
            break
    return problems


def _super_pod_violations(pods: Any, servers: list[Any]) -> list[str]:
    """Version 1.2: super_pod_list names every server once."""
    if not isinstance(pods, list) or not pods:
        return [f"super_pod_list: version 1.2 needs a list of super pods, is {kind(pods)}"]
    problems = []
    members: Counter[Any] = Counter()
    known = dict.fromkeys(servers)
    for position, pod in enumerate(pods):
        fields = pod if isinstance(pod, dict) else {}
        name, listed = fields.get("super_pod_id"), fields.get("server_list")
        if not _is_name(name):
            problems.append(f"super_pod_list[{position}]: super_pod_id: must be a text, is {_shown(name)}")
        if not isinstance(listed, list) or not all(isinstance(e, dict) and _is_name(e.get("server_id")) for e in listed):
            problems.append(f"super_pod_list[{position}]: server_list: must list objects with a server_id")
            continue
        members.update(entry["server_id"] for entry in listed)
    for name in members:
        if name not in known:
            problems.append(f"super_pod_list: server {name[:MAX_SERVER_ID]}: not in server_list")
    for name in known:
        if members[name] != 1:
            shown_name = name[:MAX_SERVER_ID]
            problems.append(f"super_pod_list: server {shown_name}: is in {members[name]} super pods, must be in one")
    return problems


def repeated(values: Iterable[Any]) -> list[Any]:
    return [(value, n) for value, n in Counter(value for value in values if isinstance(value, (str, int))).items() if n > 1]


def _shared(places: Iterable[tuple[Any, str]]) -> list[tuple[Any, str]]:
    """Values that several places have, each with the first of these places; `places` are pairs of value and place."""
    by_value: dict[Any, list[str]] = {}
    for value, where in places:
        by_value.setdefault(value, []).append(where)
    return [(value, first_of(found)) for value, found in by_value.items() if len(found) > 1]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS


def _is_port(value: Any) -> bool:
    return _is_number(value) and 1 <= int(value) <= MAX_PORT


def _is_address(value: Any) -> bool:
    if not isinstance(value, str) or not value.isprintable() or len(value) >= MAX_SERVER_ID:
        return False  # ipaddress takes anything as the scope of an IPv6 address, behind its %
    try:
        return bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def _shown(value: Any) -> str:
    if value is None or isinstance(value, (dict, list)):
        return kind(value)
    return shown(json.dumps(value, ensure_ascii=False), MAX_SHOWN)


def _short(value: Any) -> str:
    return kind(value) if isinstance(value, (dict, list)) else shown(repr(value), MAX_SHOWN)


def kind(value: Any) -> str:
    kinds: dict[Optional[type], str] = {dict: "an object", list: "a list", str: "a text", type(None): "missing"}
    if isinstance(value, list) and not value:
        return "empty"
    return kinds.get(type(value), "a number" if isinstance(value, (int, float)) else repr(value))
