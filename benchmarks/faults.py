"""What happens when ranks, servers, disks or rank tables fail: seconds until everything has ended, exit code and message.

Each fault is brought about in a real run of train.py or eval.py on CPU ranks (`fault_hook` does it inside a rank). The exit
code is 1 where a run hangs, ends well in spite of the fault, or leaves a process behind. Strangers (`attackers.py`) are a
fault that must have no effect: two servers that they attack for --attack_seconds, and then at work, end well with the same
bits as without them. Seconds count from the fault, from the start of the launcher where it is there from the beginning;
those of SIGSTOP and of an early end include --hang_timeout.

Usage: python benchmarks/faults.py [--only WORD] [--hang_timeout 30] [--attack_seconds 60] [--port 9200] [--output FILE]
"""

import argparse
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from attackers import Attack, false_server, join_line  # noqa: E402
from kills import compare  # noqa: E402

from src.launch.table import make_content  # noqa: E402

LIMIT_SECONDS = 240.0  # a run that takes longer hangs
NETWORK = ["--backbone", "resnext11_8x16d", "--num_classes", "2", "--image_size", "16,16", "--platform", "CPU"]
TRAINING = ["--per_batch_size", "4", "--max_epoch", "500", "--lr", "0.01", "--eval_interval", "0", "--ckpt_interval", "0"]
DURING = {  # fault -> what fault_hook does
    "a rank raises": "raise",
    "a rank gets SIGKILL": "SIGKILL",
    "a rank gets SIGSTOP": "SIGSTOP",
    "a rank ends early with exit code 0": "exit0",
}


class Faults:
    """Brings about one fault after the other and keeps what was seen."""

    def __init__(self, folder: Path, port: int, hang_timeout: float, attack_seconds: float):
        self.folder = folder
        self.port = port
        self.hang_timeout = hang_timeout
        self.attack_seconds = attack_seconds
        self.rows: list = []
        self.runs = 0

    def start(
        self, program: str, *arguments: str, fault: str = "", data: str = "data", port: int = 0, secret: str = ""
    ) -> dict:  # fmt: skip
        """Starts a launcher. Returns what `end` needs."""
        self.runs += 1
        run = self.folder / f"run{self.runs}"
        run.mkdir()
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "benchmarks/fault_hook"), "RESNET_ZOO_SECRET": secret}
        if fault:
            environment["RESNET_ZOO_FAULT"] = f"{fault}:{run / 'fault'}"
        common = ["--data_dir", self.folder / data, "--cache_dir", self.folder / f"cache-{data}", "--log_dir", run / "logs"]
        common += ["--hang_timeout", self.hang_timeout, "--master_port", port or self.port + 2 * self.runs, *NETWORK]
        common += ["--ckpt_path", run / "run", *TRAINING] if program == "train.py" else []
        command = [sys.executable, "-m", "src.launch", program, *common, *arguments]
        with open(run / "output", "wb") as output:
            process = subprocess.Popen(
                [str(word) for word in command], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
        return {"process": process, "run": run, "started": time.time()}

    def end(self, fault: str, started: dict, since: str = "fault", ends_well: bool = False) -> None:
        """Waits for a launcher and adds a row to the table.

        Args:
            since: file of the run that was written when the fault happened; without it the start counts.
            ends_well: the fault must have no effect.
        """
        process, run = started["process"], started["run"]
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LIMIT_SECONDS)
        ended = time.time()
        hangs = process.poll() is None
        if hangs:
            process.kill()
            process.wait()
        begun = (run / since).stat().st_mtime if (run / since).exists() else started["started"]
        lines = (run / "output").read_text(encoding="utf-8", errors="replace").splitlines()
        message = (lines or [""])[-1]
        left = processes_of(run / "logs")
        row = {
            "fault": fault, "seconds": round(ended - begun, 1), "exit_code": process.returncode, "hangs": hangs,
            "left": len(left), "message": message.replace(str(run), "...").replace(str(self.folder), "..."),
        }  # fmt: skip
        ended_so = process.returncode == 0 if ends_well else process.returncode != 0 and message.startswith("error: ")
        row["good"] = not hangs and ended_so and not left
        self.rows.append(row)
        verdict = "" if row["good"] else " **bad**"
        print(f"| {fault} | {row['seconds']} | {row['exit_code']}{verdict} | {row['message']} |", flush=True)


def processes_of(log_dir: Path) -> list:
    """Numbers of the processes that a launcher with this folder has left behind."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"RESNET_ZOO_HEARTBEAT={log_dir}/".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def write_images(folder: Path, per_class: int) -> None:
    """folder/{train,val}/{a,b}/*.png, 16x16 noise."""
    for part in ("train", "val"):
        for name in "ab":
            (folder / part / name).mkdir(parents=True)
            for i in range(per_class):
                pixels = np.random.default_rng(i + ord(name)).integers(0, 255, (16, 16, 3), np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i}.png")


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mounts a file system of 64 KB at a folder; yields whether this process may."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    mounted = bool(shutil.which("mount")) and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def during_training(faults: Faults) -> None:
    """One of two ranks fails in its tenth batch."""
    for name, what in DURING.items():
        faults.end(name, faults.start("train.py", "--device_num", "2", fault=f"{what}:1:10"))


def during_evaluation(faults: Faults) -> None:
    """A rank is killed between two batches of an evaluation of the network that a short run has trained."""
    trained = faults.start("train.py", "--device_num", "2", "--max_epoch", "1")
    if trained["process"].wait(LIMIT_SECONDS):
        raise SystemExit((trained["run"] / "output").read_text(encoding="utf-8"))
    arguments = ["--pretrained", str(trained["run"] / "run/last.ckpt"), "--eval_batch_size", "1", "--device_num", "2"]
    faults.end("eval.py: a rank gets SIGKILL", faults.start("eval.py", *arguments, fault="SIGKILL:1:3"))


def disk_full(faults: Faults) -> None:
    """The master's first checkpoint does not fit on the disk."""
    folder = faults.folder / "disk"
    with small_disk(folder) as mounted:
        if not mounted:
            print("| the master's disk is full | not measured: mounting a small file system needs root | | |")
            return
        started = faults.start("train.py", "--device_num", "2", "--ckpt_path", str(folder / "run"), "--ckpt_interval", "2")
        faults.end("the master's disk is full", started, since="logs/rank_0.heartbeat")


def servers(faults: Faults) -> None:
    """Ports and servers; two launchers on this machine stand for two servers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        faults.end("the port is in use", faults.start("train.py", "--device_num", "2", port=taken.getsockname()[1]))
    two = ["--nnodes", "2", "--master_addr", "127.0.0.1", "--device_num", "1"]
    started = faults.start("train.py", *two, "--node_rank", "0", "--timeout", "5")
    faults.end("the second server is missing (--timeout 5)", started)
    started = faults.start("train.py", *two, "--node_rank", "1", "--timeout", "5")
    faults.end("the first server is missing (--timeout 5)", started)
    port = faults.port + 90
    pair = [
        faults.start("train.py", *two, "--node_rank", str(node), data=data, port=port)
        for node, data in enumerate(("data", "fewer"))
    ]
    for node, started in enumerate(pair):
        faults.end(f"the second server has fewer images: server {node} says", started)


def strangers(faults: Faults) -> None:
    """Impostors without the secret; then two servers that nobody disturbs, and two that all kinds of attacks disturb."""
    two = ["train.py", "--nnodes", "2", "--master_addr", "127.0.0.1", "--device_num", "1", "--max_epoch", "8"]
    secret, port, checkpoints = secrets.token_hex(32), faults.port + 92, []
    with false_server(port + 1, join_line(b"0" * 64)) as recorded:
        started = faults.start(*two, "--node_rank", "1", "--timeout", "6", port=port, secret=secret)
        faults.end("an impostor in the place of server 0: server 1 says", started)
    pair = [
        faults.start(*two, "--node_rank", str(node), "--timeout", "8", port=port + 2, secret=secret[node:])
        for node in (0, 1)
    ]
    for node in (1, 0):
        faults.end(f"an impostor in the place of server 1: server {node} says", pair[node])
    for name, seconds in (("undisturbed", 0.0), ("attacked", faults.attack_seconds)):
        port += 4
        wait = ["--timeout", str(seconds + 120)]
        pair = [faults.start(*two, *wait, "--node_rank", "0", port=port, secret=secret)]
        with Attack(port + 1, recorded[0]) if seconds else contextlib.nullcontext() as attack:
            time.sleep(seconds)
            pair.append(faults.start(*two, *wait, "--node_rank", "1", port=port, secret=secret))
            for node in (0, 1):
                faults.end(f"{name} ({seconds:g} s and at work): server {node} says", pair[node], ends_well=True)
        checkpoints.append(pair[0]["run"] / "run/last.ckpt")
    differing = compare(*checkpoints)
    faults.rows.append({"fault": "bits", "attacks": attack.tries, "differing": differing, "good": not differing})
    attempts = ", ".join(f"{kind} {count}" for kind, count in attack.tries.items())
    print(f"| weights and state: tensors that differ | | {len(differing)} | attacks: {attempts} |", flush=True)


def rank_tables(faults: Faults) -> None:
    """Tables that cannot be used; no process is started."""
    for name, content in broken_tables().items():
        path = faults.folder / "table.json"
        path.write_bytes(content)
        faults.end(f"rank table: {name}", faults.start("train.py", "--rank_table", str(path), "--timeout", "2"))
        path.unlink()
    started = faults.start("train.py", "--rank_table", str(faults.folder), "--timeout", "2")
    faults.end("rank table: a folder instead of a file", started)


def broken_tables() -> dict:
    """Kind of damage -> bytes of the file."""

    def changed(change) -> bytes:
        content = make_content("127.0.0.1", [0, 1], ["192.0.2.1", "192.0.2.2"])
        change(content, content["server_list"][0]["device"])
        return json.dumps(content).encode()

    whole = changed(lambda table, devices: None)
    return {
        "cut off": whole[:-30],
        "not text": b"\xff\xfe\x00" + whole,
        "a list instead of an object": b"[]",
        "unknown version": changed(lambda table, devices: table.update(version="3.0")),
        "wrong server_count": changed(lambda table, devices: table.update(server_count="2")),
        "no server_list": changed(lambda table, devices: table.pop("server_list")),
        "a server without devices": changed(lambda table, devices: devices.clear()),
        "a rank twice": changed(lambda table, devices: devices[1].update(rank_id="0")),
        "a rank missing": changed(lambda table, devices: devices[1].update(rank_id="2")),
        "a device twice": changed(lambda table, devices: devices[1].update(device_id="0")),
        "an address twice": changed(lambda table, devices: devices[1].update(device_ip="192.0.2.1")),
        "no address": changed(lambda table, devices: devices[1].update(device_ip="192.0.2")),
        "this server is not in it": changed(lambda table, devices: table["server_list"][0].update(server_id="198.51.100.7")),
        "never completed (--timeout 2)": changed(lambda table, devices: table.update(status="initializing")),
    }


def main() -> int:
    """Prints the table; 1 where a run hangs or ends otherwise than it should."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="kinds of faults whose function's name holds this word")
    parser.add_argument("--hang_timeout", type=float, default=30.0, help="seconds, of the launchers")
    parser.add_argument("--attack_seconds", type=float, default=60.0, help="of strangers, before the second server comes")
    parser.add_argument("--port", type=int, default=9200, help="first of 100 ports to use")
    parser.add_argument("--output", default="", help="JSON file to write")
    options = parser.parse_args()
    print("| fault | s | exit code | last line |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        faults = Faults(Path(folder), options.port, options.hang_timeout, options.attack_seconds)
        write_images(faults.folder / "data", 16)
        write_images(faults.folder / "fewer", 15)
        for kind in (during_training, during_evaluation, disk_full, servers, strangers, rank_tables):
            if options.only in kind.__name__:
                kind(faults)
    if options.output:
        report = {**vars(options), "load": os.getloadavg(), "results": faults.rows}
        Path(options.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return int(not all(row["good"] for row in faults.rows))


if __name__ == "__main__":
    sys.exit(main())
