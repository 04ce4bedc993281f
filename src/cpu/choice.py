"""Which kernels a run computes with on the CPU: MindSpore's own ("stock") or those of this room ("blocked")."""

import functools

from ..config import Config
from ..errors import UserError
from ..log import log
from .libraries import UnavailableError, check, find


def obstacle(config: Config) -> str:
    """Why a run cannot use the blocked kernels, or nothing. Needs no MindSpore to be imported."""
    if config.cpu_kernels == "stock":
        return "cpu_kernels is stock"
    if config.amp_level != "O0" and (config.amp_level, config.amp_dtype) != ("O2", "bfloat16"):
        return (
            f"they compute in float32, or with amp_level O2 in bfloat16, not with {config.amp_level} in {config.amp_dtype}"
        )
    try:
        check()
    except UnavailableError as error:
        return str(error)
    return ""


def choose_kernels(config: Config, platform: str) -> str:
    """ "blocked" or "stock", as `cpu_kernels` asks and this machine allows.

    Raises:
        UserError: `cpu_kernels` is blocked, but they cannot be used; or bfloat16 is asked of a CPU that does not have it.
    """
    reason = obstacle(config) if platform == "CPU" else f"they are for the CPU, the platform is {platform}"
    if not reason and config.amp_level == "O2" and not find().has_bfloat16:
        raise UserError(
            "amp_dtype: this CPU has no bfloat16 (AVX512_BF16), or ONEDNN_MAX_CPU_ISA hides it; pass --amp_level O0"
        )
    if not reason:
        return "blocked"
    if config.cpu_kernels == "blocked":
        raise UserError(f"cpu_kernels: blocked kernels cannot be used: {reason}; pass --cpu_kernels auto")
    if config.cpu_kernels == "auto" and platform == "CPU":
        _say(reason)
    return "stock"


@functools.lru_cache(None)
def _say(reason: str) -> None:
    log.info("cpu_kernels: MindSpore's own, about half as fast: %s", reason)
