"""Many changed files for every reader, each reader in a process of its own: python tests/fuzz/run.py --count 100000

Exit code 1 where one ended the process, took longer than 20 seconds, needed more than 1 GB beyond what the process had at
its start, or raised anything but UserError. Those files are kept in --folder, to become cases of the tests.
"""

import argparse
import faulthandler
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECONDS = 20  # for one file
MEMORY = 1 << 30  # bytes
KINDS = ("read", "refused", "traceback")


def main() -> int:
    os.environ.setdefault("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "upb")  # the fast one makes the changed messages
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=100_000, help="files in all (default: %(default)s)")
    parser.add_argument("--reader", default="", help="this one only")
    parser.add_argument("--seed", type=int, default=0, help="another one gives other files")
    parser.add_argument("--folder", type=Path, help="where to keep files that were not refused as they should be")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    from readers import READERS

    if options.child:
        run_reader(READERS[options.reader], options)
        return 0
    folder = options.folder or Path(tempfile.mkdtemp(prefix="fuzz"))
    folder.mkdir(parents=True, exist_ok=True)
    names = [options.reader] if options.reader else list(READERS)
    bad = sum(run_all(name, -(-options.count // len(names)), options.seed, folder) for name in names)
    print(f"{bad} of {options.count} files did harm" + (f"; they are in {folder}" if bad else ""))
    return 1 if bad else 0


def run_all(name: str, count: int, seed: int, folder: Path) -> int:
    """Runs one reader; after a crash or a hang it goes on in a new process. Returns the number of files that did harm."""
    totals = dict.fromkeys((*KINDS, "crash", "hang"), 0)
    peak = 0
    while (left := count - sum(totals.values())) > 0:
        work = Path(tempfile.mkdtemp(dir=folder))
        command = [sys.executable, __file__, "--reader", name, "--count", str(left), "--folder", str(folder)]
        command += ["--seed", str(seed + sum(totals.values())), "--child", str(work)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        counts = (work / "counts").read_text().split() if (work / "counts").exists() else []
        if not counts:
            raise SystemExit(f"{name}: did not start: {done.stderr[-2000:]}")
        for kind, number in zip(KINDS, counts):
            totals[kind] += int(number)
        peak = max(peak, int(counts[-1]))
        if done.returncode:
            kind = "hang" if "Timeout (" in done.stderr else "crash"
            totals[kind] += 1
            shutil.copy(next(work.glob("current")), folder / f"{name}-{kind}-{seed + sum(totals.values())}")
            print(f"{name}: {kind}, exit code {done.returncode}: {done.stderr[-1500:]}")
        elif "Traceback" in done.stderr:
            print(f"{name}: {done.stderr[-3000:]}")
        shutil.rmtree(work)
    told = ", ".join(f"{number} {kind}" for kind, number in totals.items())
    print(f"{name}: {told}; at most {peak / 2**20:.0f} MB more than at the start", flush=True)
    return sum(totals[kind] for kind in ("traceback", "crash", "hang"))


def run_reader(make, options: argparse.Namespace) -> None:
    """The child: draws files and reads them. What it did stands in `counts`, the present file in `current`."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from src.errors import UserError

    work = options.child
    reader = make(work)
    counts = dict.fromkeys(KINDS, 0)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    current = work / "current"
    report = os.open(work / "counts", os.O_CREAT | os.O_WRONLY)

    def note() -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - start
        os.pwrite(report, f"{' '.join(map(str, counts.values()))} {peak:020}".encode(), 0)

    @seed(options.seed)
    @settings(
        max_examples=options.count, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(reader.changed)
    def run(content: bytes) -> None:
        if sum(counts.values()) == options.count:
            return
        current.write_bytes(content)
        reader.target.write_bytes(content)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            reader.read()
            counts["read"] += 1
        except UserError as error:
            counts["refused" if "\n" not in str(error) else "traceback"] += 1
        except Exception:
            counts["traceback"] += 1
            if counts["traceback"] <= 10:
                traceback.print_exc()
                shutil.copy(current, options.folder / f"{options.reader}-traceback-{options.seed + sum(counts.values())}")
        finally:
            faulthandler.cancel_dump_traceback_later()
        note()

    note()
    while sum(counts.values()) < options.count:
        before = sum(counts.values())
        run()
        if sum(counts.values()) == before:
            break


if __name__ == "__main__":
    sys.exit(main())
