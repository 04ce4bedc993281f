"""The built operators: building them, and finding those for this CPU. Needs no MindSpore to be imported.

There is one library per kind of CPU, so that what is built on one machine runs on another.
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..files import replacing

SOURCES = Path(__file__).with_name("kernels")
BUILT = Path(__file__).with_name("build")
_FLAGS = (
    "-std=c++17", "-O3", "-ffp-contract=off", "-fPIC", "-shared", "-pthread", "-Wall", "-Wextra", "-Werror",
    "-Wno-maybe-uninitialized",  # GCC 12 takes the intrinsics' own undefined registers for mistakes
)  # fmt: skip
# Channels per block -> what the CPU must have, as /proc/cpuinfo calls it; the widest first.
_KINDS = {16: ("avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"), 8: ("avx2", "fma")}
_THREADPOOL = 8  # DNNL_RUNTIME_THREADPOOL
_AVX512_CORE, _AVX512_BFLOAT16, _AMX = 0x27, 0xE7, 0xFEF  # dnnl_cpu_isa_avx512_core, ..._bf16, ..._amx
_VERSIONS = range(13)  # minor numbers of oneDNN 3 whose interface of thread pools is the one in kernels/onednn.h


class UnavailableError(Exception):
    """Why the operators cannot be built or used here."""


@dataclass(frozen=True)
class Library:
    """The operators for this process.

    Attributes:
        block: channels per block, b.
        has_bfloat16: whether the CPU multiplies bfloat16 numbers.
        has_amx: whether it does so in tiles.
    """

    path: Path
    block: int
    has_bfloat16: bool
    has_amx: bool


class _Version(ctypes.Structure):  # dnnl_version_t
    _fields_ = [
        ("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int), ("hash", ctypes.c_char_p),
        ("cpu_runtime", ctypes.c_uint), ("gpu_runtime", ctypes.c_uint),
    ]  # fmt: skip


def build() -> None:
    """Builds the operators for every kind of x86-64 CPU, where they are not current.

    Raises:
        UnavailableError: no compiler, another kind of machine, or the compiler failed.
        UserError: the files cannot be written.
    """
    onednn = _onednn()
    if platform.machine() != "x86_64":
        raise UnavailableError(f"the kernels are for x86-64 CPUs, this is {platform.machine()}")
    compiler = shutil.which("g++")
    if not compiler:
        raise UnavailableError("g++ is not installed")
    sources = sorted(map(str, SOURCES.glob("*.cc")))
    jobs = []
    with contextlib.ExitStack() as written:
        for block, flags in _KINDS.items():
            path = _path(block)
            if path.is_file():
                continue
            temporary = written.enter_context(replacing(path))
            options = [*_FLAGS, *(f"-m{flag}" for flag in flags), f"-DBLOCK={block}", "-o", str(temporary)]
            command = [compiler, *options, *sources, f"-L{onednn.parent}", f"-l:{onednn.name}"]
            jobs.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        errors = [job.communicate()[1] for job in jobs]
        for job, error in zip(jobs, errors):
            if job.returncode:
                reason = next((line for line in error.splitlines() if "error" in line), error)
                raise UnavailableError(f"{compiler} failed: {reason}")


def _path(block: int) -> Path:
    """The library's name tells what it was made of, so that an outdated one is not taken for current."""
    digest = hashlib.sha256(repr((_FLAGS, _KINDS)).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    return BUILT / f"libblocked{block}-{digest.hexdigest()[:12]}.so"


def _onednn() -> Path:
    """MindSpore's copy of oneDNN 3. Raises UnavailableError."""
    spec = importlib.util.find_spec("mindspore")
    path = Path(str(spec.origin)).with_name("lib") / "libdnnl.so.3" if spec else Path()
    if not path.is_file():
        raise UnavailableError("MindSpore's oneDNN is not version 3")
    return path


def check() -> None:
    """Raises UnavailableError where the operators cannot be used. Leaves open what ONEDNN_MAX_CPU_ISA may still become."""
    version = _load().dnnl_version().contents
    if version.major != 3 or version.minor not in _VERSIONS or version.cpu_runtime != _THREADPOOL:
        raise UnavailableError(
            f"they are not made for MindSpore's oneDNN {version.major}.{version.minor} with runtime {version.cpu_runtime}"
        )
    usable = [block for block, flags in _KINDS.items() if _cpu_flags().issuperset(flags)]
    if not usable:
        raise UnavailableError("they need an x86-64 CPU with AVX2")
    if not all(_path(block).is_file() for block in usable):
        raise UnavailableError(f"not built; python -m {__package__} builds them where g++ is installed")


@functools.lru_cache(None)
def find() -> Library:
    """The library for this CPU and for what ONEDNN_MAX_CPU_ISA leaves of it, which is settled with this call.

    Raises:
        UnavailableError: as `check`.
    """
    check()
    limit = _load().dnnl_get_effective_cpu_isa()
    block = 16 if limit & _AVX512_CORE == _AVX512_CORE and _cpu_flags().issuperset(_KINDS[16]) else 8
    has_bfloat16, has_amx = (block == 16 and limit & kind == kind for kind in (_AVX512_BFLOAT16, _AMX))
    return Library(_path(block), block, has_bfloat16, has_amx)


def _load() -> ctypes.CDLL:
    onednn = ctypes.CDLL(str(_onednn()))
    onednn.dnnl_version.restype = ctypes.POINTER(_Version)
    return onednn


@functools.lru_cache(None)
def _cpu_flags() -> set[str]:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        return next((set(line.split()) for line in file if line.startswith("flags")), set())
    return set()
