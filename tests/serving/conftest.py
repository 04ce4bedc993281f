"""The trained network, ready to be served."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the server is an optional extra: pip install '.[serve]'")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
sys.path.insert(0, str(Path(__file__).parent))

from servers import LIMITS, running  # noqa: E402

from src.config import build_config  # noqa: E402
from src.serving.monitor import Monitor  # noqa: E402
from src.serving.network import Network  # noqa: E402


@pytest.fixture(scope="module")
def network(trained):
    config = build_config({"pretrained": str(trained["ckpt"]), "platform": "CPU"})
    network = Network(config, LIMITS, largest_batch=4, monitor=Monitor())
    yield network
    network.close()


@pytest.fixture(scope="module")
def port(network):
    with running(network) as port:
        yield port
