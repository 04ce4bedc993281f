"""The secret that the launchers of a job's servers share: from a file or the environment, never on a command line."""

import ipaddress
import os
import stat
from pathlib import Path
from typing import Optional

from ..errors import UserError
from ..files import read_bounded
from ..log import log

VARIABLE = "RESNET_ZOO_SECRET"
MIN_BYTES, MAX_BYTES = 16, 4096
MAKE_ONE = "(umask 077; openssl rand -hex 32 > secret)"


def read_secret(path: Optional[Path], option: str = "secret_file", variable: str = VARIABLE) -> bytes:
    """The content of a file, or else of a variable, without white space at its ends; empty where neither is given.

    The variable is taken out of the environment, so that no process that is started later has it.

    Args:
        option: what messages call the file.

    Raises:
        UserError: the file cannot be read, or the secret is too short. The message does not show it.
    """
    secret, where = os.fsencode(os.environ.pop(variable, "")).strip(), variable
    if path:
        secret, where = read_bounded(path, MAX_BYTES, option).strip(), f"{option}: '{path}'"
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            log.warning("%s: '%s' can be read by others (mode %04o); chmod 600 would prevent that", option, path, mode)
    if (path or secret) and len(secret) < MIN_BYTES:
        make_one = MAKE_ONE.replace("secret", option.partition("_")[0])
        raise UserError(f"{where} holds {len(secret)} bytes; expected at least {MIN_BYTES}, for example: {make_one}")
    return secret


def shared_secret(path: Optional[Path], nodes: int, master: str, insecure: bool) -> bytes:
    """The secret for a job; may be empty where all servers are one machine, or where `insecure` allows that.

    Args:
        nodes: number of servers.
        master: address of server 0.
        insecure: the user has said that nobody else is on the network.

    Raises:
        UserError: it cannot be used, or there is none although it is needed.
    """
    secret = read_secret(path)
    if secret or nodes == 1 or ipaddress.ip_address(master).is_loopback:
        return secret
    if not insecure:
        raise UserError(
            f"secret_file: no value; the servers need a secret in common, which keeps strangers out: {MAKE_ONE}, the same "
            f"file on every server, and --secret_file secret on each (or its content in {VARIABLE}); on a network without "
            "strangers --insecure_network 1 does without"
        )
    log.warning("insecure_network: whoever reaches %s can take a server's place in this job, or end it", master)
    return secret
