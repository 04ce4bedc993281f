"""Ascend devices: those that npu-smi shows, those in /dev, those that MindSpore sees, and who may use them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

from .cann import DRIVER
from .findings import Finding, ok, problem, warning
from .machine import Machine, first_lines

MANAGERS = ("/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc")  # what every program on a device opens besides it
_NAME = re.compile(r"^\|\s*\d+\s+((?:Ascend)?(?:310|910|950)\w*)\s*\|\s*(\w+)\s*\|", re.MULTILINE)
_CHIP = re.compile(r"^\|.*\|\s*[0-9A-Fa-f]{4}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.\w\s*\|(.*)\|", re.MULTILINE)
_USED = re.compile(r"(\d+)\s*/\s*(\d+)")
_CODES = {
    "-8005": "the devices are not passed on to this container, or another one has them",
    "-8020": "another container or program has the devices",
    "-8009": "the driver cannot be reached",
}
_MINE = "start the container with --device=/dev/davinci0 " + " ".join(f"--device={node}" for node in MANAGERS)


@dataclass(frozen=True)
class Devices:
    """What npu-smi shows.

    Attributes:
        chips: the name of every NPU.
        health: its word on each.
        memory: megabytes of the smallest device; 0: not shown.
        count: number of devices, of which an NPU can have two.
    """

    chips: list[str]
    health: list[str]
    memory: int
    count: int


def read_table(text: str) -> Devices:
    """The table that `npu-smi info` prints, of any of its layouts."""
    named = _NAME.findall(text)
    rows = _CHIP.findall(text)
    totals = [int(pairs[-1][1]) for row in rows if (pairs := _USED.findall(row))]
    usable = [total for total in totals if total]
    return Devices([chip for chip, _ in named], [health for _, health in named], min(usable, default=0), len(rows))


def ask_devices(machine: Machine) -> tuple[Optional[Devices], list[Finding]]:
    """The devices that npu-smi shows, None where it does not answer, and what is to be said of that."""
    tool = machine.find_program("npu-smi", "/usr/local/bin/npu-smi", "/usr/local/sbin/npu-smi", f"{DRIVER}/tools/npu-smi")
    if tool is None:
        where = (
            "mount it: -v /usr/local/bin/npu-smi:/usr/local/bin/npu-smi" if machine.is_container else "install the driver"
        )
        return None, [warning("npu-smi", "not here; the devices cannot be listed", where)]
    answer = machine.ask(tool, "info")
    for code, meaning in _CODES.items():
        if code in answer.text:
            text = f"npu-smi fails with {code}: {meaning}"
            return None, [problem("npu-smi", text, f"npu-smi info on the host shows who uses them; then {_MINE}")]
    devices = read_table(answer.text)
    if not devices.count:
        cure = "look at dmesg and the driver's installation; npu-smi info must list the devices"
        return None, [problem("npu-smi", f"lists no device; it says: {first_lines(answer.text)}", cure)]
    ill = [f"{chip}: {health}" for chip, health in zip(devices.chips, devices.health) if health != "OK"]
    if ill:
        cure = "npu-smi info -t health -i <NPU> names the fault; restart the server, or leave the device out"
        return devices, [problem("health", f"a device is not well: {', '.join(ill)}", cure)]
    return devices, [ok("npu-smi", f"{devices.count} devices: {', '.join(sorted(set(devices.chips)))}, all well")]


def check_devices(machine: Machine, devices: Optional[Devices], mindspore: Any) -> Iterator[Finding]:
    """Device files, permissions and numbers.

    Args:
        mindspore: the number of devices that MindSpore sees, or what it said instead; None: it was not asked.
    """
    nodes = machine.device_nodes
    passing = _MINE if machine.is_container else "load the driver: the installation of the driver makes these files"
    missing = [node for node in MANAGERS if not machine.path(node).exists()]
    if not nodes:
        yield problem("devices", "no /dev/davinci<n>: no device is here", passing)
    if missing:
        yield problem("devices", f"not here: {', '.join(missing)}", passing)
    if machine.is_container and not machine.path("/usr/local/dcmi").exists():
        yield warning("devices", "no /usr/local/dcmi, which npu-smi needs", "add -v /usr/local/dcmi:/usr/local/dcmi")
    closed = [node for node in _files(machine, nodes) if not os.access(node, os.R_OK | os.W_OK)]
    if closed:
        text = f"this user may not use {', '.join(path for path in closed)}"
        yield problem(
            "permissions", text, "usermod -aG HwHiAiUser $USER, or --group-add of that group in a container; log in again"
        )
    elif nodes and not missing:
        yield ok("devices", f"/dev/davinci{',davinci'.join(map(str, nodes))} and their managers can be opened")
    if devices and nodes and devices.count != len(nodes):
        text = f"npu-smi shows {devices.count}, /dev has {len(nodes)}"
        yield warning("devices", text, "pass all devices on to the container that it is to use, and no other")
    yield from _check_visible(machine, nodes)
    if nodes and isinstance(mindspore, str):
        yield problem(
            "mindspore", f"fails to look at the devices: {first_lines(mindspore)}", "mend what is above, in this order"
        )
    elif nodes and mindspore == 0:
        yield problem("mindspore", "sees no Ascend device", "mend what is above; the CANN that it is asked with must fit it")
    elif nodes and mindspore and mindspore != len(nodes) and "ASCEND_RT_VISIBLE_DEVICES" not in machine.environment:
        text = f"sees {mindspore} devices, /dev has {len(nodes)}"
        yield warning("mindspore", text, "another program may hold a device: npu-smi info lists the processes")


def _files(machine: Machine, nodes: list[int]) -> list[str]:
    places = [f"/dev/davinci{node}" for node in nodes] + list(MANAGERS)
    return [str(machine.path(place)) for place in places if machine.path(place).exists()]


def _check_visible(machine: Machine, nodes: list[int]) -> Iterator[Finding]:
    value = machine.environment.get("ASCEND_RT_VISIBLE_DEVICES", "")
    named = [int(part) for part in value.split(",") if part.strip().isdecimal()]
    gone = [str(number) for number in named if number >= len(nodes)]
    if value and (gone or not named):
        text = f"ASCEND_RT_VISIBLE_DEVICES={value}, but {len(nodes)} devices are here"
        yield problem("devices", text, "name devices from 0 to one less than their number, or unset it")
