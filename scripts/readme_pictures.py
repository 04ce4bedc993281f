"""Makes the pictures of the README in docs/images: a report, the server's page, and where a network sees a temple.

report.png: the report that scripts/quickstart.sh left, as Chromium shows some of its sections. page.png: the page of a
server of the quickstart's network, asked about the two digits that it got right with the least confidence. heat.jpg: a
small network learns to tell pieces of scikit-learn's two photographs apart, a temple and a flower, and is then asked about
a picture that is half the one and half the other.

Usage: python scripts/readme_pictures.py, after bash scripts/quickstart.sh; needs requirements-dev.txt and Chromium
"""

import base64
import contextlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs/images"
QUICKSTART = ROOT / "outputs/quickstart"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser import chromium  # noqa: E402

from src.report import answers  # noqa: E402
from src.report.numbers import unsurest_hits  # noqa: E402

SECTIONS = ("cards", "curves", "confusion", "mistakes")
MARGIN = 20  # pixels around the sections
PIECE = 128  # pixels of the photographs, 427 x 640
NETWORK = ("--backbone", "resnet20", "--num_classes", "2", "--platform", "CPU")
TRAINING = ("--image_size", "64,64", "--per_batch_size", "16", "--max_epoch", "12", "--lr", "0.05", "--eval_interval", "4")


def set_size(driver: Any, width: int, height: int) -> None:
    """A window that is as high as the page or higher has no scroll bar, which would come and go with screenshots."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def screenshot(driver: Any, box: dict[str, float]) -> Image.Image:
    """A part of a page. Selenium's own screenshots of elements leave fractions of pixels away."""
    clip = {"scale": 1, "x": int(box["x"]), "y": int(box["y"]), "width": box["width"], "height": int(box["height"]) + 2}
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip})
    return Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")


def picture_of_report(report: Path) -> Image.Image:
    """Some sections of a report one below the other, as a wide window shows them."""
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as driver:
        set_size(driver, 1240, 4000)
        driver.get(report.as_uri())
        elements = [driver.find_element("css selector", f".{name}, #{name}") for name in SECTIONS]
        parts = [screenshot(driver, element.rect) for element in elements]
    size = (max(part.width for part in parts) + 2 * MARGIN, sum(part.height + MARGIN for part in parts) + MARGIN)
    whole, top = Image.new("RGB", size, "white"), MARGIN
    for part in parts:
        whole.paste(part, (MARGIN, top))
        top += part.height + MARGIN
    return whole


@contextlib.contextmanager
def server_of(model: Path) -> Iterator[str]:
    """The address of a server that runs while the block does."""
    command = [sys.executable, "-m", "src", "serve", "--pretrained", model, "--platform", "CPU", "--port", "0"]
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        line = next(line for line in process.stdout if " at http://" in line)
        yield line.partition(" at ")[2].split()[0]
    finally:
        process.terminate()
        process.wait()


def picture_of_page(run: Path, images: Path) -> Image.Image:
    """The server's page with the answers to two images of an evaluation, in full."""
    from selenium.webdriver.support.ui import WebDriverWait

    found = answers.load(run / answers.NAME)
    assert found
    asked = [images / found.pictures[position].name for position in unsurest_hits(found)[:2]]
    with (
        server_of(run / "last.ckpt") as address,
        tempfile.TemporaryDirectory() as profile,
        chromium(Path(profile)) as driver,
    ):
        set_size(driver, 760, 1500)
        driver.get(address)
        WebDriverWait(driver, 20).until(lambda _: driver.find_element("id", "network").text)
        driver.find_element("id", "files").send_keys("\n".join(map(str, asked)))
        WebDriverWait(driver, 20).until(lambda _: len(driver.find_elements("css selector", "article")) == len(asked))
        return screenshot(driver, driver.find_element("tag name", "main").rect)


def write_pieces(photos: dict[str, np.ndarray], folder: Path) -> None:
    """Squares of every photograph: for training from its left two thirds, for validation from the rest."""
    chance = np.random.default_rng(1)
    for name, pixels in photos.items():
        for part, count, left, right in (("train", 96, 0, 426), ("val", 24, 427, 640)):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                y, x = chance.integers(0, pixels.shape[0] - PIECE), chance.integers(left, right - PIECE)
                Image.fromarray(pixels[y : y + PIECE, x : x + PIECE]).save(folder / part / name / f"{number}.png")


def picture_of_heat(folder: Path) -> Image.Image:
    """The half-and-half picture, and the same under the heat map of what the network puts first."""
    from sklearn.datasets import load_sample_image

    photos = {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}
    write_pieces(photos, folder / "data")
    halves = np.concatenate([photos["china"][:416, 160:480], photos["flower"][:416, 160:480]], axis=1)
    Image.fromarray(halves).save(folder / "halves.png")
    cache = ("--cache_dir", folder / "cache")
    run("train.py", *NETWORK, *TRAINING, *cache, "--data_dir", folder / "data", "--ckpt_path", folder / "run", "--report", 0)
    network = ("--pretrained", folder / "run/best.ckpt", "--image_size", "208,320", "--eval_resize", "320")
    run("eval.py", "--predict", folder / "halves.png", *network, *cache, "--explain", folder / "heat.png")
    return Image.open(folder / "heat.png").convert("RGB")


def run(*command: object) -> None:
    """Runs a command of this repository."""
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True)


def save_png(picture: Image.Image, path: Path) -> None:
    """Writes a screenshot, which has few colors, as a small file."""
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


def main() -> int:
    """Writes them."""
    save_png(picture_of_report(QUICKSTART / "run/report.html"), IMAGES / "report.png")
    save_png(picture_of_page(QUICKSTART / "run", QUICKSTART / "data/val"), IMAGES / "page.png")
    with tempfile.TemporaryDirectory() as folder:
        picture_of_heat(Path(folder)).resize((960, 312)).save(IMAGES / "heat.jpg", quality=80, optimize=True)
    for name in ("report.png", "page.png", "heat.jpg"):
        print(f"docs/images/{name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
