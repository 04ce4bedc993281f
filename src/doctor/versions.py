"""Which versions fit each other, as data. Where each table was published is said here; nothing was tried on a device.

MINDSPORE_CANN: `run_check/_check_version.py` of each package, and Ascend's deployer for 2.7.1 and 2.7.2.
CANN_DRIVER: release notes of CANN 8.5.0, 9.0.0 and 9.1.0 (hicann/release-management), and the community guide's package
list for 8.2.RC1 (Ascend's documentation, `package_info.js`); looked up in November 2026.
DRIVER_FIRMWARE: the same package lists, of CANN 8.0.RC2 and 8.2.RC1, and MindSpore's table for 2.3.
"""

import re
from typing import Optional

from .machine import numbers

Version = tuple[int, ...]

PYTHON_LOWEST, PYTHON_HIGHEST = (3, 9), (3, 12)

# MindSpore -> the versions of CANN that it accepts. The longest beginning that fits a version counts.
MINDSPORE_CANN: dict[str, tuple[str, ...]] = {
    "2.7": ("8.2",),
    "2.7.1": ("8.2", "8.3"),
    "2.7.2": ("8.2", "8.3", "8.5"),
    "2.8": ("8.2", "8.3", "8.5"),
    "2.9": ("8.2", "8.3", "8.5", "9.0"),
    "2.10": ("8.2", "8.3", "8.5", "9.0", "9.1"),
}
# CANN -> the oldest driver (Ascend HDK) that it was published with.
CANN_DRIVER: dict[str, Version] = {"8.2": (25, 0), "8.5": (25, 5), "9.0": (25, 5), "9.1": (25, 5)}
# Driver -> the firmware that it was published with.
DRIVER_FIRMWARE: dict[str, Version] = {"23.0": (7, 1), "24.1": (7, 3), "25.0": (7, 7)}
LAST_CANN_OF_310: Version = (8, 2)  # CANN's product lists: Ascend 310 is in that of 8.2.RC1 and not in that of 8.3.RC1

# What npu-smi calls a chip -> the folder of its kernels in CANN's operator package.
KERNEL_FOLDERS = {"310": "ascend310", "310B": "ascend310b", "310P": "ascend310p", "910": "ascend910", "910B": "ascend910b"}


def cann_of(mindspore: str) -> tuple[str, ...]:
    """The versions of CANN that a version of MindSpore accepts; empty where that is not known."""
    fitting = [key for key in MINDSPORE_CANN if (mindspore + ".").startswith(key + ".")]
    return MINDSPORE_CANN[max(fitting, key=len)] if fitting else ()


def oldest_driver(cann: str) -> Optional[Version]:
    """The oldest driver that a version of CANN was published with, or None."""
    return CANN_DRIVER.get(".".join(map(str, numbers(cann)[:2])))


def firmware_of(driver: str) -> Optional[Version]:
    """The firmware that belongs to a driver: that of the newest driver of the table which is no newer. None: not known."""
    known = [key for key in DRIVER_FIRMWARE if numbers(key) <= numbers(driver)]
    return DRIVER_FIRMWARE[max(known, key=numbers)] if known else None


def chip_family(chip: str) -> str:
    """'310P3' -> '310P', '910B3' -> '910B', '910A', '910ProA' and '910B' without a digit -> '910' (one hardware)."""
    name = chip.removeprefix("Ascend")
    found = re.match(r"(310P|310B|310|910B(?=\d)|910)", name)
    return found[1] if found else name
