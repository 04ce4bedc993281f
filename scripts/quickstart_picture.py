"""Draws docs/images/quickstart.svg from what scripts/quickstart.sh left: how training went, what the exported file says.

Left the loss after every epoch and the validation top-1; right one digit of each class and all the mistakes, as the ONNX
file classifies them. Every number and every pixel is the run's.

Usage: python scripts/quickstart_picture.py, after bash scripts/quickstart.sh
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "outputs/quickstart"
PICTURE = ROOT / "docs/images/quickstart.svg"
WIDTH, HEIGHT = 900, 300
BLUE, ORANGE, GREEN, RED, GRAY = "#1f6feb", "#bf5700", "#1a7f37", "#cf222e", "#57606a"
LEFT, RIGHT, TOP, BOTTOM = 50, 385, 50, 250  # the chart, in pixels
CELL, COLUMNS = 76, 6  # a digit with its caption, and how many stand in a row


class Digit(NamedTuple):
    """A classified image: its file, class, the class that the network puts first, and that one's probability."""

    file: Path
    truth: str
    guess: str
    probability: float


def classify() -> list[Digit]:
    """All validation images, by eval.py and the ONNX file."""
    command = [sys.executable, "eval.py", "--predict", str(RUN / "data/val"), "--pretrained", str(RUN / "resnext.onnx")]
    lines = subprocess.run([*command, "--predict_json", "1"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    digits = []
    for line in map(json.loads, lines.splitlines()):
        file, best = Path(line["image"]), line["predictions"][0]
        digits.append(Digit(file, file.parent.name, best["class"], best["probability"]))
    return digits


def text(x: float, y: float, words: str, color: str = GRAY, size: int = 12, anchor: str = "start") -> str:
    """A line of text."""
    return f'<text x="{x:g}" y="{y:g}" fill="{color}" font-size="{size}" text-anchor="{anchor}">{words}</text>'


def line(points: Iterable[tuple[float, float]], color: str, width: float = 2) -> str:
    """A line through points."""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{width:g}"/>'


def chart(events: list[dict]) -> list[str]:
    """Loss and top-1 over the epochs."""
    losses = [(event["epoch"], event["loss"]) for event in events if event["event"] == "train"]
    top1s = [(event["epoch"], event["top1"]) for event in events if event["event"] == "eval"]
    last, highest = losses[-1][0], max(loss for _, loss in losses)

    def place(epoch: float, height: float) -> tuple[float, float]:
        return LEFT + (RIGHT - LEFT) * epoch / last, BOTTOM - (BOTTOM - TOP) * height

    parts = [text(LEFT, 28, "training loss", BLUE, 14), text(RIGHT, 28, "validation top-1", ORANGE, 14, "end")]
    parts += [line([place(0, 0), place(last, 0)], GRAY, 1), line([place(0, 0), place(0, 1)], GRAY, 1)]
    parts += [text(place(epoch, 0)[0], BOTTOM + 18, str(epoch), anchor="middle") for epoch, _ in losses if epoch % 2 == 0]
    parts.append(text((LEFT + RIGHT) / 2, BOTTOM + 36, "epoch", anchor="middle"))
    parts += [text(LEFT - 8, place(0, loss / highest)[1] + 4, f"{loss:.1f}", BLUE, anchor="end") for loss in (0, 1, 2)]
    parts.append(line([place(epoch, loss / highest) for epoch, loss in losses], BLUE))
    for epoch, top1 in top1s:
        x, y = place(epoch, top1)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{ORANGE}"/>')
        parts.append(text(x, y + 20, f"{top1:.2%}", ORANGE, anchor="middle" if epoch < last else "end"))
    return parts


def pixels(file: Path, x: float, y: float, side: float) -> str:
    """The image as squares, one path per shade; SVG files that hold other files are not shown everywhere."""
    image = Image.open(file).convert("L")
    size, shades = side / image.width, {}
    for place, shade in enumerate(image.tobytes()):
        row, column = divmod(place, image.width)
        shades.setdefault(shade, []).append(f"M{x + column * size:g} {y + row * size:g}h{size:g}v{size:g}h-{size:g}z")
    paths = "".join(f'<path fill="rgb({shade},{shade},{shade})" d="{"".join(path)}"/>' for shade, path in shades.items())
    return f'<g shape-rendering="crispEdges">{paths}</g>'


def gallery(digits: list[Digit]) -> list[str]:
    """The first image of every class, then every mistake."""
    shown = list({digit.truth: digit for digit in reversed(digits) if digit.truth == digit.guess}.values())[::-1]
    wrong = [digit for digit in digits if digit.truth != digit.guess]
    title = f"{len(digits) - len(wrong)} of {len(digits)} right by the exported ONNX file; the others in red"
    parts = [text(430, 28, title, size=14)]
    for number, digit in enumerate([*shown, *wrong]):
        row, column = divmod(number, COLUMNS)
        x, y = 430 + column * CELL, 44 + row * (CELL + 6)
        parts.append(pixels(digit.file, x, y, 56))
        correct = digit.truth == digit.guess
        caption = f"{digit.guess}: {digit.probability:.0%}" if correct else f"{digit.guess}, is {digit.truth}"
        parts.append(text(x + 28, y + 70, caption, GREEN if correct else RED, anchor="middle"))
    return parts


def draw(events: list[dict], digits: list[Digit]) -> str:
    """The picture as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        *chart(events), *gallery(digits), "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def main() -> int:
    """Draws the picture."""
    events = [json.loads(line) for line in (RUN / "run/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    PICTURE.write_text(draw(events, classify()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
