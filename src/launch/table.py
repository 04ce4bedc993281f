"""Rank tables: which device of which server is which rank. Reading, checking and writing them.

Versions 1.0 (Atlas training series and A2) and 1.2 (A3, with super pods) of HCCL's rank table, and the template that
ModelArts writes (`group_list`, without ranks), which becomes a 1.0 table: servers in dictionary order, devices as listed.

Reference: CANN, HCCL user guide, "rank table" for each product; MindSpore tutorials up to 2.7, "rank table start-up".
"""

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

from ..errors import UserError, first_of
from ..files import read_bounded, write_text
from .table_rules import RING, kind, repeated, violations

MAX_BYTES = 16 << 20  # more than 100,000 devices
MAX_DEPTH = 16  # of lists and objects; a table has 6
TOO_DEEP = f"has more than {MAX_DEPTH} levels of lists and objects"
LEGACY_FIELDS = ("deploy_mode", "chip_info", "board_id", "para_plane_nic_location", "para_plane_nic_name")


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
    devices: tuple[Device, ...]


@dataclasses.dataclass(frozen=True)
class RankTable:
    """A table without violations; `servers` by rank."""

    version: str
    servers: tuple[Server, ...]

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


def read_content(path: Path) -> dict[str, Any]:
    """The table as a dictionary in the layout of versions 1.0 and 1.2; ModelArts' template is converted.

    Raises:
        UserError: not there, not readable, not JSON, or a format that is not supported (which one, and what to do).
    """
    if not os.path.exists(path):
        raise UserError(f"rank table '{path}': no such file; python -m src.launch.rank_table make writes one")
    data = read_bounded(path, MAX_BYTES, "rank table")
    try:
        content = json.loads(data.decode("utf-8").strip() or "{}")  # empty: nothing was written yet
    except UnicodeDecodeError:
        raise UserError(f"rank table '{path}': is not a text file") from None
    except json.JSONDecodeError as error:
        reason = f"is not JSON: {error.msg}, line {error.lineno} column {error.colno}"
        raise UserError(f"rank table '{path}': {reason}") from None
    except RecursionError:
        raise UserError(f"rank table '{path}': {TOO_DEEP}") from None
    except ValueError:  # Python's limit for the digits of a number
        raise UserError(f"rank table '{path}': has a number of several thousand digits") from None
    if _is_deeper(content, MAX_DEPTH):
        raise UserError(f"rank table '{path}': {TOO_DEEP}")
    if not isinstance(content, dict):
        raise UserError(f"rank table '{path}': must be an object {{...}}, is {kind(content)}")
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


def parsed(content: dict[str, Any]) -> RankTable:
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


def notes(content: dict[str, Any]) -> list[str]:
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


def make_content(server_id: str, devices: list[int], device_ips: list[str]) -> dict[str, Any]:
    """The table of one server, version 1.0; ranks follow `devices` (physical numbers)."""
    entries = [
        {"device_id": str(device), "device_ip": ip, "rank_id": str(rank)}
        for rank, (device, ip) in enumerate(zip(devices, device_ips))
    ]
    servers = [{"server_id": server_id, "device": entries}]
    return {"version": "1.0", "server_count": "1", "server_list": servers, "status": "completed"}


def merge_contents(contents: list[dict[str, Any]]) -> dict[str, Any]:
    """One table of several: servers in the dictionary order of server_id, as MindSpore asks for; ranks count on.

    Raises:
        UserError: tables of different versions, or a server in two of them.
    """
    versions = sorted({content["version"] for content in contents})
    if len(versions) > 1:
        raise UserError(f"merge: the tables have different versions, {' and '.join(versions)}")
    servers = sorted((server for content in contents for server in content["server_list"]), key=lambda s: s["server_id"])
    for name, count in repeated(server["server_id"] for server in servers):
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
        pods: dict[str, list[Any]] = {}
        for pod in (pod for content in contents for pod in content["super_pod_list"]):
            pods.setdefault(pod["super_pod_id"], []).extend(pod["server_list"])
        content["super_pod_list"] = [{"super_pod_id": name, "server_list": pods[name]} for name in sorted(pods)]
    return content


def write_content(path: Path, content: dict[str, Any]) -> None:
    """Writes a table atomically. Raises UserError where that fails."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def _from_modelarts(content: dict[str, Any]) -> dict[str, Any]:
    """ModelArts' `jobstart_hccl.json` as version 1.0; what is malformed there is left for `violations` to name."""
    servers: list[dict[str, Any]] = [
        {"server_id": instance.get("server_id"), "device": [dict(device) for device in _objects(instance.get("devices"))]}
        for group in _objects(content.get("group_list"))
        for instance in _objects(group.get("instance_list"))
    ]
    servers.sort(key=lambda server: str(server["server_id"]))  # the order that MindSpore asks for
    for rank, device in enumerate(device for server in servers for device in server["device"]):
        device["rank_id"] = str(rank)
    converted = {"version": "1.0", "server_count": str(len(servers)), "server_list": servers}
    return {**converted, "status": content["status"]} if "status" in content else converted


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects lie in each other more than `depth` levels deep."""
    level = [value]
    for _ in range(depth + 1):
        containers = [item for item in level if isinstance(item, (dict, list))]
        level = [inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)]
    return bool(containers)
