"""Published weights: listed as data, downloaded from a local server that cuts, lies and resumes."""

import dataclasses
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cases import STATE, assert_holds
from torch_writer import write_state

from src import checkpoint
from src.errors import UserError
from src.networks.registry import find_model
from src.weights import downloading, listing
from src.weights.__main__ import main


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


@pytest.fixture
def file(server, monkeypatch):
    """A published file of resnet20 on the server, which `named` finds."""
    found = dataclasses.replace(
        listing.named("torchvision:resnet50.IMAGENET1K_V2"), name="local:resnet20.ours", network="resnet20",
        url=f"http://127.0.0.1:{server.server_port}/weights/ours.pth", image_size=32, resize=40,
        sha256=hashlib.sha256(server.content).hexdigest()[:8], megabytes=round(len(server.content) / 2**20, 3),
    )  # fmt: skip
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


def test_without_a_network_one_line_has_the_address_and_the_next_command(file, tmp_path, refused):
    gone = dataclasses.replace(file, url="http://127.0.0.1:9/ours.pth")
    with pytest.raises(UserError, match=r"127.0.0.1:9/ours.pth: not downloaded: .*refused.*--source FILE --output"):
        downloading.download(gone, tmp_path)


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
