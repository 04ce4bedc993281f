"""The pages that scripts/make_docs.py writes are those of the present keys, networks and recipes."""

import importlib.util
import re

import pytest
from pages import read

from conftest import ROOT
from src import device
from src.config import build_config
from src.networks.registry import list_models

ROW = re.compile(r"^\| `(\w+)` \| \d+ x \d+ \| ([\d,]+) \| ([\d.]+ G) \|", re.MULTILINE)


@pytest.fixture(scope="module")
def make_docs():
    specification = importlib.util.spec_from_file_location("make_docs", ROOT / "scripts/make_docs.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def counts() -> dict:
    """Network -> parameters and multiply-adds, as the page has them."""
    return {name: (parameters, adds) for name, parameters, adds in ROW.findall(read(ROOT / "docs/networks.md"))}


def test_pages_are_current(make_docs):
    assert list(counts()) == list_models(), "run python scripts/make_docs.py"
    texts, missing = make_docs.pages(counts())
    stale = [name for name, text in texts.items() if read(ROOT / name) != text]
    assert not stale, "run python scripts/make_docs.py"
    of_keys = {text for key in make_docs.KEYS.values() for text in (key.text, key.section)}
    assert set(missing) <= of_keys  # a new key may wait for its Chinese text


@pytest.mark.slow
def test_the_page_of_networks_holds_what_is_counted(make_docs):
    device.prepare(build_config({"platform": "CPU"}))  # before anything computes
    from src.models.complexity import count_multiply_adds, count_parameters
    from src.models.create import create_model
    from src.networks.registry import find_model

    for name in ("resnet18", "resnext50_32x4d", "resnet20", "resnext11_8x16d"):
        spec = find_model(name)
        network = create_model(name, 10 if spec.stem == "cifar" else 1000)
        counted = count_multiply_adds(network, (spec.image_size, spec.image_size))
        assert counts()[name] == (f"{count_parameters(network):,}", f"{counted / 1e9:.3f} G")


def test_a_new_key_and_a_changed_text_appear_without_a_translation(make_docs, monkeypatch):
    key = make_docs.KEYS["lr"]._replace(name="speed", text="how fast | how slow")
    monkeypatch.setitem(make_docs.KEYS, "speed", key)
    texts, missing = make_docs.pages(counts())
    for page in ("docs/keys.md", "docs/zh/keys.md"):
        assert "| `speed` * | `0.05` | train | how fast \\| how slow |" in texts[page]
    assert missing == ["how fast | how slow"]
