"""What the server answers: the library's predictions, or the status that says what is wrong."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from servers import LIMITS, ask, form, running

import src as zoo
from src.config import build_config
from src.evaluation.gradcam import heat_maps
from src.serving.monitor import Monitor
from src.serving.network import Network


@pytest.fixture(scope="module")
def paths(trained) -> list:
    return sorted((trained["data"] / "val").rglob("*.*"))[::5]


def found(answer: dict) -> list:
    return [(p["class"], p["index"], p["probability"]) for p in answer["predictions"]]


def test_a_picture_gets_the_answer_of_the_library(port, trained, paths):
    model = zoo.load(trained["ckpt"], platform="CPU")
    for path in paths:
        status, answer, _ = ask(port, body=path.read_bytes())
        expected = model.predict(path, top_k=5)
        assert status == 200 and [(p.name, p.index) for p in expected] == [pair[:2] for pair in found(answer["images"][0])]
        np.testing.assert_allclose(
            [p.probability for p in expected], [p for _, _, p in found(answer["images"][0])], atol=1e-5
        )
    assert answer["milliseconds"] > 0 and answer["images"][0]["image"] is None


def test_a_class_of_imagenet_comes_with_its_words(port, network, paths, monkeypatch):
    monkeypatch.setattr(network.model, "classes", ("n02123045", "n01440764", "my cat"))
    predictions = ask(port, body=paths[0].read_bytes())[1]["images"][0]["predictions"]
    assert sorted((p["class"], p.get("words")) for p in predictions) == [
        ("my cat", None), ("n01440764", "tench, Tinca tinca"), ("n02123045", "tabby, tabby cat"),
    ]  # fmt: skip


def test_a_form_of_several_pictures(port, paths):
    body, kind = form(*[(path.name, path.read_bytes()) for path in paths])
    status, answer, _ = ask(port, "/predict?top_k=2", body, content_type=kind)
    assert status == 200 and [image["image"] for image in answer["images"]] == [path.name for path in paths]
    alone = [ask(port, "/predict?top_k=2", path.read_bytes())[1]["images"][0] for path in paths]
    for one, other in zip(answer["images"], alone):
        assert len(found(one)) == 2
        np.testing.assert_allclose([row[1:] for row in found(one)], [row[1:] for row in found(other)], atol=1e-5)


def test_a_heat_map_lies_on_what_the_network_saw(port, network, paths):
    status, answer, _ = ask(port, "/predict?explain=1", paths[0].read_bytes())
    layer, seen = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["images"][0][name].partition(",")[2]))))
        for name in ("heat_map", "seen")
    )
    image = network.prepare(paths[0].read_bytes())
    (expected,) = heat_maps(network.model.inside(), image[None])
    assert status == 200 and layer.shape == (16, 16, 4) and seen.shape == (16, 16, 3)
    np.testing.assert_allclose(layer[:, :, 3] / 200, expected, atol=1 / 199)
    original = np.asarray(Image.open(paths[0]).resize((18, 18), Image.Resampling.BILINEAR).convert("RGB"))[1:17, 1:17]
    assert abs(seen.mean((0, 1)) - original.mean((0, 1))).max() < 12  # the same colors, through JPEG


def test_an_export_answers_as_its_checkpoint(port, exported, paths):
    config = build_config({"pretrained": str(exported), "platform": "CPU"})
    served = Network(config, LIMITS, largest_batch=2, monitor=Monitor())
    with running(served) as other:
        for path in paths[:3]:
            answers = [ask(p, body=path.read_bytes())[1]["images"][0] for p in (port, other)]
            assert [row[0] for row in found(answers[0])] == [row[0] for row in found(answers[1])]
            np.testing.assert_allclose([r[2] for r in found(answers[0])], [r[2] for r in found(answers[1])], atol=1e-4)


def png(width: int, height: int) -> bytes:
    """A PNG file of this size in its header; there are no pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("body", "headers", "path", "status", "message"),
    [
        (b"no image", {}, "/predict", 415, "the image is not an image"),
        (b"GIF89a", {}, "/predict", 415, "is a GIF file; JPEG, PNG"),
        (b"", {}, "/predict", 422, "the image is empty"),
        (b"\xff\xd8\xff\xe0", {}, "/predict", 422, "cannot be decoded"),
        (png(20, 20), {}, "/predict", 422, "the image"),
        (png(2000, 2000), {}, "/predict", 413, "2000 x 2000 pixels; at most 65500 a side and 1000000 in all"),
        (bytes(2 << 20), {}, "/predict", 413, "more than the 1048576 bytes"),
        (b"x", {}, "/predict?top_k=9", 400, "top_k: expected 1 to 3"),
        (b"x", {}, "/predict?top_k=-1", 400, "top_k: expected 1 to 3"),
        (b"abc", {"content_type": "multipart/form-data; boundary=x"}, "/predict", 400, "not a form of files"),
        (b"abc", {"content_type": "multipart/form-data"}, "/predict", 400, "not a form of files"),
        (form()[0], {"content_type": form()[1]}, "/predict", 400, "the form holds no file"),
        (form(*[("a", b"")] * 17)[0], {"content_type": form()[1]}, "/predict", 400, "not a form of files: Too many files"),
        (form(*[("a", b"x")] * 9)[0], {"content_type": form()[1]}, "/predict", 429, "images are waiting"),
        (None, {}, "/predict", 405, "Method Not Allowed"),
        (None, {}, "/nowhere", 404, "Not Found"),
        (None, {}, "/..%2f..%2fetc/passwd", 404, "Not Found"),
        (b"x", {"host": "stranger.example"}, "/predict", 403, "answers to localhost alone"),
        (b"x", {"host": "[::1"}, "/predict", 403, "answers to localhost alone"),
        (b"x", {"origin": "https://stranger.example"}, "/predict", 403, "pages of other sites"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_status_and_a_line(port, network, body, headers, path, status, message):
    found_status, answer, _ = ask(port, path, body, **headers)
    assert found_status == status and message in answer["error"] and "\n" not in answer["error"]
    assert network.inside == 0


def test_a_body_without_a_length_is_limited_too(port):
    status, answer, _ = ask(port, body=(bytes(0x10000) for _ in range(20)))
    assert status == 413 and "more than the 1048576 bytes" in answer["error"]


def test_a_token_is_asked_for_where_there_is_one(network, paths):
    with running(network, token=b"a token of some length") as port:
        body = paths[0].read_bytes()
        for headers in (
            {},
            {"authorization": "Bearer wrong"},
            {"authorization": "Bearer \xe9"},
            {"authorization": "a token"},
        ):
            status, answer, given = ask(port, body=body, **headers)
            assert (status, given["www-authenticate"]) == (401, "Bearer") and "no token" in answer["error"]
        assert ask(port, "/metrics")[0] == 401
        right = {"authorization": "Bearer a token of some length"}
        assert ask(port, body=body, host="any.name", **right)[0] == 200 and ask(port, "/metrics", **right)[0] == 200
        assert ask(port, "/healthz")[1]["asks_for_token"] is True and ask(port, "/")[0] == 200


def test_counters_are_in_the_format_of_prometheus(port, paths):
    from prometheus_client.parser import text_string_to_metric_families

    def value(name: str, **labels: str) -> float:
        families = text_string_to_metric_families(ask(port, "/metrics")[1].decode())
        samples = [sample for family in families for sample in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    names = ("resnet_zoo_images_total", "resnet_zoo_predict_seconds_count", "resnet_zoo_batch_images_sum")
    before = [value(name) for name in names]
    bad = value("resnet_zoo_requests_total", path="/predict", status="415")
    for path in paths[:3]:
        assert ask(port, body=path.read_bytes())[0] == 200
    ask(port, body=b"no image")
    ask(port, "/some/where")
    assert [value(name) for name in names] == [number + 3 for number in before]
    assert value("resnet_zoo_requests_total", path="/predict", status="415") == bad + 1
    assert value("resnet_zoo_requests_total", path="other", status="404") >= 1
    assert value("process_resident_memory_bytes") > 1e7 and value("resnet_zoo_queue_images") == 0


def test_every_answer_keeps_other_pages_out(port):
    for path in ("/", "/page.js", "/healthz", "/nowhere"):
        headers = ask(port, path)[2]
        assert headers["content-security-policy"].startswith("default-src 'none'") and headers["x-content-type-options"]
