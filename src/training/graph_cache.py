"""Compiled steps, kept between runs: MindSpore's compile cache, used where it is safe.

MindSpore takes a graph from its cache where the entry script's sources are the same; whether network, shapes and options
are, it does not look. So here every graph has a name of its own, made of all that decides what is compiled, and MindSpore
is given a private copy, at the only moment when the step is compiled. Whatever ends a run, no half file is left.
"""

import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Optional

import mindspore as ms
import numpy as np

from ..config import KEYS, Config
from ..cpu.libraries import find
from ..data.cache import load_arrays, pack_json, save_arrays, unpack_json
from ..distributed.group import Group
from ..files import work_folder
from ..log import log
from .step import TrainStep

# They say where things are, how long a run is, and what other commands do: no part of a step.
_OTHER_SECTIONS = ("ModelArts (Huawei Cloud)", "evaluation and prediction", "export", "off-line inference")
_OTHER_KEYS = ("ckpt_path", "cache_dir", "data_dir", "eval_data_dir", "resume", "resume_allow", "keep_checkpoint_max")
_ENABLE, _PATH = "MS_COMPILER_CACHE_ENABLE", "MS_COMPILER_CACHE_PATH"  # MindSpore reads them whenever it compiles


class GraphCache:
    """Lets MindSpore find the graph of a step, or keeps the one that it compiles.

    Args:
        folder: of the files.
        name: what the graph is known by (`graph_name`).
    """

    def __init__(self, folder: Path, name: str):
        self.file = folder / f"graph-{name}.npz"
        self.private: Optional[Path] = None
        self.cleanup = ExitStack()
        self.is_known = False
        self.is_over = False

    def open(self) -> None:
        """The next graph that is compiled is the step's. Does nothing once it was, or where the user has set up a cache."""
        if self.is_over or self.private or _ENABLE in os.environ:
            return
        if not os.path.isfile(sys.argv[0]):  # MindSpore reads the program's file; what a prompt or `python -c` runs has none
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.private = self.cleanup.enter_context(work_folder(self.file.parent)) / "compiled"
            self.private.mkdir()
            self.is_known = _unpack(self.file, self.private)
        except OSError:  # a cache that cannot be written is one that is not used
            self.cleanup.close()
            self.private = None
            return
        os.environ.update({_ENABLE: "1", _PATH: str(self.private.resolve())})

    def close(self, compiled: bool = True) -> None:
        """The step was compiled, or it came to nothing."""
        if not self.private:
            return
        for name in (_ENABLE, _PATH):
            del os.environ[name]
        if compiled and not self.is_known:
            _pack(self.private, self.file)
        if compiled:
            log.info("the step's graph was %s %s", "taken from" if self.is_known else "kept as", self.file)
        self.cleanup.close()
        self.private, self.is_over = None, compiled


def graph_name(step: TrainStep, config: Config, group: Group, device: str) -> str:
    """A name for the graph of a step: sources, versions, configuration, rank, layers with what they hold, parameters."""
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    others = {key.name for key in KEYS.values() if key.section in _OTHER_SECTIONS} | {*_OTHER_KEYS}
    parameters = [(parameter.name, str(parameter.dtype), tuple(parameter.shape)) for parameter in step.get_parameters()]
    parts = (
        ms.__version__, np.__version__, sys.version, platform.machine(), device, os.path.realpath(sys.argv[0]), tuple(group),
        sorted((key, value) for key, value in config.resolved().items() if key not in others),
        re.sub(r" at 0x[0-9a-f]+", "", repr(step)), parameters,
        repr(find()) if config.cpu_kernels == "blocked" else "",  # the graph names the library and has its layouts
    )  # fmt: skip
    digest.update(repr(parts).encode())
    for constant in _constants(step):
        digest.update(constant)
    return digest.hexdigest()[:32]


def _constants(step: TrainStep) -> Iterator[bytes]:
    """What layers hold besides parameters and becomes part of the graph: arrays (such as weights of classes) and numbers."""
    for cell_name, cell in step.cells_and_names():
        for name, value in sorted(vars(cell).items()):
            if isinstance(value, ms.Tensor) and not isinstance(value, ms.Parameter):
                yield f"{cell_name}.{name} {value.dtype} {value.shape} ".encode() + value.asnumpy().tobytes()
            elif not name.startswith("_") and isinstance(value, (int, float, str, tuple)):
                yield re.sub(r" at 0x[0-9a-f]+", "", f"{cell_name}.{name} {value!r} ").encode()


def _pack(folder: Path, file: Path) -> None:
    """Writes all files of a folder into one."""
    contents = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    sizes = pack_json({name: len(content) for name, content in contents.items()})
    save_arrays(file, {"sizes": sizes, "contents": np.frombuffer(b"".join(contents.values()), np.uint8)})


def _unpack(file: Path, folder: Path) -> bool:
    """The reverse of `_pack`; False where there is no such file or it is damaged."""
    arrays = load_arrays(file, ("sizes", "contents"))
    if not arrays:
        return False
    sizes = unpack_json(arrays["sizes"])
    if not sizes or any(not isinstance(size, int) or ".." in Path(name).parts for name, size in sizes.items()):
        return False
    position = 0
    for name, size in sizes.items():
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(arrays["contents"][position : position + size].tobytes())
        position += size
    return True
