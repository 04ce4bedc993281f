"""Python, the packages, MindSpore itself: versions, whether it can be imported, and on which instructions it computes."""

import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from .findings import Finding, ok, problem, warning
from .machine import Machine, first_lines, numbers
from .versions import PYTHON_HIGHEST, PYTHON_LOWEST

SETUP = "run bash scripts/setup_env.sh and use .venv/bin/python"
IMPORT_SECONDS = 180  # on a cold network disk

# What MindSpore says of itself, as the last line of what is printed: its imports print other lines.
_PROBE = """
import json, mindspore as ms
devices = None
try:
    devices = ms.device_context.ascend.device_count() if ms.device_context.ascend.is_available() else 0
except Exception as error:
    devices = str(error)
print(json.dumps({"version": ms.__version__, "ascend": devices}))
"""
_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\w.]*): cannot open shared object file")
_OTHER_DISTRIBUTIONS = ("mindspore-ascend", "mindspore-gpu", "mindspore-dev")
_ISA_HELD_BACK = ("SSE41", "AVX", "AVX2", "AVX2_VNNI")  # values of ONEDNN_MAX_CPU_ISA below AVX-512


def requirements() -> dict[str, str]:
    """Package -> range of versions, as pyproject.toml has them, or what was installed from it."""
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    if project.is_file():
        dependencies = project.read_text(encoding="utf-8").partition("\ndependencies = [")[2].partition("\n]")[0]
        lines = re.findall(r'^\s*"([^"]+)"', dependencies, re.MULTILINE)
    else:
        lines = [line for line in importlib.metadata.requires("mindspore-resnet-zoo") or [] if ";" not in line]
    found = [re.match(r"([\w.-]+)\s*(.*)", line) for line in lines]
    return {match[1]: match[2] for match in found if match}


def fits(version: str, limits: str) -> bool:
    """Whether a version lies in a range such as ">=2.9,<2.11"."""
    own = numbers(version)
    for operator, limit in re.findall(r"(>=|<)\s*([\d.]+)", limits):
        is_below = own < numbers(limit)
        if is_below == (operator == ">="):
            return False
    return True


def check_python(machine: Machine) -> Iterator[Finding]:
    """The interpreter and the packages that are installed for it."""
    shown = ".".join(map(str, machine.python))
    if PYTHON_LOWEST <= machine.python[:2] <= PYTHON_HIGHEST:
        yield ok("python", shown)
    else:
        lowest, highest = (".".join(map(str, version)) for version in (PYTHON_LOWEST, PYTHON_HIGHEST))
        yield problem("python", f"{shown}; MindSpore has packages for {lowest} to {highest}", f"PYTHON=python3.11; {SETUP}")
    wanted = {name: limits for name, limits in requirements().items() if name != "mindspore"}
    versions = {name: machine.version_of(name) for name in wanted}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        yield problem("packages", f"not installed: {', '.join(missing)}", SETUP)
    wrong = [
        f"{name} {version} (wanted {wanted[name]})"
        for name, version in versions.items()
        if not _is_fine(version, wanted[name])
    ]
    if wrong:
        yield problem("packages", f"of another version: {', '.join(wrong)}", SETUP)
    if not missing and not wrong:
        yield ok("packages", f"all {len(wanted)} are there, in the versions asked for")


def _is_fine(version: Optional[str], limits: str) -> bool:
    return version is None or fits(version, limits)


def ask_mindspore(machine: Machine, said: dict[str, Any]) -> Iterator[Finding]:
    """Imports MindSpore in a process of its own. Puts into `said`: `version`, `ascend` (number of devices, or an error)."""
    version = machine.version_of("mindspore")
    if version is None:
        yield problem("mindspore", "not installed for this Python", SETUP)
        return
    said["version"] = version
    limits = requirements().get("mindspore", "")
    if not fits(version, limits):
        yield problem("mindspore", f"{version}; this package is made for {limits}", SETUP)
    others = [name for name in _OTHER_DISTRIBUTIONS if machine.version_of(name)]
    if others:
        text = f"installed besides: {', '.join(others)}, which holds files of the same names"
        yield problem("mindspore", text, f"pip uninstall {' '.join(others)} mindspore, then install one of them again")
    answer = machine.ask(*machine.interpreter, "-c", _PROBE, seconds=IMPORT_SECONDS)
    try:
        said.update(json.loads(answer.text.splitlines()[-1]))
        yield ok("mindspore", f"{said['version']} can be imported")
    except (ValueError, IndexError, TypeError):
        yield _failed_import(version, answer.code, answer.text)


def _failed_import(version: str, code: int, text: str) -> Finding:
    if library := _MISSING_LIBRARY.search(text):
        cure = "source /usr/local/Ascend/ascend-toolkit/set_env.sh, or install the system package that holds it"
        return problem("mindspore", f"{version} cannot be imported: {library[1]} is not found", cure)
    if "static TLS block" in text:
        named = re.search(r"\S*libgomp\S*", text)
        cure = f"export LD_PRELOAD={named[0].rstrip(':') if named else '<the library that it names>'}"
        return problem("mindspore", f"{version} cannot be imported: a library was loaded too late", cure)
    if code < 0 and code != -1:
        return problem(
            "mindspore", f"{version} ends by signal {-code} when it is imported", f"the CPU may lack AVX; or {SETUP}"
        )
    last = next((line for line in reversed(text.splitlines()) if line.strip()), first_lines(text))
    return problem("mindspore", f"{version} cannot be imported: {last.strip()}", SETUP)


def check_instructions(machine: Machine) -> Iterator[Finding]:
    """MindSpore 2.9 and later sends convolutions to a slow kernel where its oneDNN uses AVX-512 (src/device.py)."""
    version = machine.version_of("mindspore")
    if version is None or machine.architecture != "x86_64":
        return
    if numbers(version) < (2, 9) or " avx512f " not in machine.read("/proc/cpuinfo"):
        yield ok("instructions", "no AVX-512, or a MindSpore that makes good use of it")
        return
    chosen = machine.environment.get("ONEDNN_MAX_CPU_ISA", "")
    if not chosen or chosen.upper() in _ISA_HELD_BACK:
        yield ok("instructions", "AVX-512 is there, and MindSpore's convolutions are held to AVX2, which is faster")
    else:
        text = f"ONEDNN_MAX_CPU_ISA={chosen} sends MindSpore's convolutions to a kernel about 100 times too slow"
        yield warning("instructions", text, "unset ONEDNN_MAX_CPU_ISA")
