"""`python -m src.launch.rank_table`: checks, shows, makes and merges rank tables."""

import re
import sys
from pathlib import Path
from typing import Any

from ..errors import CommandParser, UserError, run_command
from .addresses import device_addresses, own_address
from .table import (
    load_table,
    make_content,
    merge_contents,
    notes,
    read_content,
    write_content,
)
from .table_rules import violations


def parse_devices(text: str) -> list[int]:
    """'0-7' or '0,1,4-5' as a list of device numbers. Raises UserError."""
    devices: list[int] = []
    for part in text.split(","):
        match = re.fullmatch("([0-9]{1,4})(?:-([0-9]{1,4}))?", part.strip())
        if not match:
            raise UserError(f"devices: '{text}' is not a list such as 0,1,2 or 0-7")
        devices += range(int(match[1]), int(match[2] or match[1]) + 1)
    if not devices or len(set(devices)) != len(devices):
        raise UserError(f"devices: '{text}' names a device twice, or none")
    return devices


def main(arguments: list[str]) -> int:
    """One of the four commands; the exit code is 1 where `check` finds violations."""
    parser = CommandParser(prog="python -m src.launch.rank_table", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=CommandParser)
    check = commands.add_parser("check", help="every violation, one line each; notes for Ascend 910A")
    check.add_argument("table", type=Path)
    check.add_argument("--chip", choices=("910A",), help="Ascend chip whose rules on device numbers count as violations")
    show = commands.add_parser("show", help="rank, server, device and address of every device")
    show.add_argument("table", type=Path)
    make = commands.add_parser("make", help="the table of this server")
    make.add_argument("--devices", default="0-7", help="physical numbers: 0-7, or 0,1,2 [0-7]")
    make.add_argument("--server_id", default="", help="address or name of this server [its one address]")
    make.add_argument("--device_ips", default="", help="IP,IP,... of the devices [from hccn_tool, /etc/hccn.conf]")
    make.add_argument("--output", type=Path, help="file [hccl_<count>p_<devices>_<server_id>.json]")
    merge = commands.add_parser("merge", help="one table of several servers' tables")
    merge.add_argument("tables", type=Path, nargs="+")
    merge.add_argument("--output", type=Path, help="file [hccl_<servers>s_<ranks>p.json]")
    options = parser.parse_args(arguments)
    return {"check": _check, "show": _show, "make": _make, "merge": _merge}[options.command](options)


def _check(options) -> int:
    content = read_content(options.table)
    found = violations(content)
    of_chip = [] if found else notes(content)
    if options.chip:
        found += of_chip
    for line in found:
        print(line)
    if found:
        print(f"{options.table}: violations: {len(found)}")
        return 1
    for line in of_chip:
        print(f"note for Ascend 910A: {line}")
    servers = content["server_list"]
    ranks = sum(len(server["device"]) for server in servers)
    print(f"{options.table}: good, version {content['version']}, servers: {len(servers)}, ranks: {ranks}")
    return 0


def _show(options) -> int:
    table = load_table(options.table)
    rows: list[tuple[Any, ...]] = [("rank", "server", "device", "address")]
    for server in table.servers:
        rows += [(device.rank, server.server_id, device.device_id, device.device_ip or "-") for device in server.devices]
    widths = [max(len(str(row[column])) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(str(value).ljust(width) for value, width in zip(row, widths)).rstrip())
    return 0


def _make(options) -> int:
    devices = parse_devices(options.devices)
    server_id = options.server_id or own_address()
    given = [ip.strip() for ip in options.device_ips.split(",")] if options.device_ips else device_addresses(devices)
    if len(given) != len(devices):
        raise UserError(f"device_ips: {len(given)} addresses for {len(devices)} devices; pass one for each")
    content = make_content(server_id, devices, given)
    file_name = f"hccl_{len(devices)}p_{''.join(map(str, devices))}_{server_id}.json"
    return _write(options.output or Path(file_name), content)


def _merge(options) -> int:
    contents = []
    for path in options.tables:
        load_table(path)  # refuses a table with violations
        contents.append(read_content(path))
    content = merge_contents(contents)
    servers = content["server_list"]
    ranks = sum(len(server["device"]) for server in servers)
    return _write(options.output or Path(f"hccl_{len(servers)}s_{ranks}p.json"), content)


def _write(path: Path, content: dict[str, Any]) -> int:
    found = violations(content)
    if found:
        raise UserError(f"{path}: not written: {found[0]}")
    write_content(path, content)
    print(f"wrote {path}")
    for line in notes(content):
        print(f"note for Ascend 910A: {line}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
