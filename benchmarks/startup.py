"""Time and memory from the start of a training run to its first batch, by number of image files.

Makes folders of class folders with hard links to tiny JPEG files (32x32 pixels, 1,280 files a class) and runs, each time in
a fresh process, what train.py does first: list and check the files, build the input pipeline, deliver one batch. Scans
"off", "headers" and "full"; first without any cache, then with the cache of that run. Files and folders were made just
before, so that reading them from a disk is not part of it; decoding large images in a full scan is not either (scan.py
measures it).

Usage: python benchmarks/startup.py [--sizes 10000,100000,1280000] [--folder FOLDER] [--workers 2] [--output FILE]
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

SCANS = ("off", "headers", "full")
FILES_PER_CLASS = 1280
CLOCK_STEP_SECONDS = 2.5  # younger folders are listed again, because they may change again within the same tick


def main() -> None:
    """Makes the folders, measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="10000,100000,1280000", help="numbers of files")
    parser.add_argument("--folder", default=None, help="where to make the folders (default: the system's temporary folder)")
    parser.add_argument("--workers", type=int, default=2, help="processes of the scan, threads of the pipeline")
    parser.add_argument("--output", default="", help="JSON file to write")
    parser.add_argument("--measure", nargs=3, metavar=("DATA", "CACHE", "SCAN"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, arguments.workers)))
        return
    results = []
    stages = ("import", "list", "check", "batch", "total")
    print("seconds, and MB of the largest resident set; 'index' is the growth while listing and checking")
    columns = (*stages, "CPU s", "peak MB", "index")
    print(f"{'files':>9} {'scan':<8}{'cache':<6}" + "".join(f"{column:>9}" for column in columns))
    for size in map(int, arguments.sizes.split(",")):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            make_files(Path(folder) / "images", size)
            time.sleep(CLOCK_STEP_SECONDS)
            for scan in SCANS:
                for cached in (False, True):
                    result = {"files": size, "scan": scan, "cached": cached}
                    result.update(run_child(Path(folder), scan, arguments.workers))
                    results.append(result)
                    seconds = "".join(f"{result[stage]:>9.2f}" for stage in stages)
                    print(
                        f"{size:>9} {scan:<8}{'yes' if cached else 'no':<6}{seconds}{result['cpu']:>9.2f}"
                        f"{result['peak_mb']:>9.0f}{result['index_mb']:>9.0f}",
                        flush=True,
                    )
    if arguments.output:
        report = {**vars(arguments), "load": os.getloadavg(), "results": results}
        Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def make_files(folder: Path, number: int) -> None:
    """Writes folder/<class>/<i>.JPEG, one file of its own per class and links to it: an inode has few links only."""
    free = os.statvfs(folder.parent).f_favail
    if 0 < free < number // FILES_PER_CLASS * 2 + 1000:
        raise SystemExit(f"{folder.parent}: only {free} inodes are free; choose another --folder")
    for label, start in enumerate(range(0, number, FILES_PER_CLASS)):
        directory = folder / f"n{label:08}"
        directory.mkdir(parents=True)
        pixels = np.random.default_rng(label).integers(0, 256, (32, 32, 3), np.uint8)
        first = str(directory / f"{directory.name}_{0:06}.JPEG")
        Image.fromarray(pixels).save(first)
        for i in range(1, min(FILES_PER_CLASS, number - start)):
            os.link(first, f"{directory}/{directory.name}_{i:06}.JPEG")


def run_child(folder: Path, scan: str, workers: int) -> dict:
    """One start in a process of its own."""
    measured = ["--measure", str(folder / "images"), str(folder / f"cache-{scan}"), scan]
    command = [sys.executable, __file__, "--workers", str(workers), *measured]
    before = time.perf_counter()
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {**json.loads(output.splitlines()[-1]), "total": time.perf_counter() - before}


def measure(data: str, cache: str, scan: str, workers: int) -> dict:
    """Seconds of each stage and megabytes, in this process (CPU seconds with those of the scan's processes)."""
    started = time.perf_counter()
    from src import device
    from src.config import build_config

    config = build_config({"data_dir": data, "image_size": "32,32", "per_batch_size": 8, "platform": "CPU"})
    device.prepare(config)
    from src.data.pipeline import read_batches, train_pipeline
    from src.data.scan import usable_images
    from src.data.sources.folder import index_folder

    seconds = {"import": time.perf_counter() - started}
    before = peak_megabytes()
    started = time.perf_counter()
    index = index_folder(Path(data), Path(cache), check_files=scan != "off")
    seconds["list"] = time.perf_counter() - started
    started = time.perf_counter()
    index = usable_images(index, scan, "stop", Path(cache), workers)
    seconds["check"] = time.perf_counter() - started
    after = peak_megabytes()
    started = time.perf_counter()
    next(read_batches(train_pipeline(index, config, 0, workers)))
    seconds["batch"] = time.perf_counter() - started
    times = os.times()
    cpu = times.user + times.system + times.children_user + times.children_system
    return {**seconds, "cpu": cpu, "peak_mb": peak_megabytes(), "index_mb": after - before}


def peak_megabytes() -> float:
    """The largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
