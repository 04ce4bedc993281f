"""Published weights: listed as data, downloaded from a local server that cuts, lies and resumes."""

import dataclasses
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from cases import STATE, assert_holds
from torch_writer import write_state

import eval as evaluation
import export
import train
from conftest import run_arguments
from src import checkpoint
from src.errors import UserError
from src.library import load
from src.models.create import create_model
from src.networks.published import find_accuracy
from src.networks.registry import find_model, list_models
from src.weights import downloading, listing
from src.weights.__main__ import main
from src.weights.by_name import local_path


class Server(ThreadingHTTPServer):
    """Serves one content; `cut` bytes of it with the first request, whole or from a range with the next."""

    content, cut, ranges = b"", 0, True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        asked = self.headers.get("Range", "")
        self.server.asked.append(asked)
        start = int(asked[6:-1]) if asked and self.server.ranges else 0
        rest = self.server.content[start:]
        self.send_response(206 if start else 200)
        if start:
            size = len(self.server.content)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        if self.server.cut:
            rest, self.server.cut = rest[: self.server.cut], 0
        self.wfile.write(rest)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path):
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        found.content = write_state(tmp_path / "published.pth", STATE).read_bytes()
        yield found
        found.shutdown()
        thread.join()


def file_on(server, network: str, **values) -> listing.Published:
    return dataclasses.replace(
        listing.named("torchvision:resnet50.IMAGENET1K_V2"), name=f"local:{network}.ours", network=network,
        url=f"http://127.0.0.1:{server.server_port}/weights/ours.pth",
        sha256=hashlib.sha256(server.content).hexdigest()[:8], megabytes=round(len(server.content) / 2**20, 3), **values,
    )  # fmt: skip


@pytest.fixture
def file(server, monkeypatch):
    """A published file of resnet20 on the server, which `named` finds."""
    found = file_on(server, "resnet20", image_size=32, resize=40)
    monkeypatch.setattr(listing, "published", lambda: [found])
    return found


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_cut_goes_on_and_is_imported(server, file, ranges, tmp_path, command, refused):
    server.cut, server.ranges = 1000, ranges
    arguments = ["download", file.name, "--output", tmp_path / "x.ckpt", "--cache_dir", tmp_path / "cache"]
    line = refused(main, *arguments)
    assert "cut after 1000 of" in line and "--backbone resnet20 --source FILE" in line
    assert command(main, *arguments)[0] == 0
    assert server.asked == ["", "bytes=1000-"]
    preprocessing = assert_holds(tmp_path / "x.ckpt", STATE).preprocessing
    assert (preprocessing.image_size, preprocessing.resize) == ((32, 32), 40)
    assert command(main, *arguments)[0] == 0 and len(server.asked) == 2  # from the cache
    assert checkpoint.load(tmp_path / "x.ckpt").info.backbone == "resnet20"


def test_another_content_or_size_is_refused_and_nothing_of_it_is_kept(server, file, tmp_path):
    server.content = bytes(len(server.content))
    with pytest.raises(UserError, match=f"its SHA-256 is .*, published is {file.sha256}"):
        downloading.download(file, tmp_path)
    server.content += bytes(1 << 20)
    with pytest.raises(UserError, match=f"has {len(server.content)} bytes, expected {file.megabytes} MB"):
        downloading.download(file, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".part", ".pth") and path.name != "published.pth"]


def test_without_a_network_one_line_has_the_address_and_the_next_command(file, monkeypatch, tmp_path, refused):
    gone = dataclasses.replace(file, url="http://127.0.0.1:9/ours.pth")
    with pytest.raises(UserError, match=r"127.0.0.1:9/ours.pth: not downloaded: .*refused.*--source FILE --output"):
        downloading.download(gone, tmp_path)
    monkeypatch.setattr(listing, "published", lambda: [gone])
    line = refused(evaluation.main, "--predict", tmp_path, "--pretrained", file.name, "--cache_dir", tmp_path / "cache")
    assert "127.0.0.1:9/ours.pth: not downloaded" in line and "--backbone resnet20 --source FILE --output" in line
    assert "did you mean local:resnet20.ours?" in refused(
        evaluation.main, "--predict", tmp_path, "--pretrained", "local:resnet20.our"
    )


def test_by_its_name_a_published_file_is_trained_from_evaluated_exported_and_loaded(
    trained, server, monkeypatch, tmp_path, command
):
    """Downloaded and imported once; then no server is needed."""
    state = {p.name: p.asnumpy().copy() for p in create_model("resnext11_8x16d", 3).get_parameters()}
    server.content = write_state(tmp_path / "published.pth", state).read_bytes()
    found = file_on(server, "resnext11_8x16d", image_size=16, resize=20)
    monkeypatch.setattr(listing, "published", lambda: [found])
    monkeypatch.chdir(tmp_path)
    image, cache = next((trained["data"] / "val/red").iterdir()), tmp_path / "cache"
    common = ["--cache_dir", cache, "--platform", "CPU"]
    code, out, err = command(
        evaluation.main, "--predict", image, "--pretrained", found.name, "--predict_json", 1, "--top_k", 3, *common
    )
    assert code == 0, err
    probabilities = {answer["index"]: answer["probability"] for answer in json.loads(out)["predictions"]}
    model = load(found.name, cache_dir=str(cache), platform="CPU")
    assert model.preprocessing.image_size == (16, 16) and model.preprocessing.resize == 20
    assert {a.index: a.probability for a in model.predict(str(image))} == pytest.approx(probabilities, abs=1e-6)
    code, _, err = command(export.main, "--ckpt_file", found.name, "--file_format", "ONNX", *common)
    assert code == 0 and (tmp_path / "local_resnext11_8x16d.ours.onnx").is_file(), err
    values = {"pretrained": found.name, "per_batch_size": 36, "lr": 1e-9, "weight_decay": 0, "eval_interval": 0}
    assert command(train.main, *run_arguments(trained["data"], tmp_path, **values))[0] == 0
    weights = checkpoint.load(tmp_path / "run/last.ckpt").weights
    assert all(np.allclose(weights[n].asnumpy(), v, atol=1e-6) for n, v in state.items() if ".running_" not in n)
    imported = local_path(Path(found.name), str(cache))
    content = imported.read_bytes()
    imported.unlink()
    assert local_path(Path(found.name), str(cache)).read_bytes() == content  # by which a resumed run knows its teacher
    assert server.asked == [""]


def test_find_lists_what_is_published(command, refused):
    code, out, _ = command(main, "find", "resnet50")
    assert code == 0
    assert (
        "torchvision:resnet50.IMAGENET1K_V2  top-1 80.858 %, 224 of 232 pixels, bilinear, 97.8 MB, SHA-256 11ad3fa6" in out
    )
    assert "https://download.pytorch.org/models/resnet50-11ad3fa6.pth" in out and "timm:resnet50.a1_in1k" in out
    assert "publish no weights" in refused(main, "find", "resnet20")
    assert "did you mean torchvision:resnet50.IMAGENET1K_V2?" in refused(
        main, "download", "torchvision:resnet50.IMAGENET1K_V3", "--output", "x.ckpt"
    )


def test_every_row_is_of_a_network_here():
    files = listing.published()
    assert len({file.name for file in files}) == len(files) > 100
    for file in files:
        assert find_model(file.network) and file.url.startswith("https://") and file.resize >= file.image_size
        assert not file.sha256 or f"-{file.sha256}." in file.url


def test_the_rows_are_well_formed():
    for file in listing.published():
        assert re.fullmatch(r"https://[a-z0-9.-]+(/[\w.-]+)+\.(pth|safetensors|ckpt)", file.url)
        assert re.fullmatch(r"([0-9a-f]{8})?", file.sha256) and len(file.mean) == len(file.std) == 3
        assert file.top1 is not None and 60 < file.top1 < 90 and file.interpolation in ("bilinear", "bicubic")
        assert file.megabytes is None or 40 < file.megabytes < 512
        assert file.sha256 or file.url.startswith("https://huggingface.co/timm/")
    assert {file.name.partition(":")[0] for file in listing.published()} == {"torchvision", "timm", "resnest", "mindcv"}


@pytest.mark.parametrize("network", [name for name in list_models() if find_model(name).image_size > 32])
def test_published_accuracies_are_those_of_the_rows_and_the_best_of_them(network):
    """At the size of the network; rows of weights that were trained on more images are called `_ft_`."""
    accuracy, size, rows = find_accuracy(network), find_model(network).image_size, listing.find(network)
    top1, (who, _, what) = float(accuracy.top1), accuracy.source.partition(", ")
    named = {"torchvision": f"torchvision:{network}.{what}", "timm's results": f"timm:{network}.{what}"}
    publisher = "mindcv:" if who == "MindCV's README" else "resnest:"
    (row,) = [row for row in rows if (row.name == named[who] if who in named else row.name.startswith(publisher))]
    assert row.top1 == top1 if row.image_size == size else row.top1 > top1
    assert top1 >= max((row.top1 for row in rows if row.image_size == size and "_ft_" not in row.name), default=0)
