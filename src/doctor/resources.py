"""Disk, memory, shared memory and file handles against what the configuration asks for."""

import os
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from .device_memory import shapes_of, training_bytes
from .findings import Finding, ok, problem, warning
from .machine import Machine

if TYPE_CHECKING:
    from ..config import Config

_SHARED_BYTES = 64 << 20  # Docker's default for /dev/shm
_HANDLES = 1024
_NO_LIMIT = 1 << 60  # cgroup v1 writes "no limit" as a number of about this size


def runtime_bytes(config: "Config") -> float:
    """Memory of a training process on a CPU beside its tensors: libraries, the compiled graph, the input pipeline.

    Fitted to what `benchmarks/memory.py` measured with images of 32 and of 224 pixels a side.
    """
    return 0.63e9 + 0.27e9 * min(max(config.largest_crop) / 224, 1)


def memory_bytes(machine: Machine) -> int:
    """Memory that a process may use now: what is available, or what the container's limit leaves. 0: not known."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", machine.read("/proc/meminfo"), re.MULTILINE)
    available = int(found[1]) * 1024 if found else 0
    for limit_file, used_file in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        limit, used = machine.read(limit_file).strip(), machine.read(used_file).strip()
        if limit.isdecimal() and used.isdecimal() and int(limit) < _NO_LIMIT:
            available = min(available or int(limit), max(int(limit) - int(used), 0))
    return available


def check_memory(machine: Machine, config: "Config", platform: str, device_megabytes: int = 0) -> Iterator[Finding]:
    """The estimate of a training step against the device's memory, or on the CPU the machine's.

    A run must be described for that: nobody means the default network by saying nothing.

    Args:
        platform: "Ascend", "GPU" or "CPU".
        device_megabytes: memory of an Ascend device; 0: not known.
    """
    if not _describes_a_run(config):
        yield ok("memory", "not judged: name a run, with --config_path or --backbone, --image_size and --per_batch_size")
        return
    needed = training_bytes(config)
    what = f"{config.backbone}, batch {config.per_batch_size}, {config.largest_crop[0]} x {config.largest_crop[1]}"
    less = "--per_batch_size smaller with --accumulate_steps larger, or --amp_level O2"
    if platform == "CPU":
        available, needed, where = memory_bytes(machine), int(needed + runtime_bytes(config)), "available here"
    else:
        available, where = device_megabytes << 20, "on the device"
    if not available:
        yield ok("memory", f"about {_gb(needed)} for a step of training ({what}); how much there is {where} is not known")
    elif needed > available:
        text = f"a step of training needs about {_gb(needed)} ({what}), {_gb(available)} are {where}"
        yield problem("memory", text, less)
    else:
        yield ok("memory", f"about {_gb(needed)} of {_gb(available)} {where} for a step of training ({what})")


def check_disk(config: "Config") -> Iterator[Finding]:
    """Room for the checkpoints of a run, and whether folders can be written."""
    height, width = config.image_size
    from ..networks.registry import find_model

    parameters = shapes_of(find_model(config.backbone), config.num_classes, height, width).parameters
    one = parameters * 4 * (3 if config.ema_decay else 2)  # weights, momentum and averages
    # best.ckpt, last.ckpt and the one that is being written besides
    needed = one * (config.keep_checkpoint_max + 3) if _describes_a_run(config) else 1 << 20
    for key, value, wanted in (("ckpt_path", config.ckpt_path, needed), ("cache_dir", config.cache_dir, 1 << 20)):
        folder = _existing(Path(value))
        if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            yield problem("disk", f"{key}: '{folder}' cannot be written", "choose another folder, or change its permissions")
            continue
        free = shutil.disk_usage(folder).free
        if free < wanted:
            text = f"{key}: {_gb(free)} free in '{folder}', a run needs about {_gb(wanted)}"
            yield problem("disk", text, "free some, choose another folder, or lower --keep_checkpoint_max")
        else:
            yield ok("disk", f"{key}: {_gb(free)} free in '{folder}', needed are about {_gb(wanted)}")


def check_limits(machine: Machine) -> Iterator[Finding]:
    """Shared memory, which collectives of ranks on one server go through, and open files."""
    shared = machine.path("/dev/shm")
    size = shutil.disk_usage(shared).total if shared.is_dir() else 0
    if size <= _SHARED_BYTES:
        text = f"/dev/shm has {size >> 20} MB"
        yield warning("shared memory", text, "several ranks need more: start the container with --shm-size=8g")
    else:
        yield ok("shared memory", f"/dev/shm has {_gb(size)}")
    handles = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= handles < _HANDLES:
        yield warning("open files", f"at most {handles} at a time", f"ulimit -n {_HANDLES * 64}")


def _describes_a_run(config: "Config") -> bool:
    return bool({"backbone", "per_batch_size", "image_size"} & config.given)


def _existing(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there: it will be made."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def _gb(size: Optional[float]) -> str:
    size = size or 0
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
