"""Servers for the tests, in a thread of this process, and a client that knows nothing of ours."""

import asyncio
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server is an optional extra: pip install '.[serve]'")

from src.serving.app import create_app
from src.serving.limits import Limits
from src.serving.network import Network
from src.serving.serve import listen, server_of

LIMITS = Limits(most_bytes=1 << 20, most_pixels=1_000_000, queue=8, seconds=4)


@contextlib.contextmanager
def running(network: Network, token: bytes = b"") -> Iterator[int]:
    """Serves a network while the block runs; gives the port."""
    listener = listen("127.0.0.1", 0)
    server = server_of(create_app(network, token), network.limits)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def ask(port: int, path: str = "/predict", body: Any = None, method: str = "", **headers: str) -> tuple[int, Any, dict]:
    """Status, JSON content (or bytes) and headers of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, body, names)
        response = connection.getresponse()
        content = response.read()
        kind = response.headers.get("content-type", "")
        return response.status, json.loads(content) if "json" in kind else content, dict(response.headers)
    finally:
        connection.close()


def form(*files: tuple[str, bytes]) -> tuple[bytes, str]:
    """A multipart body and its content type."""
    parts = [
        f'--limit\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content + b"\r\n"
        for name, content in files
    ]
    return b"".join([*parts, b"--limit--\r\n"]), "multipart/form-data; boundary=limit"
