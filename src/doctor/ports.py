"""What ranks need of the network: the rank table, the devices' addresses and links, free ports, HCCL's variables."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

from .findings import Finding, ok, problem, warning
from .machine import Machine, first_lines

MASTER_PORT = 8118  # --master_port of the launcher; with several servers it uses the next one too
HCCL_PORTS = range(60000, 60016)  # HCCL_IF_BASE_PORT's default and the 15 above
# Variable -> lowest and highest value in seconds that any chip takes (CANN, environment variables of HCCL).
HCCL_SECONDS = {"HCCL_CONNECT_TIMEOUT": (120, 7200), "HCCL_EXEC_TIMEOUT": (0, 2147483647)}
_TOOL = "/usr/local/Ascend/driver/tools/hccn_tool"


def check_ports(port: int = MASTER_PORT, with_hccl: bool = False) -> Iterator[Finding]:
    """Ports that a launch will listen on, and those of HCCL."""
    taken = [number for number in (port, port + 1) if not _is_free(number)]
    if taken:
        others = f"--master_port {taken[-1] + 10}"
        yield problem(
            "ports", f"{_listed(taken)}: another program listens there", f"end it, or pass {others} to the launcher"
        )
    else:
        yield ok("ports", f"{port} and {port + 1} are free for a launch")
    if with_hccl and (used := [number for number in HCCL_PORTS if not _is_free(number)]):
        cure = "export HCCL_IF_BASE_PORT=<first of 16 free ports>, and reserve them: sysctl net.ipv4.ip_local_reserved_ports"
        yield problem("ports", f"{_listed(used)} of HCCL's 16 ports: another program listens there", cure)


def check_timeouts(machine: Machine) -> Iterator[Finding]:
    """HCCL's waiting times, where they are set."""
    for name, (lowest, highest) in HCCL_SECONDS.items():
        value = machine.environment.get(name, "")
        if value and not (value.isdecimal() and lowest <= int(value) <= highest):
            text = f"{name}={value} is outside {lowest} to {highest} seconds"
            yield problem("hccl", text, f"unset {name}, or choose a value within")


def check_links(machine: Machine) -> Iterator[Finding]:
    """The network port of every device here: an address, a link, and the health that hccn_tool reports.

    Ranks of one server do without; inference chips have no such port.
    """
    tool = machine.find_program("hccn_tool", _TOOL)
    if tool is None:
        yield ok("hccn", "no hccn_tool here, which a rank table's addresses come from; a launch without a table needs none")
        return
    for node in machine.device_nodes:
        said = {ask: machine.ask(tool, "-i", str(node), f"-{ask}", "-g").text for ask in ("ip", "link", "net_health")}
        address = re.search(r"ipaddr:\s*(\S+)", said["ip"])
        if not address:
            yield ok("hccn", f"device {node} has no address, which only ranks on several servers need")
        elif "DOWN" in said["link"].upper():
            text = f"the link of device {node} ({address[1]}) is down; ranks on several servers need it"
            yield warning("hccn", text, "check cable, switch port and optical module")
        elif re.search(r"fail|timeout|unreachable", said["net_health"], re.IGNORECASE):
            cure = f"hccn_tool -i {node} -netdetect -g: the address that is probed must answer"
            yield warning("hccn", f"device {node}: net_health says {first_lines(said['net_health'])}", cure)
        else:
            yield ok("hccn", f"device {node}: {address[1]}, link up")


def check_rank_table(machine: Machine, path: Path) -> Iterator[Finding]:
    """A rank table by itself, and against this server and its devices."""
    from ..errors import UserError
    from ..launch.table import notes, parsed, read_content
    from ..launch.table_rules import violations

    try:
        content = read_content(path)
    except UserError as error:
        yield problem("rank table", str(error), "python -m src.launch.rank_table make writes one")
        return
    found = violations(content)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        yield problem("rank table", f"{path}: {found[0]}{more}", f"python -m src.launch.rank_table check {path} lists all")
        return
    for line in notes(content):
        yield warning("rank table", f"Ascend 910A would refuse it: {line}", "other chips may not mind")
    table = parsed(content)
    try:
        from ..launch.addresses import find_server

        server = find_server(table)
    except (UserError, ModuleNotFoundError) as error:
        yield problem(
            "rank table", str(error), "take the table of this job, or name this server by --server_id when you launch"
        )
        return
    gone = [device.device_id for device in server.devices if device.device_id not in machine.device_nodes]
    if gone:
        text = f"{path} lists devices {_listed(gone)} of this server, which has {_listed(machine.device_nodes) or 'none'}"
        yield problem("rank table", text, "python -m src.launch.rank_table make --devices 0-7 writes that of this server")
        return
    wrong = list(_check_addresses(machine, path, {d.device_id: d.device_ip for d in server.devices if d.device_ip}))
    yield from wrong or [ok("rank table", f"{path}: {table.rank_count} ranks, {len(server.devices)} of them here")]


def _check_addresses(machine: Machine, path: Path, table: dict[int, str]) -> Iterator[Finding]:
    """Addresses in the table against those that the devices say that they have."""
    tool = machine.find_program("hccn_tool", _TOOL)
    for node, address in table.items():
        found = re.search(r"ipaddr:\s*(\S+)", machine.ask(tool, "-i", str(node), "-ip", "-g").text) if tool else None
        if found and found[1] != address:
            text = f"{path} gives device {node} the address {address}; the device has {found[1]}"
            yield problem("rank table", text, "python -m src.launch.rank_table make writes the addresses that there are")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a launch does: a port of an ended run is free
        try:
            listener.bind(("", port))
        except OSError:
            return False
    return True


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values))
