"""scripts/quickstart_picture.py draws what the run's files say."""

import importlib.util
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT


@pytest.fixture(scope="module")
def picture():
    specification = importlib.util.spec_from_file_location("quickstart_picture", ROOT / "scripts/quickstart_picture.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_losses_accuracies_digits_and_mistakes_are_those_of_the_run(picture, tmp_path):
    Image.fromarray(np.array([[0, 255], [255, 7]], np.uint8)).save(tmp_path / "digit.png")
    events = [
        {"event": "train", "epoch": 1, "loss": 2.0},
        {"event": "train", "epoch": 2, "loss": 0.5},
        {"event": "eval", "epoch": 2, "top1": 0.75},
    ]
    right = picture.Digit(tmp_path / "digit.png", "3", "3", 0.96)
    wrong = picture.Digit(tmp_path / "digit.png", "4", "9", 0.5)
    svg = ElementTree.fromstring(picture.draw(events, [right, right, right, wrong]))
    name = "{http://www.w3.org/2000/svg}"
    texts = {text.text: text.get("fill") for text in svg.iter(f"{name}text")}
    assert "3 of 4 right by the exported ONNX file; the others in red" in texts
    assert texts["75.00%"] == picture.ORANGE and texts["3: 96%"] == picture.GREEN and texts["9, is 4"] == picture.RED
    curve = [line.get("points") for line in svg.iter(f"{name}polyline") if line.get("stroke") == picture.BLUE]
    half, end = (picture.LEFT + picture.RIGHT) / 2, picture.RIGHT
    assert curve == [f"{half:.1f},{picture.TOP:.1f} {end:.1f},{picture.BOTTOM - (picture.BOTTOM - picture.TOP) / 4:.1f}"]
    shades = [path.get("fill") for path in svg.iter(f"{name}path")]
    assert shades == ["rgb(0,0,0)", "rgb(255,255,255)", "rgb(7,7,7)"] * 2  # one digit of the class, one mistake


def test_the_picture_in_the_readme_is_of_a_run_that_reached_the_goal():
    words = (ROOT / "docs/images/quickstart.svg").read_text(encoding="utf-8")
    assert ">357 of 360 right by the exported ONNX file; the others in red<" in words and ">99.17%<" in words
    assert "357 of 360 digits" in (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
