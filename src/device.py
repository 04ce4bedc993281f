"""The device of a run: platform, threads, seed. With src/distributed the only reader of environment variables.

Call `prepare` before anything imports MindSpore: some of its settings are read at import.
"""

import contextlib
import ctypes
import importlib.metadata
import logging
import os
import platform as platform_module
import random
import sys
from pathlib import Path
from typing import Any

from .compat import onednn_library, sends_convolutions_to_reference_kernels
from .config import Config
from .errors import UserError
from .version import __version__

log = logging.getLogger("resnet_zoo")

_DEEPEST_CALLS = 10_000  # of a graph while it is compiled: MindSpore's 1,000 are too few for a ResNeSt-50 with own gradients
_AVX2 = 0x7  # dnnl_cpu_isa_avx2, of oneDNN's dnnl_types.h


def available_cores() -> int:
    """Cores that this process may use, which a container or taskset can limit below the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """What a run says of where it ran: processor, cores, memory and versions; nothing that names the machine."""
    found: dict[str, Any] = {"processor": _processor(), "cores": available_cores()}
    if hasattr(os, "sysconf"):
        found["memory_gb"] = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    found.update(
        system=f"{platform_module.system()} {platform_module.machine()}",
        python=platform_module.python_version(),
        version=__version__,
    )
    return {**found, **{name: importlib.metadata.version(name) for name in ("mindspore", "numpy")}}


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform_module.machine()


def worker_count(requested: int) -> int:
    """`requested` limited to the cores there are; MindSpore refuses more."""
    return min(requested, available_cores())


def kernel_threads() -> int:
    """Threads for computing: all cores of this process, or what the launcher left to this rank of several."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return min(available_cores(), int(given)) if given.isdecimal() and int(given) else available_cores()


def prepare(config: Config, own_convolutions: bool = False) -> str:
    """Chooses the platform, seeds everything and sets MindSpore to graph mode.

    Args:
        own_convolutions: no convolution of this process will be MindSpore's own, so that on the CPU they need no fast path.

    Returns:
        The platform in use: "Ascend", "GPU" or "CPU".

    Raises:
        UserError: the platform asked for is not there.
    """
    platform = choose(config, own_convolutions)
    import mindspore as ms
    from mindspore import dataset

    random.seed(config.seed)
    ms.set_seed(config.seed)
    dataset.config.set_seed(config.seed)
    if config.num_parallel_workers > available_cores() and "num_parallel_workers" in config.given:
        log.info("num_parallel_workers: %d asked for, %d cores here", config.num_parallel_workers, available_cores())
    return platform


def choose(config: Config, own_convolutions: bool = False) -> str:
    """As `prepare`, but seeds nothing: for a program that has random numbers of its own."""
    set_environment(config.platform, own_convolutions)
    import mindspore as ms

    platform = _choose_platform(config.platform)
    if platform == "CPU":
        ms.set_device("CPU")
        with contextlib.suppress(RuntimeError):  # it can be set once in a process
            ms.device_context.cpu.op_tuning.threads_num(available_cores())
    else:
        ms.set_device(platform, config.device_id)
    ms.set_context(mode=ms.GRAPH_MODE)
    ms.set_recursion_limit(_DEEPEST_CALLS)
    return platform


def set_environment(platform: str = "auto", own_convolutions: bool = False) -> None:
    """Sets what MindSpore reads at its import and oneDNN at its first use; the user's own settings win.

    Where it comes too late it says so: a program may have used MindSpore before this package.
    """
    os.environ.setdefault("GLOG_v", "3")  # errors only
    if own_convolutions or platform not in ("auto", "CPU") or "ONEDNN_MAX_CPU_ISA" in os.environ:
        return
    if _has_slow_convolutions():
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
        if "mindspore" in sys.modules and _instructions_in_use() > _AVX2:
            log.warning(
                "MindSpore was imported and used before this package: its convolutions stay slow in this process; "
                "import this package first, or set ONEDNN_MAX_CPU_ISA=AVX2"
            )


def _has_slow_convolutions() -> bool:
    """Whether this MindSpore would send 3x3 and grouped convolutions on this CPU to a reference kernel."""
    if not sends_convolutions_to_reference_kernels():
        return False
    try:
        return " avx512f " in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def _instructions_in_use() -> int:
    """What oneDNN, the library of MindSpore's convolutions, has settled on with its first use: a `dnnl_cpu_isa_t`, or 0."""
    library = onednn_library(Path(str(sys.modules["mindspore"].__file__)).parent)
    with contextlib.suppress(OSError, AttributeError):  # another build of MindSpore may have none
        return ctypes.CDLL(str(library)).dnnl_get_effective_cpu_isa()
    return 0


def _choose_platform(requested: str) -> str:
    import mindspore as ms

    if requested == "auto":
        return next((name for name in ("Ascend", "GPU") if _is_available(name)), "CPU")
    if requested != "CPU" and not _is_available(requested):
        raise UserError(
            f"platform: {requested} is not available to MindSpore {ms.__version__} on this machine; "
            "pass --platform CPU or --platform auto"
        )
    return requested


def _is_available(platform: str) -> bool:
    import mindspore as ms

    return getattr(ms.device_context, platform.lower()).is_available()
