"""The network addresses and names of this server and of its Ascend devices."""

import ipaddress
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import psutil

from ..errors import UserError, first_of
from .table import RankTable, Server

HCCN_CONF = Path("/etc/hccn.conf")
HCCN_TOOLS = ("hccn_tool", "/usr/local/Ascend/driver/tools/hccn_tool")
HCCN_TOOL_SECONDS = 30
# Where clusters tell a container its host's address: by hand or Kubernetes, Ascend operator, ModelArts.
HOST_VARIABLES = ("HOST_IP", "XDL_IP", "MA_CURRENT_IP")


def local_names() -> list[str]:
    """Addresses and names by which a rank table may call this server; loopback last."""
    families = (socket.AF_INET, socket.AF_INET6)
    found = [
        address.address.partition("%")[0]
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family in families
    ]
    found.sort(key=lambda address: ipaddress.ip_address(address).is_loopback)
    given = [os.environ[name] for name in HOST_VARIABLES if os.environ.get(name)]
    return list(dict.fromkeys([*given, socket.gethostname(), *found]))


def own_address() -> str:
    """The address for a new rank table.

    Raises:
        UserError: this server has none beside loopback, or several.
    """
    given = [os.environ[name] for name in HOST_VARIABLES if os.environ.get(name)]
    if given:
        return given[0]
    found = [
        address.address
        for name, addresses in psutil.net_if_addrs().items()
        for address in addresses
        if address.family == socket.AF_INET and not ipaddress.ip_address(address.address).is_loopback
    ]
    if len(found) != 1:
        seen = f"{len(found)} ({first_of(found)})" if found else "none"
        raise UserError(f"server_id: found {seen} beside loopback on this server; pass --server_id ADDRESS")
    return found[0]


def find_server(table: RankTable, server_id: str = "") -> Server:
    """The entry of this server: `server_id`, or the one entry whose id or host_ip is an address or the name of this server.

    Raises:
        UserError: none or several fit.
    """
    names = [server_id] if server_id else local_names()
    fitting = [server for server in table.servers if server.server_id in names or server.host_ip in names]
    if len(fitting) == 1:
        return fitting[0]
    listed = first_of([server.server_id for server in table.servers])
    if server_id:
        raise UserError(f"server_id: '{server_id}' is not in the rank table; it lists {listed}")
    if fitting:
        several = first_of([server.server_id for server in fitting])
        raise UserError(f"server_id: {several} in the rank table are all this server; pass --server_id ID")
    raise UserError(
        f"server_id: this server ({first_of(names)}) is not in the rank table, which lists {listed}; pass --server_id ID"
    )


def device_addresses(devices: list[int]) -> list[str]:
    """The addresses of this server's devices, from hccn_tool, or else from /etc/hccn.conf.

    Args:
        devices: physical numbers, /dev/davinci0 is 0.

    Raises:
        UserError: neither is there, or a device has no address.
    """
    tool = next((found for name in HCCN_TOOLS if (found := shutil.which(name))), None)
    if tool:
        return [_ask_hccn_tool(tool, device) for device in devices]
    try:
        lines = HCCN_CONF.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(
            f"device_ips: no hccn_tool here, and {HCCN_CONF} cannot be read ({error.strerror}); pass --device_ips IP,IP,..."
        ) from None
    known = dict(line.strip().split("=", 1) for line in lines if "=" in line)
    missing = [str(device) for device in devices if f"address_{device}" not in known]
    if missing:
        raise UserError(f"device_ips: {HCCN_CONF} has no address_{missing[0]}; pass --device_ips IP,IP,...")
    return [known[f"address_{device}"].strip() for device in devices]


def _ask_hccn_tool(tool: str, device: int) -> str:
    command = [tool, "-i", str(device), "-ip", "-g"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=HCCN_TOOL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise UserError(f"device_ips: '{' '.join(command)}' did not answer in {HCCN_TOOL_SECONDS} s") from None
    match = re.search(r"ipaddr:\s*(\S+)", done.stdout)
    if done.returncode or not match:
        said = " ".join((done.stderr or done.stdout).split()) or "nothing"
        raise UserError(f"device_ips: '{' '.join(command)}' gave no address for device {device}; it said: {said}")
    return match.group(1)
