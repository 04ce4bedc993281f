"""`python -m src.launch train.py|eval.py [options] [--key value ...]`: one process per device of this server.

It starts the ranks through MindSpore's dynamic networking (a scheduler, and MS_ROLE, MS_SCHED_HOST and so on for every
rank), which is what `msrun` sets up too; docs/distributed.md says why it does not call `msrun`.
"""

import argparse
import contextlib
import hashlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import Any

from ..config import load_config
from ..errors import CommandParser, UserError
from . import supervisor
from .addresses import find_server
from .job import Job, LocalRank, shown
from .modelarts import cluster_defaults
from .processes import ROOT
from .rank_table import parse_devices
from .secret import shared_secret
from .table import RankTable, load_table, read_content, write_content

DEVICE_FILES = {"Ascend": "davinci[0-9]*", "GPU": "nvidia[0-9]*"}
RESTART_PAUSE = {"Ascend": 10.0}  # the driver refuses ranks that come right after a kill
LOCAL_KEYS = {  # may differ from server to server
    "data_dir", "eval_data_dir", "label_file", "cache_dir", "pretrained", "ckpt_path", "result_json", "device_id",
    "num_parallel_workers", "resume", "data_path", "output_path", "load_path",
}  # fmt: skip
MAX_PORT = 65534  # with several servers the port above is used too


def main(arguments: list[str]) -> int:
    """Reads the command line, checks everything that can be checked before a process starts, runs the job."""
    parser = _parser()
    options, keys = parser.parse_known_args(arguments)
    return supervisor.run(create_job(options, keys))


def create_job(options, keys: list[str]) -> Job:
    """The job that the options describe.

    Args:
        options: those of `_parser`.
        keys: the rest of the command line, for the program.

    Raises:
        UserError: contradicting options, a wrong key, a rank table that cannot be used, a server that is not in it.
    """
    # The program's mistakes are better told once than by every rank.
    config = load_config(keys, options.program.removesuffix(".py"))
    platform = _resolve_platform(config.platform)
    defaults = cluster_defaults(os.environ) if config.enable_modelarts else {}
    for name, value in defaults.items():
        if getattr(options, name) in (None, ""):
            setattr(options, name, value)
    table = load_table(options.rank_table, wait=options.timeout) if options.rank_table else None
    common = {
        "platform": platform,
        "address": options.local_addr,
        "port": options.master_port,
        "log_dir": (options.log_dir or Path(f"outputs/launch-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")).absolute(),
        "timeout": options.timeout,
        "hang_timeout": options.hang_timeout,
        "stop_timeout": options.stop_timeout,
        "restart_pause": RESTART_PAUSE.get(platform, 0.0),
        "bind_cores": bool(options.bind_cores),
    }
    places = _from_table(options, table) if table else _from_numbers(options, platform)
    program = [*_command_of(options.program), *keys, "--platform", platform, "--is_distributed", "1"]
    if options.batch_size:
        if options.batch_size % places["group_size"]:
            raise UserError(f"batch_size: {options.batch_size} images cannot be shared by {places['group_size']} devices")
        program += ["--per_batch_size", str(options.batch_size // places["group_size"])]
    restarts = _restart_arguments(options, keys)
    secret = shared_secret(options.secret_file, places["nodes"], places["master"], bool(options.insecure_network))
    if options.start == "rank_table":
        common["rank_table"] = _rank_table_start(options, table, platform, common["log_dir"])
    settings = {key: value for key, value in config.resolved().items() if key not in LOCAL_KEYS}
    agreement = repr((options.program, options.start, options.max_restarts, options.batch_size, table, settings))
    return Job(
        program=tuple(program),
        secret=secret,
        agreement=hashlib.sha256(agreement.encode("utf-8", errors="surrogateescape")).hexdigest(),
        max_restarts=options.max_restarts,
        restart_arguments=restarts,
        **common,
        **places,
    )


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m src.launch",
        description="Starts one process per device of this server and watches them. "
        "All other options are passed on: see train.py --help, eval.py --help.",
        allow_abbrev=False,
    )
    # `resnet-zoo launch train`, too
    parser.add_argument("program", choices=("train.py", "eval.py"), type=lambda name: name.removesuffix(".py") + ".py")
    add = parser.add_argument
    add("--rank_table", type=Path, help="table that names the servers and devices")
    add("--server_id", default="", help="this server's entry in the rank table [found by its addresses and names]")
    add("--device_num", type=_count, help="devices of this server to use [all]")
    add("--device_list", "--device-list", help="their numbers for MindSpore: 0-7, or 0,1,2 [from 0, or the rank table's]")
    add("--nnodes", type=_count, help="number of servers [1, or the rank table's]")
    add("--node_rank", type=int, help="number of this server, from 0 [0, or its place in the rank table]")
    add("--master_addr", help="address of server 0 [127.0.0.1, or the rank table's]")
    add("--master_port", type=_port, default=8118, help="port on server 0; with several servers also the next one [8118]")
    add("--local_addr", default="", help="address of this server that the others reach [chosen by the system]")
    add("--secret_file", type=Path, help="file with the secret of the servers, the same on all [variable RESNET_ZOO_SECRET]")
    add(
        "--insecure_network", type=int, choices=(0, 1), default=0,
        help="1: several servers need no secret, because no stranger can reach their network [0]",
    )  # fmt: skip
    add("--timeout", type=_seconds, default=120.0, help="seconds until all servers and ranks have found each other [120]")
    add("--hang_timeout", type=_seconds, default=1800.0, help="seconds without progress of any rank that end the job [1800]")
    add("--stop_timeout", type=_seconds, default=120.0, help="seconds to save and end after SIGTERM or Ctrl-C [120]")
    add("--max_restarts", type=int, default=0, help="how often all ranks are restarted from the newest checkpoint [0]")
    add("--log_dir", type=Path, help="folder for rank_<n>.log [outputs/launch-<time>-<pid>]")
    add("--bind_cores", type=int, choices=(0, 1), default=1, help="1: every rank has its own slice of the cores [1]")
    add("--batch_size", type=_count, help="images per step of all devices together [per_batch_size for each]")
    add(
        "--start", choices=("scheduler", "rank_table"), default="scheduler",
        help="rank_table: the older way, Ascend only, which compiles whole graphs (jit level O2) [scheduler]",
    )  # fmt: skip
    return parser


def _command_of(program: str) -> list[str]:
    """What Python runs as a rank: the script beside the package, or where it is installed without, its command."""
    package = __package__.partition(".")[0]
    return [str(ROOT / program)] if package == "src" else ["-m", package, program.removesuffix(".py")]


def _from_table(options, table: RankTable) -> dict[str, Any]:
    """The job's places according to a rank table, with which the other options must agree."""
    server = find_server(table, options.server_id)
    node = table.servers.index(server)
    for name, given, listed in (
        ("nnodes", options.nnodes, len(table.servers)),
        ("node_rank", options.node_rank, node),
        ("device_num", options.device_num, len(server.devices)),
    ):
        if given is not None and given != listed:
            raise UserError(f"{name}: {given}, but the rank table says {listed} for server {server.server_id}")
    counts = {len(other.devices) for other in table.servers}
    if len(counts) > 1:
        raise UserError(f"rank table: servers have {sorted(counts)} devices; data-parallel training needs the same number")
    first = table.servers[0]
    device_ids = [device.device_id for device in server.devices]
    if options.device_list:
        device_ids = parse_devices(options.device_list)
        if len(device_ids) != len(server.devices):
            raise UserError(f"device_list: names {len(device_ids)} devices, the rank table {len(server.devices)}")
    master = options.master_addr or ("127.0.0.1" if len(table.servers) == 1 else first.host_ip or first.server_id)
    return {
        "ranks": tuple(LocalRank(d.rank, i, device_ids[i]) for i, d in enumerate(server.devices)),
        "group_size": table.rank_count,
        "nodes": len(table.servers),
        "node": node,
        "server": server.server_id,
        "master": _resolve(master),
    }


def _from_numbers(options, platform: str) -> dict[str, Any]:
    """The job's places without a rank table: every server has the same number of devices."""
    nodes = options.nnodes or 1
    node = options.node_rank if options.node_rank is not None else 0
    if not 0 <= node < nodes:
        raise UserError(f"node_rank: {node}; expected 0 to {nodes - 1}, because nnodes is {nodes}")
    if nodes > 1 and (options.node_rank is None or not options.master_addr):
        missing = "node_rank" if options.node_rank is None else "master_addr"
        raise UserError(f"{missing}: no value; with --nnodes {nodes} every server needs --node_rank and --master_addr")
    if options.device_list:
        devices = parse_devices(options.device_list)
        if options.device_num not in (None, len(devices)):
            raise UserError(f"device_num: {options.device_num}, but device_list names {len(devices)} devices")
    else:
        devices = list(range(options.device_num or _device_count(platform)))
    first = node * len(devices)
    return {
        "ranks": tuple(LocalRank(first + i, i, device) for i, device in enumerate(devices)),
        "group_size": nodes * len(devices),
        "nodes": nodes,
        "node": node,
        "server": shown(options.server_id or options.local_addr or socket.gethostname()),
        "master": _resolve(options.master_addr or "127.0.0.1"),
    }


def _restart_arguments(options, keys: list[str]) -> tuple[str, ...]:
    """What train.py gets besides when it is started again. Raises UserError."""
    if options.max_restarts < 0:
        raise UserError(f"max_restarts: {options.max_restarts}; expected 0 or more")
    if options.program != "train.py" or not options.max_restarts:
        return ()
    added = ("--resume", "auto")
    load_config([*keys, *added], "train")
    return added


def _rank_table_start(options, table, platform: str, log_dir: Path) -> Path:
    """Writes the table that HCCL reads, in version 1.0 or 1.2 whatever the source was. Raises UserError."""
    if table is None:
        raise UserError("start: rank_table needs --rank_table FILE")
    if platform != "Ascend":
        raise UserError(f"start: rank_table exists on Ascend only, this is {platform}; leave --start out")
    print(
        "start: rank_table is MindSpore's older way: it compiles whole graphs (jit level O2), which is deprecated since "
        "MindSpore 2.9; the default needs no such table",
        file=sys.stderr,
    )
    path = log_dir / "rank_table.json"
    write_content(path, read_content(options.rank_table))
    return path


def _resolve_platform(requested: str) -> str:
    """auto: the platform whose device files are here. MindSpore itself is not asked: importing it takes seconds."""
    if requested != "auto":
        return requested
    return next((name for name, pattern in DEVICE_FILES.items() if any(Path("/dev").glob(pattern))), "CPU")


def _device_count(platform: str) -> int:
    if platform == "CPU":
        raise UserError("device_num: no value; on the CPU pass --device_num, the number of processes to start")
    count = len(list(Path("/dev").glob(DEVICE_FILES[platform])))
    if not count:
        raise UserError(f"device_num: no {platform} found here (/dev/{DEVICE_FILES[platform]}); pass --device_num")
    return count


def _resolve(host: str) -> str:
    """An address for a name: the scheduler wants addresses."""
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise UserError(f"master_addr: '{host}' cannot be resolved: {error.strerror}; pass --master_addr IP") from None


def _count(text: str) -> int:
    return _checked(int, text, 1, 10**6)


def _port(text: str) -> int:
    return _checked(int, text, 1024, MAX_PORT)


def _seconds(text: str) -> float:
    return _checked(float, text, 1, 10**7)


def _checked(kind: type, text: str, low: int, high: int):
    with contextlib.suppress(ValueError):
        if low <= kind(text) <= high:
            return kind(text)
    raise argparse.ArgumentTypeError(f"'{text}' is no number from {low} to {high}")
