"""Whole files and folders: a path holds the old content or the new one, whatever ends the process; folders with one owner.

What is being written lies in a folder of its own beside its place, which nobody else can guess or write into; the next
run removes what a killed one left there. Locks are flock(2): the kernel takes them from a process that ends, however that
comes about. On NFS (Linux 2.6.12 and later) the server keeps them for all machines, and for up to its lease time (90 s as
a rule) after a machine was cut off; mounts with `nolock` or `local_lock` keep them for each machine alone. A file system
without locks is said, and the run goes on.
"""

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import UserError

_PREFIX = ".resnet-zoo-"  # of folders for what is being written
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)

log = logging.getLogger("resnet_zoo")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path of the same name elsewhere; when the block ends well, its file or folder takes the place of `path`.

    A folder takes the place of an empty one only. Files get the permissions that the user's umask leaves.

    Raises:
        UserError: the folder cannot be written or is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with work_folder(path.parent) as folder:
            temporary = folder / path.name
            yield temporary
            is_folder = temporary.is_dir()
            mode = stat.S_IMODE((folder / "lock").stat().st_mode)
            for file in temporary.rglob("*") if is_folder else [temporary]:
                if file.is_file():
                    file.chmod(mode)  # MindSpore's are for their owner alone
            if is_folder:
                os.sync()  # a call for each of many files takes as long as writing them did
            else:
                _sync(temporary)
            temporary.replace(path)
        with contextlib.suppress(OSError):  # not every file system can
            _sync(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"{path}: cannot be written: {reason}; free space or choose another folder") from None


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically; file names in it that are no text keep their bytes. Raises UserError if that fails."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def work_folder(parent: Path) -> Iterator[Path]:
    """A folder in `parent` for this process alone, gone when the block ends; those of killed processes go first."""
    for leftover in parent.glob(f"{_PREFIX}*"):
        _remove_if_abandoned(leftover)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        try:
            lock, _ = _lock(folder / "lock")
            break
        except (BlockingIOError, FileNotFoundError):
            continue  # another process took it for a leftover before the lock was there
        except OSError:
            folder.rmdir()
            raise
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_if_abandoned(folder: Path) -> None:
    """Removes a `work_folder` of this user whose process has ended."""
    with contextlib.suppress(OSError):
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return
        lock, is_locked = _lock(folder / "lock")
        if is_locked:
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


@contextlib.contextmanager
def owning(folder: Path, key: str) -> Iterator[None]:
    """Keeps a folder, made where it is missing, for this process until the block ends or the process does.

    A folder that was made here and is still empty at the end goes again.

    Raises:
        UserError: another process has it, which is named, or the folder cannot be written; says so of `key`.
    """
    file, is_new = folder / ".lock", not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock, is_locked = _lock(file)
    except BlockingIOError:
        holder = file.read_bytes()[:200].decode(errors="replace") or "another process"
        raise UserError(f"{key}: '{folder}' is in use by {holder}; wait for its end or choose another folder") from None
    except OSError as error:
        raise UserError(f"{key}: cannot write '{folder}': {error.strerror}; choose another folder") from None
    if not is_locked:
        log.warning("%s: '%s' is on a file system without locks; let no other process write there", key, folder)
    try:
        with contextlib.suppress(OSError):  # a full disk is the business of what is written next
            os.truncate(lock, 0)
            os.write(lock, f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}".encode())
        yield
    finally:
        file.unlink(missing_ok=True)  # under the lock: whoever opened it before finds that it is no longer the file
        os.close(lock)
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _lock(file: Path) -> tuple[Any, ...]:
    """Opens and locks a file, made where it is missing.

    Returns:
        Its descriptor, which keeps the lock, and whether there is one: file systems without locks exist.

    Raises:
        BlockingIOError: another process has it.
        OSError: it cannot be opened.
    """
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.lstat(file)):
                    return descriptor, True
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return descriptor, False
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last owner removed it before it was locked


def _sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
