"""`python -m src serve --pretrained FILE [--port N]`: a network behind HTTP, with a page to try it on."""

import asyncio
import logging
import signal
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import device
from ..config import load_config
from ..errors import CommandParser, UserError, run_command
from ..launch.secret import MAKE_ONE, read_secret
from ..log import log, start_log
from .limits import Limits, is_loopback

PACKAGES = ("starlette", "uvicorn", "python_multipart", "prometheus_client")
_KEEP_ALIVE = 5  # seconds; uvicorn's default
_LARGEST_HEAD = 32 << 10  # bytes
_MAKE_TOKEN = MAKE_ONE.replace("secret", "token")


def main(arguments: list[str]) -> int:
    """The command; ends well with SIGTERM or Ctrl-C, after the requests that have begun."""
    options, keys = _parser().parse_known_args(arguments)
    config = load_config(keys, "eval")
    if missing := next((name for name in PACKAGES if find_spec(name) is None), None):
        command = "pip install '.[serve]', in a checkout bash scripts/setup_env.sh requirements-dev.txt"
        raise UserError(f"the server needs the Python package '{missing}', which is optional: {command}")
    if not config.pretrained:
        raise UserError("pretrained: no value; pass --pretrained FILE (.ckpt, .onnx, .mindir, ...)")
    start_log()
    token = read_secret(options.token_file, "token_file", "RESNET_ZOO_TOKEN")
    if not token and not is_loopback(options.host):
        raise UserError(f"host: others could reach {options.host}; pass --token_file FILE, for example: {_MAKE_TOKEN}")
    listener = listen(options.host, options.port)
    device.set_environment(config.platform)  # before MindSpore is imported

    from .app import create_app
    from .monitor import Monitor
    from .network import Network

    limits = Limits(options.megabytes << 20, options.megapixels * 1_000_000, options.queue, options.timeout)
    network = Network(config, limits, options.largest_batch, Monitor())
    listener.listen()  # whoever comes from here on waits for the server's start
    address, port = listener.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    log.info("%s at http://%s:%d/ (SIGTERM or Ctrl-C ends it)", config.pretrained, shown, port)
    server = server_of(create_app(network, token), limits)
    # uvicorn raises the signals that ended it again when it is done: they end nothing else.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    asyncio.run(server.serve([listener]))
    network.close()
    log.info("ended")
    return 0


def server_of(app: Any, limits: Limits) -> Any:
    """The `uvicorn.Server` of an application."""
    import uvicorn

    from .connections import impatient_protocol

    # What is wrong with a request its client hears; a log of it would be as long as strangers like.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    return uvicorn.Server(
        uvicorn.Config(
            app, http=impatient_protocol(limits.seconds), ws="none", loop="asyncio", lifespan="on", log_config=None,
            access_log=False, server_header=False, proxy_headers=False, limit_concurrency=limits.connections,
            timeout_keep_alive=_KEEP_ALIVE, timeout_graceful_shutdown=int(2 * limits.seconds) + 1,
            h11_max_incomplete_event_size=_LARGEST_HEAD,
        )
    )  # fmt: skip


def listen(host: str, port: int) -> socket.socket:
    """A socket to listen with. Raises UserError where there is no such address or the port is taken."""
    try:
        # With its protocol named, asyncio sends small answers at once (TCP_NODELAY), 40 ms sooner.
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise UserError(f"port: cannot listen at {host} port {port}: {error.strerror}; choose another --port") from None
    return listener


def _parser() -> CommandParser:
    parser = CommandParser(
        prog="python -m src serve",
        description="Serves a network over HTTP, with a page to try it on. Other options are those of eval.py: --pretrained "
        "FILE, --backbone, --platform, --use_ema, --top_k, ...",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at; one that others reach needs a token [127.0.0.1]")
    add("--port", type=_number(0, 65535), default=8000, help="port; 0: a free one [8000]")
    add("--token_file", type=Path, help="file with the token that clients must send [variable RESNET_ZOO_TOKEN]")
    add("--largest_batch", type=_number(1, 1024), default=8, help="images that go through the network together [8]")
    add("--queue", type=_number(1, 100_000), default=64, help="images that wait or are classified; more get status 429 [64]")
    add("--megabytes", type=_number(1, 1024), default=10, help="largest request [10]")
    add("--megapixels", type=_number(1, 178), default=50, help="largest image [50]")
    add("--timeout", type=_number(1, 3600), default=30, help="seconds for a request to arrive, and for its answer [30]")
    return parser


def _number(low: int, high: int) -> Any:
    def number(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    number.__name__ = f"number from {low} to {high}"  # of argparse's message
    return number


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
