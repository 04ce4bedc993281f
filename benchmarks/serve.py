"""`resnet-zoo serve` under load: requests per second beside a bare loop of the same runtime, and what it does when abused.

The bare loop has the network alone, images prepared in memory, batch 1: what the runtime could do on this machine if it
had nothing else to do. The server receives JPEG files of 500x375 pixels over HTTP, decodes and preprocesses them too. The
clients run on the same cores; CPU time per request, which does not depend on that, is shown for server, loop and clients.

    python benchmarks/serve.py [--backbone resnext50_32x4d] [--format onnx|ckpt] [--rounds 5] [--bad 1000] [--output FILE]

The exit code is 1 where no number of clients gets 0.9 of the bare loop, where a request is lost or gets a status that it
should not, or where the server's memory still grows by 8 MB when it is abused for the fourth time.
"""

import argparse
import contextlib
import http.client
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from infer_app import SAVE, check, draw_photo

ROOT = Path(__file__).resolve().parents[1]
QUEUE = 32
PATIENCE = 5  # seconds of the server for a request

LOOP = """
import sys, time
import numpy as np
sys.path.insert(0, sys.argv[1])
import src as zoo
model = zoo.load(sys.argv[2], platform="CPU")
image = np.random.default_rng(0).normal(size=(1, 3, *model.preprocessing.image_size)).astype(np.float32)
for _ in range(3):
    model.logits(image)
print("ready", flush=True)
for line in sys.stdin:
    count, start, used = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < float(line):
        model.logits(image)
        count += 1
    print(count / (time.perf_counter() - start), 1000 * (time.process_time() - used) / count, flush=True)
"""


@contextlib.contextmanager
def bare_loop(model: Path) -> Iterator[Any]:
    """Gives a function that runs the network alone for some seconds: images per second, CPU milliseconds per image."""
    command = [sys.executable, "-c", LOOP, str(ROOT), str(model)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdin
    process.stdout.readline()

    def run(seconds: float) -> tuple[float, float]:
        print(seconds, file=process.stdin, flush=True)
        rate, cpu = map(float, process.stdout.readline().split())
        return rate, cpu

    yield run
    process.stdin.close()
    process.wait()


@contextlib.contextmanager
def server(model: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Gives the port and the process of a server."""
    options = ["--port", "0", "--queue", str(QUEUE), "--timeout", str(PATIENCE), "--platform", "CPU"]
    command = [sys.executable, "-m", "src", "serve", "--pretrained", str(model), *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    line = process.stdout.readline()
    while " at http://" not in line:
        assert line, "the server has ended"
        line = process.stdout.readline()
    yield int(line.partition("127.0.0.1:")[2].partition("/")[0]), psutil.Process(process.pid)
    process.terminate()
    assert process.wait(30) == 0, "the server did not end well"


def post(port: int, body: bytes) -> int:
    """The status of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/predict", body)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def cpu_ms(process: psutil.Process) -> float:
    """CPU time of a process, user and system, in milliseconds."""
    times = process.cpu_times()
    return 1000 * (times.user + times.system)


def load(port: int, process: psutil.Process, pictures: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """Rate, latencies and CPU time of clients that each send the next picture when they have the answer to the last."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (start := time.perf_counter()) < end:
            connection.request("POST", "/predict", pictures[(number + len(latencies)) % len(pictures)])
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status
            latencies.append(time.perf_counter() - start)
        connection.close()

    start, used = time.perf_counter(), (cpu_ms(process), cpu_ms(psutil.Process()))
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    rate, count = len(latencies) / (time.perf_counter() - start), len(latencies)
    server_ms, client_ms = ((cpu_ms(one) - before) / count for one, before in zip((process, psutil.Process()), used))
    return {"rate": rate, "seconds": latencies, "server_cpu_ms": server_ms, "client_cpu_ms": client_ms}


def bad_uploads(port: int, picture: bytes, count: int) -> Counter[int]:
    """The statuses of uploads that are no pictures, half ones, too large ones."""
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big") + bytes(100)
    damaged = (picture[: len(picture) // 2], b"", b"\xff\xd8\xff" + bytes(5000))
    kinds = (b"no picture", b"GIF89a", *damaged, huge, bytes(11 << 20))
    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(lambda number: post(port, kinds[number % len(kinds)]), range(count)))


def again_and_again(process: psutil.Process, abuse: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What came of the first of four times, and by how much the server grew each time.

    Threads and their heaps come into being under load, which levels off; what was leaked would go on.
    """
    grown, found = [], []
    for _ in range(4):
        before = process.memory_info().rss
        found.append(abuse())
        grown.append(round((process.memory_info().rss - before) / 1e6, 1))
    return {**found[0], "mb": round(before / 1e6), "grown_mb": grown}


def slow_and_cut(port: int, picture: bytes) -> dict[str, Any]:
    """50 cut uploads, 20 that stop half-way and 20 that send no head; how long a good request takes meanwhile."""
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head + picture[: len(picture) // 2])
    halves = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
    for connection in halves:
        connection.sendall(head + picture[: len(picture) // 2])
    start = time.perf_counter()
    status = post(port, picture)
    meanwhile = time.perf_counter() - start
    answers: Counter[str] = Counter()
    for connection in (*halves, *silent):
        connection.settimeout(6 * PATIENCE)
        try:
            answer = connection.recv(1000)
        except ConnectionResetError:
            answer = b""
        answers[answer.split(b" ")[1].decode() if answer else "closed"] += 1
        connection.close()
    return {"meanwhile": status, "meanwhile_ms": 1000 * meanwhile, "answers": dict(answers)}


def overload(port: int, picture: bytes) -> dict[str, Any]:
    """Four times as many clients as the queue takes, five requests each; every one must be answered."""
    with ThreadPoolExecutor(4 * QUEUE) as pool:
        statuses = Counter(pool.map(lambda _: post(port, picture), range(20 * QUEUE)))
    return {"sent": 20 * QUEUE, "statuses": dict(statuses), "after": post(port, picture)}


def measure(model: Path, pictures: list[bytes], options: argparse.Namespace) -> dict[str, Any]:
    """Everything for one file."""
    rounds: list[dict[str, Any]] = []
    with bare_loop(model) as loop, server(model) as (port, process):
        load(port, process, pictures, 8, 1)
        for _ in range(options.rounds):
            before, served = loop(options.seconds), {}
            for count in options.clients:
                found = load(port, process, pictures, count, options.seconds)
                after = loop(options.seconds)  # before and after: the machine may change its speed
                bare = dict(zip(("bare", "bare_cpu_ms"), map(statistics.mean, zip(before, after))))
                served[count], before = {**found, **bare, "share": found["rate"] / bare["bare"]}, after
            rounds.append(served)
        abuse = {
            "bad": again_and_again(process, lambda: {"statuses": dict(bad_uploads(port, pictures[0], options.bad))}),
            "slow": slow_and_cut(port, pictures[0]),
            "overload": again_and_again(process, lambda: overload(port, pictures[0])),
        }
    return {"rounds": rounds, **abuse}


def show(kind: str, found: dict[str, Any], options: argparse.Namespace) -> None:
    """The tables of one file."""
    columns = ("images per second, loop", "requests per second", "ratio", "p50, ms", "p99, ms")
    columns += ("CPU ms per image, loop", "CPU ms per request", "of the client")
    print(f"\n{kind}\n\n| clients | {' | '.join(columns)} |\n|{' --- |' * (1 + len(columns))}")
    for clients in options.clients:
        latencies = [1000 * seconds for one in found["rounds"] for seconds in one[clients]["seconds"]]
        p50, p99 = (statistics.quantiles(latencies, n=100)[place] for place in (49, 98))
        bare, rate, share, bare_cpu, cpu, client = (
            median(found, clients, key) for key in ("bare", "rate", "share", "bare_cpu_ms", "server_cpu_ms", "client_cpu_ms")
        )
        print(f"| {clients} | {bare:.2f} | {rate:.2f} | {share:.2f} | {p50:.0f} | {p99:.0f} | {bare_cpu:.1f} | {cpu:.1f} "
              f"| {client:.1f} |")  # fmt: skip
    for name in ("bad", "slow", "overload"):
        print(f"{name}: {found[name]}")


def median(found: dict[str, Any], clients: int, key: str) -> float:
    """Of all rounds."""
    return statistics.median(one[clients][key] for one in found["rounds"])


def shortcomings(found: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """What is not as it should be."""
    bad, slow, over = found["bad"], found["slow"], found["overload"]
    accepted, refused = over["statuses"].get(200, 0), over["statuses"].get(429, 0)
    checks = {
        "less than 0.9 of the bare loop": max(median(found, clients, "share") for clients in options.clients) >= 0.9,
        "bad uploads are not refused": set(bad["statuses"]) == {413, 415, 422},
        "memory grows": max(bad["grown_mb"][-1], over["grown_mb"][-1]) < 8,
        "slow connections are not ended": slow["answers"] == {"408": 20, "closed": 20} and slow["meanwhile"] == 200,
        "requests are lost": accepted + refused == over["sent"] and accepted >= QUEUE and over["after"] == 200,
    }
    return [text for text, is_well in checks.items() if not is_well]


def main() -> int:
    """Makes the files, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnext50_32x4d", help="network, with random weights")
    parser.add_argument("--format", choices=("onnx", "ckpt"), default="onnx", help="ONNX Runtime, or MindSpore")
    parser.add_argument("--clients", type=lambda text: list(map(int, text.split(","))), default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is shown")
    parser.add_argument("--bad", type=int, default=1000, help="bad uploads")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "random.ckpt"
        check([[sys.executable, "-c", SAVE, options.backbone, checkpoint]])
        if options.format == "onnx":
            check([[sys.executable, "export.py", "--ckpt_file", checkpoint, "--file_format", "ONNX"]])
        pictures = []
        for number in range(16):
            path = Path(folder) / f"{number}.jpg"
            draw_photo(np.random.default_rng(number)).save(path, quality=90)
            pictures.append(path.read_bytes())
        found = measure(checkpoint.with_suffix(f".{options.format}"), pictures, options)
    show(options.format, found, options)
    if options.output:
        options.output.write_text(json.dumps(found, indent=2) + "\n")
    problems = shortcomings(found, options)
    for problem in problems:
        print(problem, file=sys.stderr)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
