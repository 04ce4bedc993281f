"""Cost of checking image files before they are used (src/data/scan.py), in seconds per million files.

Makes JPEG files of the size of ImageNet's (500x375 pixels, about 50 KB) and times `index_folder` and `find_problems` on
them: scans "full" and "headers", 1 and 2 processes, first without and then with the results of an earlier run. The files
were written just before, so that reading them from a disk is not part of it.

Usage: python benchmarks/scan.py [--files 2000] [--copies 5] [--output FILE]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

WIDTH, HEIGHT = 500, 375


def main() -> None:
    """Makes the files, measures and prints a table."""
    from src.device import available_cores

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000, help="different images")
    parser.add_argument("--copies", type=int, default=5, help="hard links to each: more files to scan, but not to make")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of which the median is reported")
    parser.add_argument("--output", default="", help="JSON file to write")
    arguments = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        size = make_files(Path(folder) / "images", arguments.files, arguments.copies)
        root, number = Path(folder) / "images", arguments.files * arguments.copies
        print(
            f"{number:,} files of {WIDTH}x{HEIGHT} pixels, {size / 1000:.0f} KB on average; {available_cores()} cores, "
            f"load {os.getloadavg()[0]:.2f}, Pillow {Image.__version__}"
        )
        head = f"{'scan':<10}{'processes':>10}{'earlier result':>16}{'files/s':>10}"
        print(head + f"{'s per million':>15}{'core-s per million':>20}")
        for scan in ("full", "headers"):
            for processes in (1, 2):
                for result in measure(root, number, scan, processes, Path(folder) / "cache", arguments.repeats):
                    results.append(result)
                    print(
                        f"{scan:<10}{processes:>10}{'yes' if result['cached'] else 'no':>16}{result['files_per_s']:>10,.0f}"
                        f"{result['seconds_per_million']:>15,.0f}{result['core_seconds_per_million']:>20,.0f}"
                    )
    if arguments.output:
        report = {**vars(arguments), "cores": available_cores(), "bytes_per_file": size, "results": results}
        Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def make_files(folder: Path, number: int, copies: int) -> float:
    """Writes folder/<copy>/<i>.jpg; returns the average size in bytes."""
    for copy in range(copies):
        (folder / str(copy)).mkdir(parents=True)
    sizes = []
    for i in range(number):
        first = folder / "0" / f"{i}.jpg"
        draw_photo(np.random.default_rng(i)).save(first, quality=90)
        sizes.append(first.stat().st_size)
        for copy in range(1, copies):
            os.link(first, folder / str(copy) / first.name)
    return statistics.mean(sizes)


def draw_photo(generator: np.random.Generator) -> Image.Image:
    """Soft shapes, gradients and noise, which compress about as well as a photo does."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / HEIGHT
    slopes = generator.uniform(-80, 80, (2, 3))
    shapes = Image.fromarray(generator.integers(0, 256, (24, 32, 3), np.uint8))
    shapes = shapes.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    pixels = 0.6 * np.asarray(shapes, float) + 50 + x[..., None] * slopes[0] + y[..., None] * slopes[1]
    pixels += generator.normal(0, 4.5, pixels.shape[:2])[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def measure(root: Path, number: int, scan: str, processes: int, cache: Path, repeats: int) -> list:
    """One result without and one with the results of an earlier run, for `number` files below `root`."""
    # Within functions, as in the entry scripts: what a program imports at its top every process of the scan imports too.
    from src.data.scan import find_problems
    from src.data.sources.folder import index_folder

    seconds = {False: [], True: []}
    cpu_seconds = {False: [], True: []}
    for repeat in range(repeats):
        for cached in (False, True):
            before, cpu_before = time.perf_counter(), used_cpu_seconds()
            folder = cache / f"{scan}{processes}{repeat}"
            problems = find_problems(index_folder(root, folder), scan, folder, processes)
            seconds[cached].append(time.perf_counter() - before)
            cpu_seconds[cached].append(used_cpu_seconds() - cpu_before)
            if problems:
                raise RuntimeError(f"{len(problems)} good files count as bad: {next(iter(problems.values()))}")
    return [
        {
            "scan": scan,
            "processes": processes,
            "cached": cached,
            "files_per_s": number / statistics.median(seconds[cached]),
            "seconds_per_million": 1e6 / number * statistics.median(seconds[cached]),
            "core_seconds_per_million": 1e6 / number * statistics.median(cpu_seconds[cached]),
        }
        for cached in (False, True)
    ]


def used_cpu_seconds() -> float:
    """CPU time of this process and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
