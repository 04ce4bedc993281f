"""Processor names of Ascend as ATC takes them, and what each can do.

Sources: CANN's ATC manual, --soc_version and --precision_mode; the product lists of CANN 8.2.RC1 and 8.3.RC1.
"""

import re

from ..config import Config
from ..errors import UserError
from ..log import log

PRECISIONS = {"float16": "force_fp16", "mixed": "allow_mix_precision", "origin": "must_keep_origin_dtype"}  # of ATC
# Their matrix unit multiplies float16 and int8 only, so a float32 convolution has no kernel or a very slow one.
_WITHOUT_FLOAT32 = re.compile(r"Ascend310(P\d*|B\d*)?")
_KNOWN = re.compile(r"Ascend(310|310P[1-7]|310B[1-4]|910A|910B|910Pro[AB]|910PremiumA|910B[1-4](-1)?|910B2C|910_9[0-9]{3})")


def check_chip(config: Config) -> None:
    """Checks `soc_version` and `precision`; logs what is to be known about the chip.

    Raises:
        UserError: no value, no processor name, or a precision that the chip cannot compute in.
    """
    chip = config.soc_version
    if not chip:
        raise UserError("soc_version: no value; pass --soc_version Ascend<chip name of npu-smi info>, e.g. Ascend310P3")
    if not re.fullmatch(r"Ascend\d[\w-]*", chip):
        near = re.sub(r"(?i)^ascend", "", chip).strip()
        raise UserError(
            f"soc_version: '{chip}' is no processor name; expected Ascend and the chip name of npu-smi info"
            + (f", as in Ascend{near}" if re.fullmatch(r"\d[\w-]*", near) else "")
        )
    if config.precision == "origin" and _WITHOUT_FLOAT32.fullmatch(chip):
        raise UserError(
            f"precision: {chip} multiplies in float16 and int8 only, so convolutions cannot keep float32; "
            "pass --precision float16, or leave it away"
        )
    if chip == "Ascend310":
        log.warning("soc_version: Ascend310 is in CANN's product lists up to 8.2.RC1 only; a newer ATC refuses it (E10001)")
    elif chip == "Ascend910B":
        log.warning(
            "soc_version: Ascend910B, without a digit, is hardware of the generation of 910A; the OM does not run on 910B1 "
            "to 910B4. npu-smi info shows which one it is"
        )
    elif not _KNOWN.fullmatch(chip):
        log.warning(
            "soc_version: %s is none of the chips known here (Ascend310P3, Ascend310B4, Ascend910A, Ascend910B3, ...); if "
            "ATC does not know it either, it answers E10001: pass 'Ascend' and the chip name of npu-smi info",
            chip,
        )
