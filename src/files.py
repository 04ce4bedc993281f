"""Atomic files: a path holds the old content or the new one, whole, whenever the process is killed."""

import contextlib
import glob
import os
import stat
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


def read_bounded(path: Path, limit: int, name: str) -> bytes:
    """The content of a regular file of at most `limit` bytes. A pipe or a device is not waited for.

    Args:
        name: what messages call it, for example a command-line option.

    Raises:
        UserError: it cannot be read, is something else, or is larger.
    """
    try:
        # O_NONBLOCK: opening a pipe would wait for its other end
        with open(path, "rb", opener=lambda file, flags: os.open(file, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise UserError(f"{name}: '{path}' is not a regular file")
            content = file.read(limit + 1)
    except OSError as error:
        raise UserError(f"{name}: cannot read '{path}': {error.strerror}") from None
    if len(content) > limit:
        raise UserError(f"{name}: '{path}' has more than {limit} bytes, the most that one may have")
    return content
