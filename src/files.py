"""Atomic files: a path holds the old content or the new one, whole, whenever the process is killed."""

import contextlib
import glob
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import UserError


@contextlib.contextmanager
def replacing(path: Path, suffix: str = "") -> Iterator[Path]:
    """Gives a temporary path in the same folder; when the block ends well, its file takes the place of `path`.

    The temporary name starts with a dot and ends in `suffix`.

    Raises:
        UserError: the folder cannot be written or is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{suffix or '.part'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.chmod(temporary, 0o644)  # MindSpore writes files that their owner cannot overwrite
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be written: {reason}; free space or choose another folder") from None
    finally:
        with contextlib.suppress(OSError):
            for left_over in path.parent.glob(f"{glob.escape(temporary.stem)}*"):  # MindSpore writes to <stem>.tmp first
                left_over.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically. Raises UserError where that fails."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def is_utf8(name: str) -> bool:
    """Whether a file's name is text; Python shows bytes that are not UTF-8 as surrogates (PEP 383)."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
