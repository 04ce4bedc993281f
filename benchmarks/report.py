"""How long the page of a large evaluation takes, and how large it is: 1,000 classes, 50,000 images, 15,000 lines of metrics.

Usage: python benchmarks/report.py [--classes 1000] [--images 50000] [--output FILE]. Exits with 1 above 5 MB or 10 s.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/report")]

from runs import write_run  # noqa: E402

from src.report.page import NAME, write_page  # noqa: E402
from src.report.run_files import read_run  # noqa: E402


def main() -> int:
    """Makes a run of that size and times its page, all of it: reading the run, plots, writing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--lines", type=int, default=15_000, help="of metrics.jsonl")
    parser.add_argument("--output", default="", help="JSON file to write")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder) / "run", arguments.classes, arguments.images, lines=arguments.lines)
        began, used = time.perf_counter(), time.process_time()
        write_page([read_run(run)], run / NAME)
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        size = (run / NAME).stat().st_size
    print(f"report.html: {size / 1e6:.2f} MB in {seconds:.2f} s ({cpu:.2f} s on one core)")
    if arguments.output:
        figures = {**vars(arguments), "bytes": size, "seconds": seconds, "core_seconds": cpu}
        Path(arguments.output).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return int(size > 5e6 or seconds > 10)


if __name__ == "__main__":
    sys.exit(main())
