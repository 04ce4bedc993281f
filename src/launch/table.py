"""Rank tables: which device of which server is which rank. Reading, checking and writing them.

Versions 1.0 (Atlas training series and A2) and 1.2 (A3, with super pods) of HCCL's rank table, and the template that
ModelArts writes (`group_list`, without ranks), which becomes a 1.0 table: servers in dictionary order, devices as listed.

Reference: CANN, HCCL user guide, "rank table" for each product; MindSpore tutorials up to 2.7, "rank table start-up".
"""

import dataclasses
import ipaddress
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Optional

from src.errors import UserError, first_of
from src.files import write_text

VERSIONS = ("1.0", "1.2")
LEGACY_FIELDS = ("deploy_mode", "chip_info", "board_id", "para_plane_nic_location", "para_plane_nic_name")
RING = 4  # Ascend 910A: devices 0-3 and 4-7 of a server are two rings
MAX_SERVER_ID = 64
MAX_PORT = 65535


@dataclasses.dataclass(frozen=True)
class Device:
    """One rank: its number, its device's physical number on the server, and that device's network address ('': none)."""

    rank: int
    device_id: int
    device_ip: str


@dataclasses.dataclass(frozen=True)
class Server:
    """A server's name or address, the address of its host ('' where the table has none), and its devices by rank."""

    server_id: str
    host_ip: str
    devices: tuple


@dataclasses.dataclass(frozen=True)
class RankTable:
    """A table without violations; `servers` by rank."""

    version: str
    servers: tuple

    @property
    def rank_count(self) -> int:
        """Ranks of all servers together."""
        return sum(len(server.devices) for server in self.servers)


def load_table(path: Path, wait: float = 0.0) -> RankTable:
    """Reads a table that must be fit for use.

    Args:
        wait: seconds to wait for a table that is there, but not finished, as on ModelArts and Kubernetes.

    Raises:
        UserError: the file cannot be read, is no rank table, is unfinished, or breaks a rule; names the first violation.
    """
    deadline = time.monotonic() + wait
    while True:
        content = read_content(path)
        problems = violations(content)
        if not problems:
            return parsed(content)
        finished = not any(problem.startswith("status: ") for problem in problems)
        if finished or time.monotonic() >= deadline:
            more = f" (and {len(problems) - 1} more; python -m src.launch.rank_table check {path} lists all)"
            raise UserError(f"rank table '{path}': {problems[0]}{more if len(problems) > 1 else ''}")
        time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))


def read_content(path: Path) -> dict:
    """The table as a dictionary in the layout of versions 1.0 and 1.2; ModelArts' template is converted.

    Raises:
        UserError: not there, not readable, not JSON, or a format that is not supported (which one, and what to do).
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8").strip() or "{}")  # empty: nothing was written yet
    except FileNotFoundError:
        raise UserError(f"rank table '{path}': no such file; python -m src.launch.rank_table make writes one") from None
    except OSError as error:
        raise UserError(f"rank table '{path}': cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"rank table '{path}': is not a text file") from None
    except json.JSONDecodeError as error:
        reason = f"is not JSON: {error.msg}, line {error.lineno} column {error.colno}"
        raise UserError(f"rank table '{path}': {reason}") from None
    if not isinstance(content, dict):
        raise UserError(f"rank table '{path}': must be an object {{...}}, is {_kind(content)}")
    legacy = [field for field in LEGACY_FIELDS if field in content]
    if legacy:
        raise UserError(
            f"rank table '{path}': the legacy layout with {first_of(legacy)} is no longer read by HCCL; "
            "write a new one with python -m src.launch.rank_table make"
        )
    if "server_group_list" in content:
        raise UserError(
            f"rank table '{path}': is a table of several jobs (server_group_list); pass the table of this job (server_list)"
        )
    return _from_modelarts(content) if "group_list" in content else content


def parsed(content: dict) -> RankTable:
    """A dictionary without `violations` as a RankTable."""
    servers = []
    for server in content["server_list"]:
        devices = [
            Device(int(device["rank_id"]), int(device["device_id"]), device.get("device_ip", ""))
            for device in server["device"]
        ]
        devices.sort(key=lambda device: device.rank)
        servers.append(Server(server["server_id"], server.get("host_ip", ""), tuple(devices)))
    return RankTable(content["version"], tuple(sorted(servers, key=lambda server: server.devices[0].rank)))


def violations(content: dict) -> list:
    """What keeps a table from being used, one line each: which server, which device, which field. Empty: none."""
    problems = []
    status, version = content.get("status"), content.get("version")
    if status != "completed":
        said = "is missing" if status is None else f"is {status!r}"
        problems.append(f"status: {said}, must be 'completed'; whoever writes the table has not finished it")
    if version not in VERSIONS:
        said = "is missing" if version is None else f"is {version!r}"
        problems.append(f"version: {said}, must be one of {', '.join(VERSIONS)}")
    servers = content.get("server_list")
    if not isinstance(servers, list) or not servers:
        return [*problems, f"server_list: must be a list of servers, is {_kind(servers)}"]
    count = content.get("server_count")
    if count != str(len(servers)):
        problems.append(f"server_count: is {_shown(count)}, must be '{len(servers)}': that many servers are listed")

    ranked: list = []  # (rank, server's name, where) of every device whose rank is a number
    addresses: list = []
    for position, server in enumerate(servers):
        if not isinstance(server, dict):
            problems.append(f"server_list[{position}]: must be an object, is {_kind(server)}")
            continue
        where = f"server {server['server_id']}" if _is_name(server.get("server_id")) else f"server_list[{position}]"
        problems += _server_violations(server, where, version, len(servers) > 1, ranked, addresses)
    names = [server.get("server_id") for server in servers if isinstance(server, dict)]
    problems += [f"server {name}: server_id: used {n} times" for name, n in _repeated(names)]
    problems += [
        f"{', '.join(where for other, where in addresses if other == ip)}: device_ip: all have {ip}"
        for ip, _ in _repeated(ip for ip, _ in addresses)
    ]
    problems += _rank_violations(ranked)
    if version == "1.2":
        problems += _super_pod_violations(content.get("super_pod_list"), [name for name in names if _is_name(name)])
    return problems


def notes(content: dict) -> list:
    """What Ascend 910A (Atlas 800, 8 devices) would refuse; other chips may not mind. One line each.

    Args:
        content: a table without `violations`.
    """
    table = parsed(content)
    found = []
    for server in table.servers:
        ids = [device.device_id for device in server.devices]
        if max(ids) >= 2 * RING:
            return []  # more devices than such a server has
        if len(table.servers) > 1 and len(ids) != 2 * RING:
            found.append(f"server {server.server_id}: has {len(ids)} devices; with several servers each needs {2 * RING}")
        elif len(ids) not in (1, 2, 4, 8):
            found.append(f"server {server.server_id}: has {len(ids)} devices; one server can use 1, 2, 4 or 8")
        elif len(ids) in (2, 4) and len({device // RING for device in ids}) > 1:
            shown = ",".join(map(str, ids))
            found.append(f"server {server.server_id}: devices {shown} lie in two rings (0-3 and 4-7); take all from one")
    return found


def make_content(server_id: str, devices: list, device_ips: list) -> dict:
    """The table of one server, version 1.0; ranks follow `devices` (physical numbers)."""
    entries = [
        {"device_id": str(device), "device_ip": ip, "rank_id": str(rank)}
        for rank, (device, ip) in enumerate(zip(devices, device_ips))
    ]
    servers = [{"server_id": server_id, "device": entries}]
    return {"version": "1.0", "server_count": "1", "server_list": servers, "status": "completed"}


def merge_contents(contents: list) -> dict:
    """One table of several: servers in the dictionary order of server_id, as MindSpore asks for; ranks count on.

    Raises:
        UserError: tables of different versions, or a server in two of them.
    """
    versions = sorted({content["version"] for content in contents})
    if len(versions) > 1:
        raise UserError(f"merge: the tables have different versions, {' and '.join(versions)}")
    servers = sorted((server for content in contents for server in content["server_list"]), key=lambda s: s["server_id"])
    for name, count in _repeated(server["server_id"] for server in servers):
        raise UserError(f"merge: server {name} is in {count} of the tables; each server may come once")
    rank = 0
    merged = []
    for server in servers:
        devices = sorted(server["device"], key=lambda device: int(device["rank_id"]))
        entries = [{**device, "rank_id": str(rank + offset)} for offset, device in enumerate(devices)]
        merged.append({**server, "device": entries})
        rank += len(entries)
    content = {"version": versions[0], "server_count": str(len(merged)), "server_list": merged, "status": "completed"}
    if versions[0] == "1.2":
        pods: dict = {}
        for pod in (pod for content in contents for pod in content["super_pod_list"]):
            pods.setdefault(pod["super_pod_id"], []).extend(pod["server_list"])
        content["super_pod_list"] = [{"super_pod_id": name, "server_list": pods[name]} for name in sorted(pods)]
    return content


def write_content(path: Path, content: dict) -> None:
    """Writes a table atomically. Raises UserError where that fails."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def _server_violations(
    server: dict, where: str, version: Any, several: bool, ranked: list, addresses: list
) -> list:  # fmt: skip
    """The violations of one server; adds its devices to `ranked` and `addresses`."""
    problems = []
    name = server.get("server_id")
    if not _is_name(name):
        problems.append(f"{where}: server_id: must be a text such as '10.0.0.1', is {_shown(name)}")
    elif len(name) >= MAX_SERVER_ID:
        problems.append(f"{where}: server_id: has {len(name)} characters, must have fewer than {MAX_SERVER_ID}")
    if "host_ip" in server and not _is_address(server["host_ip"]):
        problems.append(f"{where}: host_ip: {_shown(server['host_ip'])} is not an IP address in quotes")
    devices = server.get("device")
    if not isinstance(devices, list) or not devices:
        return [*problems, f"{where}: device: must be a list of devices, is {_kind(devices)}"]
    ids = []
    super_ids = []
    for position, device in enumerate(devices):
        if not isinstance(device, dict):
            problems.append(f"{where}: device[{position}]: must be an object, is {_kind(device)}")
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
    problems += [f"{where}, device {number}: device_id: used {n} times" for number, n in _repeated(ids)]
    if version == "1.2":
        problems += [f"{where}: super_device_id: {number} used {n} times" for number, n in _repeated(super_ids)]
    return problems


def _device_violations(device: dict, version: Any, several: bool) -> list:
    needed: dict[str, tuple[Callable, str]] = {
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


def _rank_violations(ranked: list) -> list:
    """Ranks must be 0..n-1, and with several servers follow the dictionary order of server_id."""
    ranks = [rank for rank, _, _ in ranked]
    problems = [
        f"{', '.join(where for other, _, where in ranked if other == rank)}: rank_id: all have {rank}"
        for rank, _ in _repeated(ranks)
    ]
    missing = sorted(set(range(len(ranks))) - set(ranks))
    if missing:
        shown = first_of([str(rank) for rank in missing])
        problems.append(f"rank_id: {shown} missing; {len(ranks)} devices must have the ranks 0 to {len(ranks) - 1}")
    in_order = [(name, where) for _, name, where in sorted(ranked, key=lambda entry: entry[0]) if _is_name(name)]
    for (before, _), (name, where) in zip(in_order, in_order[1:]):
        if name < before:
            problems.append(
                f"{where}: rank_id: lies behind those of server {before}; ranks must follow the dictionary order of "
                "server_id (python -m src.launch.rank_table merge renumbers)"
            )
            break
    return problems


def _super_pod_violations(pods: Any, servers: list) -> list:
    """Version 1.2: super_pod_list names every server once."""
    if not isinstance(pods, list) or not pods:
        return [f"super_pod_list: version 1.2 needs a list of super pods, is {_kind(pods)}"]
    problems = []
    members: Counter = Counter()
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
        if name not in servers:
            problems.append(f"super_pod_list: server {name}: not in server_list")
    for name in dict.fromkeys(servers):
        if members[name] != 1:
            problems.append(f"super_pod_list: server {name}: is in {members[name]} super pods, must be in one")
    return problems


def _from_modelarts(content: dict) -> dict:
    """ModelArts' `jobstart_hccl.json` as version 1.0; what is malformed there is left for `violations` to name."""
    servers = [
        {"server_id": instance.get("server_id"), "device": [dict(device) for device in _objects(instance.get("devices"))]}
        for group in _objects(content.get("group_list"))
        for instance in _objects(group.get("instance_list"))
    ]
    servers.sort(key=lambda server: str(server["server_id"]))  # the order that MindSpore asks for
    for rank, device in enumerate(device for server in servers for device in server["device"]):
        device["rank_id"] = str(rank)
    converted = {"version": "1.0", "server_count": str(len(servers)), "server_list": servers}
    return {**converted, "status": content["status"]} if "status" in content else converted


def _objects(value: Any) -> list:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _repeated(values: Iterable) -> list:
    return [(value, n) for value, n in Counter(value for value in values if isinstance(value, (str, int))).items() if n > 1]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit()


def _is_port(value: Any) -> bool:
    return _is_number(value) and 1 <= int(value) <= MAX_PORT


def _is_address(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(ipaddress.ip_address(value))
    except ValueError:
        return False


def _shown(value: Any) -> str:
    return "missing" if value is None else json.dumps(value, ensure_ascii=False)


def _kind(value: Any) -> str:
    kinds: dict[Optional[type], str] = {dict: "an object", list: "a list", str: "a text", type(None): "missing"}
    if isinstance(value, list) and not value:
        return "empty"
    return kinds.get(type(value), "a number" if isinstance(value, (int, float)) else repr(value))
