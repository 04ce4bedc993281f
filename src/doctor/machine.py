"""The machine that is looked at: its files, its programs, its environment. Tests give one whose root is another folder."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Optional

SECONDS = 30  # that a program may take to answer


class Answer(NamedTuple):
    """What a program said: its exit code (-1: it did not end in time), and all that it printed."""

    code: int
    text: str


@dataclass(frozen=True)
class Machine:
    """Where the checks look.

    Attributes:
        root: folder that absolute paths are below.
        environment: environment variables.
        interpreter: the Python that is asked about MindSpore.
        python: version of that Python.
        packages: name -> version of what is installed; None: this Python's own packages.
    """

    root: Path = Path("/")
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    interpreter: tuple[str, ...] = (sys.executable,)
    python: tuple[int, ...] = tuple(sys.version_info[:3])
    packages: Optional[Mapping[str, str]] = None

    def path(self, absolute: str) -> Path:
        """A place on the machine."""
        return self.root / absolute.lstrip("/")

    def read(self, absolute: str) -> str:
        """The text of a file; empty where there is none that can be read."""
        try:
            return self.path(absolute).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def find_program(self, name: str, *places: str) -> Optional[str]:
        """Where a program is: on the PATH, or in one of these places."""
        found = shutil.which(name, path=self.environment.get("PATH", ""))
        return found or next((str(self.path(place)) for place in places if os.access(self.path(place), os.X_OK)), None)

    def ask(self, *command: str, seconds: float = SECONDS) -> Answer:
        """Runs a program."""
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=seconds,
                check=False, env=dict(self.environment),
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Answer(-1, f"did not answer in {seconds:g} s")
        except OSError as error:
            return Answer(-1, str(error))
        return Answer(done.returncode, done.stdout.decode("utf-8", "replace"))

    def version_of(self, package: str) -> Optional[str]:
        """The version of an installed Python package, or None."""
        if self.packages is not None:
            return self.packages.get(package)
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return None

    @property
    def architecture(self) -> str:
        """x86_64 or aarch64."""
        return platform.machine()

    @property
    def is_container(self) -> bool:
        """Whether this is the inside of a container, as Docker, Podman and Kubernetes mark it."""
        marks = ("/.dockerenv", "/run/.containerenv")
        in_cgroup = re.search(r"docker|kubepods|containerd|libpod", self.read("/proc/1/cgroup"))
        return bool(in_cgroup) or any(self.path(mark).exists() for mark in marks) or "KUBERNETES_PORT" in self.environment

    @cached_property
    def device_nodes(self) -> list[int]:
        """Numbers of the Ascend devices that have a file in /dev."""
        names = (match for path in self.path("/dev").glob("davinci*") if (match := re.fullmatch(r"davinci(\d+)", path.name)))
        return sorted(int(match[1]) for match in names)

    @property
    def has_ascend(self) -> bool:
        """Whether anything here belongs to Ascend: a device, the driver, CANN, npu-smi."""
        places = ("/dev/davinci_manager", "/usr/local/Ascend")
        variables = ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME", "ASCEND_OPP_PATH")
        return (
            bool(self.device_nodes or self.find_program("npu-smi"))
            or any(self.path(place).exists() for place in places)
            or any(self.environment.get(name) for name in variables)
        )


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: "8.3.RC1" -> (8, 3), "25.0.rc1.1" -> (25, 0), "1.26.4" -> (1, 26, 4)."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def first_lines(text: str, count: int = 1) -> str:
    """The first lines of a program's answer that say something, in one."""
    return "; ".join([line.strip() for line in text.splitlines() if line.strip()][:count]) or "nothing"
