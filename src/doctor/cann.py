"""CANN, driver and firmware: which there are, whether they fit each other, what of them is not found."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from .findings import Finding, ok, problem, warning
from .machine import Machine, numbers
from .versions import KERNEL_FOLDERS, LAST_CANN_OF_310, cann_of, chip_family, firmware_of, oldest_driver

# What MindSpore's Ascend plugin is linked with (readelf -d of libmindspore_ascend.so.2 and libd_collective.so, 2.10), and
# the driver's library, which CANN's are linked with.
DRIVER_LIBRARY = "libascend_hal.so"
LIBRARIES = ("libascendcl.so", "libge_runner.so", "libgraph.so", "libmsprofiler.so", "libhccl.so", DRIVER_LIBRARY)
_OPERATORS_APART = (8, 5)  # from here on CANN's operators may be of another version than its toolkit (notes of 9.0 and 9.1)
_HOMES = ("/usr/local/Ascend/ascend-toolkit/latest", "/usr/local/Ascend/cann", "/usr/local/Ascend/latest")
_SETTERS = ("/usr/local/Ascend/ascend-toolkit/set_env.sh", "/usr/local/Ascend/cann/set_env.sh")
DRIVER = "/usr/local/Ascend/driver"


def home_of(machine: Machine) -> Optional[Path]:
    """CANN's folder: what set_env.sh names, or else where it is usually installed; None: nowhere."""
    for name in ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"):
        if machine.environment.get(name):
            return Path(machine.environment[name])
    return next((machine.path(place) for place in _HOMES if machine.path(place).exists()), None)


def version_in(file: Path) -> str:
    """The version of a `version.info` or `version.cfg` file; empty where there is none."""
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"(?im)^\s*(?:package_)?version\s*[=:]\s*\[?(?:[^\]\n:]*:)?v?([\d][\w.]*)", text)
    return found[1] if found else ""


def cann_version(home: Path) -> str:
    """The version of CANN in a folder, from the file that MindSpore reads, or else another one that has it."""
    files = ("compiler/version.info", "runtime/version.info", "opp/version.info", "version.cfg")
    return next((version for file in files if (version := version_in(home / file))), "")


def check_cann(machine: Machine, mindspore: Optional[str], chips: list[str]) -> Iterator[Finding]:
    """Everything about versions and files of CANN, driver and firmware.

    Args:
        mindspore: its version, or None.
        chips: names of the devices, as npu-smi shows them.
    """
    setter = next((place for place in _SETTERS if machine.path(place).exists()), _SETTERS[0])
    home = home_of(machine)
    if home is None or not home.is_dir():
        where = f"is not in {home}, which the environment names" if home else "is not installed in /usr/local/Ascend"
        yield problem(
            "cann", f"CANN {where}", "install toolkit and kernels, or correct the environment: " + f"source {setter}"
        )
        return
    if not any(machine.environment.get(name) for name in ("ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME")):
        yield problem("cann", f"set_env.sh was not sourced in this shell; CANN is in {home}", f"source {setter}")
    yield from _check_libraries(machine, home, setter)
    cann = cann_version(home)
    if not cann:
        yield warning("cann", f"the version of CANN in {home} cannot be read", "check that the installation is complete")
        return
    yield from _check_pair(mindspore, cann)
    yield from _check_chips(home, cann, chips)
    yield from check_driver(machine, cann)


def _check_pair(mindspore: Optional[str], cann: str) -> Iterator[Finding]:
    accepted = cann_of(mindspore) if mindspore else ()
    short = ".".join(map(str, numbers(cann)[:2]))
    if not accepted:
        yield warning("cann", f"{cann}; which MindSpore it fits is not known here", "see docs/ascend.md")
    elif short in accepted:
        yield ok("cann", f"{cann} is one that MindSpore {mindspore} accepts")
    else:
        text = f"{cann}, but MindSpore {mindspore} accepts {', '.join(accepted)}"
        yield problem("cann", text, f"install CANN {accepted[-1]}, or the MindSpore that goes with {short}")


def _check_chips(home: Path, cann: str, chips: list[str]) -> Iterator[Finding]:
    for family in sorted({chip_family(chip) for chip in chips}):
        if family == "310" and numbers(cann)[:2] > LAST_CANN_OF_310:
            yield problem(
                "chip", f"Ascend 310 is not among the products of CANN {cann}", "use CANN 8.2.RC1, the last that has it"
            )
        folder = KERNEL_FOLDERS.get(family)
        kernels = home / "opp/built-in/op_impl/ai_core/tbe/kernel"
        if folder and not (kernels / folder).is_dir():
            text = f"CANN has no kernels for {folder} in {kernels} (E30006)"
            say = problem if kernels.is_dir() else warning  # a release may keep them elsewhere
            yield say("kernels", text, f"install the kernel package of the chip, in version {cann}")
    other = version_in(home / "opp_kernel/version.info")
    pair = sorted(numbers(version)[:2] for version in (other, cann))
    if other and pair[0] != pair[1] and pair[0] < _OPERATORS_APART:
        text = f"the kernel package is {other}, the toolkit {cann} (E30006)"
        yield problem("kernels", text, f"install the kernel package of version {cann}")


def check_driver(machine: Machine, cann: str = "") -> Iterator[Finding]:
    """The driver, and the firmware where it can be seen: not in a container."""
    driver = version_in(machine.path(f"{DRIVER}/version.info"))
    if not driver:
        mount = f"start the container with -v {DRIVER}:{DRIVER}" if machine.is_container else "install the driver"
        yield problem("driver", f"no {DRIVER}/version.info: the driver is not here", mount)
        return
    oldest = oldest_driver(cann) if cann else None
    if oldest and numbers(driver)[:2] < oldest:
        text = f"{driver} is older than {'.'.join(map(str, oldest))}, the oldest that CANN {cann} was published with"
        say = problem if numbers(driver)[0] < oldest[0] else warning  # drivers of one year are said to take newer CANN
        yield say("driver", text, "install a newer driver and its firmware on the host, or an older CANN")
    else:
        yield ok("driver", driver)
    firmware = version_in(machine.path("/usr/local/Ascend/firmware/version.info"))
    wanted = firmware_of(driver)
    if firmware and wanted and numbers(firmware)[:2] < wanted:
        text = f"{firmware} is older than {'.'.join(map(str, wanted))}, which goes with driver {driver}"
        yield problem("firmware", text, "install the firmware of the driver's release, then restart the server")
    elif firmware:
        yield ok("firmware", firmware)


def _check_libraries(machine: Machine, home: Path, setter: str) -> Iterator[Finding]:
    """Libraries that the dynamic linker will not find, and where they lie instead."""
    folders = [Path(folder) for folder in machine.environment.get("LD_LIBRARY_PATH", "").split(":") if folder]
    known = _cache_of_linker(machine)
    lost = [name for name in LIBRARIES if name not in known and not any((folder / name).exists() for folder in folders)]
    if not lost:
        yield ok("libraries", f"{', '.join(LIBRARIES)} are found")
    places: dict[Optional[str], list[str]] = {}
    for name in lost:
        root = machine.path(DRIVER) if name == DRIVER_LIBRARY else home
        places.setdefault(_find(root, name), []).append(name)
    gone = places.pop(None, [])
    for place, names in places.items():
        yield problem("libraries", f"in {place}, which LD_LIBRARY_PATH lacks: {', '.join(names)}", f"source {setter}")
    if DRIVER_LIBRARY in gone:
        gone.remove(DRIVER_LIBRARY)
        mount = f"mount {DRIVER} into the container" if machine.is_container else "install the driver again"
        yield problem("libraries", f"{DRIVER_LIBRARY} is not here: it belongs to the driver", mount)
    if gone:
        text = f"not in {home}: {', '.join(gone)}"
        yield problem("libraries", text, "install the CANN toolkit and its kernel package again")


def _cache_of_linker(machine: Machine) -> set[str]:
    """Names of the libraries in the linker's own folders."""
    if machine.root != Path("/"):
        return set()
    tool = machine.find_program("ldconfig", "/sbin/ldconfig")
    return set(re.findall(r"^\s*(\S+) \(", machine.ask(tool, "-p").text, re.MULTILINE)) if tool else set()


def _find(root: Path, name: str) -> Optional[str]:
    """The folder below `root` that holds a file; links to folders are followed once, at the top."""
    for folder, _, files in os.walk(os.path.realpath(root)):
        if name in files:
            return folder
    return None
