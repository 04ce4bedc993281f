"""The key of an encrypted MINDIR: read from a file, so that it stands in no command line, configuration or log."""

import logging
import stat
from pathlib import Path

from ..errors import UserError

log = logging.getLogger("resnet_zoo")

ENCRYPTION = "AES-GCM"  # notices changed files too
LENGTHS = (16, 24, 32)  # bytes, of AES-128, AES-192 and AES-256


def read_key(path: Path) -> bytes:
    """The bytes of a key file; a line's end behind them does not count.

    Raises:
        UserError: the file cannot be read, or holds another number of bytes than a key has. The message does not show them.
    """
    try:
        key = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise UserError(f"enc_key_file: cannot read '{path}': {error.strerror}") from None
    if len(key) not in LENGTHS:
        key = key.rstrip(b"\r\n")
    if len(key) not in LENGTHS:
        raise UserError(
            f"enc_key_file: '{path}' holds {len(key)} bytes; expected 16, 24 or 32, "
            f"for example: (umask 077; openssl rand 32 > {path.name})"
        )
    if mode & 0o077:
        log.warning("enc_key_file: '%s' can be read by others (mode %04o); chmod 600 would prevent that", path, mode)
    return key
