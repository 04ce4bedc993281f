"""`resnet-zoo serve` under load: requests per second beside a bare loop of the same runtime, and what it does when abused.

The bare loop has the network alone, images prepared in memory, batch 1: what the runtime could do on this machine if it had
nothing else to do. The server receives JPEG files of 500x375 pixels over HTTP, decodes and preprocesses them too.

    python benchmarks/serve.py [--backbone resnext50_32x4d] [--format onnx,ckpt] [--rounds 5] [--bad 1000] [--output FILE]
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
from collections.abc import Iterator
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
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < float(line):
        model.logits(image)
        count += 1
    print(count / (time.perf_counter() - start), flush=True)
"""


@contextlib.contextmanager
def bare_loop(model: Path) -> Iterator[Any]:
    """Gives a function that runs the network alone for some seconds and returns images per second."""
    command = [sys.executable, "-c", LOOP, str(ROOT), str(model)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdin
    process.stdout.readline()

    def run(seconds: float) -> float:
        print(seconds, file=process.stdin, flush=True)
        return float(process.stdout.readline())

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


def load(port: int, pictures: list[bytes], clients: int, seconds: float) -> dict[str, float]:
    """Rate and latencies of clients that each send the next picture when they have the answer to the last."""
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

    start = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    rate = len(latencies) / (time.perf_counter() - start)
    quantiles = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return {"rate": rate, "p50_ms": 1000 * quantiles[49], "p99_ms": 1000 * quantiles[98]}


def bad_uploads(port: int, process: psutil.Process, picture: bytes, count: int) -> dict[str, Any]:
    """Uploads that are no pictures, half ones, too large ones; the memory before and after."""
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\r" + header + zlib.crc32(header).to_bytes(4, "big") + bytes(100)
    kinds = [
        b"no picture",
        picture[: len(picture) // 2],
        b"GIF89a",
        b"",
        huge,
        bytes(11 << 20),
        b"\xff\xd8\xff" + bytes(5000),
    ]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(lambda i: post(port, kinds[i % len(kinds)]), range(8 * len(kinds)))
        )  # what stays in caches is there then
        before = process.memory_info().rss
        statuses = Counter(pool.map(lambda i: post(port, kinds[i % len(kinds)]), range(count)))
    return {"statuses": dict(statuses), "grown_mb": (process.memory_info().rss - before) / 1e6, "rss_mb": before / 1e6}


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
        load(port, pictures, 8, 1)
        for _ in range(options.rounds):
            bare = [loop(options.seconds)]
            served = {clients: load(port, pictures, clients, options.seconds) for clients in options.clients}
            bare.append(loop(options.seconds))  # before and after: the machine may change its speed
            rounds.append({"bare": statistics.mean(bare), "served": served})
        abuse = {
            "bad": bad_uploads(port, process, pictures[0], options.bad),
            "slow": slow_and_cut(port, pictures[0]),
            "overload": overload(port, pictures[0]),
        }
    return {"rounds": rounds, **abuse}


def show(kind: str, found: dict[str, Any], options: argparse.Namespace) -> None:
    """The tables of one file."""
    rounds = found["rounds"]
    print(f"\n{kind}: {statistics.median(r['bare'] for r in rounds):.2f} images per second in the bare loop\n")
    print("| clients | requests per second | by bare loop | p50, ms | p99, ms |\n| --- | --- | --- | --- | --- |")
    for clients in options.clients:
        rate, p50, p99 = (
            statistics.median(r["served"][clients][key] for r in rounds) for key in ("rate", "p50_ms", "p99_ms")
        )
        ratio = statistics.median(r["served"][clients]["rate"] / r["bare"] for r in rounds)
        print(f"| {clients} | {rate:.2f} | {ratio:.2f} | {p50:.0f} | {p99:.0f} |")
    for name in ("bad", "slow", "overload"):
        print(f"{name}: {found[name]}")


def main() -> None:
    """Makes the files, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnext50_32x4d", help="network, with random weights")
    parser.add_argument("--format", default="onnx,ckpt", help="onnx, ckpt or both, separated by a comma")
    parser.add_argument("--clients", type=lambda text: list(map(int, text.split(","))), default=[1, 4, 16])
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="of which the median is shown")
    parser.add_argument("--bad", type=int, default=1000, help="bad uploads")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "random.ckpt"
        check([[sys.executable, "-c", SAVE, options.backbone, checkpoint]])
        if "onnx" in options.format:
            check([[sys.executable, "export.py", "--ckpt_file", checkpoint, "--file_format", "ONNX"]])
        pictures = []
        for number in range(16):
            path = Path(folder) / f"{number}.jpg"
            draw_photo(np.random.default_rng(number)).save(path, quality=90)
            pictures.append(path.read_bytes())
        for kind in options.format.split(","):
            figures[kind] = measure(checkpoint.with_suffix(f".{kind}"), pictures, options)
            show(kind, figures[kind], options)
    if options.output:
        options.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
