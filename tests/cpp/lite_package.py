"""The real MindSpore Lite: the wheel of release 2.0.0, which has headers, runtime and converter, unpacked and kept."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "outputs/.cache/mindspore_lite-2.0.0"
SHA256 = "199cd0605cc985b88eddb273db9dfe9000a585ba10ca2292b6b36ebfff07b3ec"
# Its Python part is for Python 3.7, so that it cannot be installed; it is only unpacked.
PLATFORM = ["--python-version=37", "--implementation=cp", "--abi=cp37m", "--platform=manylinux1_x86_64"]
UNUSED = ("transformer", "tensorrt", "unified", "dvpp", "_c_lite_wrapper", ".py")


def lite_home() -> str:
    """The folder for LITE_HOME; "" where it is neither kept nor can be had: see `reason`."""
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    with open(KEPT.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test process may be at it
        if not KEPT.is_dir() and not KEPT.with_suffix(".reason").exists():
            _fetch()
    return str(KEPT) if KEPT.is_dir() else ""


def reason() -> str:
    """Why there is none. Removing outputs/.cache/mindspore_lite-2.0.reason tries again."""
    return KEPT.with_suffix(".reason").read_text()


def _fetch() -> None:
    work = KEPT.with_suffix(".work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
        "--retries=1",
        "--timeout=20",
    ]
    outcome = subprocess.run(
        [*pip, "--dest", str(work), *PLATFORM, "mindspore-lite==2.0.0"], capture_output=True, text=True, check=False
    )
    wheels = list(work.glob("*.whl"))
    if outcome.returncode or not wheels:
        lines = outcome.stderr.strip().splitlines() or ["no wheel"]
        KEPT.with_suffix(".reason").write_text(f"the wheel of MindSpore Lite cannot be had: {lines[-1]}")
    elif hashlib.sha256(wheels[0].read_bytes()).hexdigest() != SHA256:
        KEPT.with_suffix(".reason").write_text("the wheel of MindSpore Lite has another checksum than the one known here")
    else:
        with zipfile.ZipFile(wheels[0]) as wheel:
            names = [name for name in wheel.namelist() if not any(part in name for part in UNUSED)]
            wheel.extractall(work / "unpacked", names)
        (work / "unpacked").rename(KEPT)
    shutil.rmtree(work)
