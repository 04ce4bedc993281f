"""Downloads a published file of weights: resumed where it was cut, checked, kept."""

import logging
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from ..errors import UserError
from ..files import owning
from ..model_info import file_digest
from ..progress import beat
from .listing import Published

log = logging.getLogger("resnet_zoo")

_LARGEST = 2 << 30  # bytes; the largest file listed has 0.5 GB
_TIMEOUT = 30  # seconds without a byte
_SIZE_DIFFERENCE = 0.0015  # megabytes: sizes are published with three decimals


def download(file: Published, cache: Path) -> Path:
    """The file on this machine, from `cache` where it is there already.

    What a cut connection left is kept, and the next call goes on from there.

    Raises:
        UserError: no connection, another size or SHA-256 than published, or the disk is full; what was wrong is removed.
    """
    folder = folder_of(file, cache)
    path = folder / file.url.rpartition("/")[2]
    with owning(folder, "cache_dir"):
        if not path.is_file():
            part = path.with_name(f"{path.name}.part")
            try:
                _fetch(file, part)
            except HTTPError as error:
                raise UserError(f"{file.url}: the server says {error.code} {error.reason}; {_by_hand(file)}") from None
            except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
                reason = getattr(error, "reason", None) or error
                raise UserError(f"{file.url}: not downloaded: {reason}; {_by_hand(file)}") from None
            digest = file_digest(part)
            if not digest.startswith(file.sha256):
                part.unlink()
                raise UserError(
                    f"{file.url}: its SHA-256 is {digest[:8]}..., published is {file.sha256}...; try again later"
                )
            part.replace(path)
    return path


def folder_of(file: Published, cache: Path) -> Path:
    """Where it is kept."""
    return cache / "weights" / file.name.replace(":", "_")


def _fetch(file: Published, part: Path) -> None:
    """Appends to `part` what is missing of the file."""
    done = part.stat().st_size if part.is_file() else 0
    request = Request(file.url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urlopen(request, timeout=_TIMEOUT)  # noqa: S310 - addresses are those of published.json
    except HTTPError as error:
        if error.code != 416:  # nothing follows: all was there
            raise
        return
    with response:
        goes_on = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        done = done if goes_on else 0
        total = done + int(response.headers.get("Content-Length") or 0)
        _check_size(file, total, part)
        log.info("%s: %s%d bytes", file.url, f"going on after {done} of " * bool(done), total)
        with open(part, "ab" if goes_on else "wb") as output:
            while content := response.read(1 << 20):
                output.write(content)
                beat()  # other ranks wait for this one
    if (found := part.stat().st_size) < total:
        raise URLError(f"cut after {found} of {total} bytes, which are kept")


def _check_size(file: Published, total: int, part: Path) -> None:
    differs = file.megabytes is not None and abs(total / 2**20 - file.megabytes) > _SIZE_DIFFERENCE
    if differs or not 0 < total <= _LARGEST:
        part.unlink(missing_ok=True)
        expected = f"{file.megabytes} MB" if file.megabytes else f"1 byte to {_LARGEST >> 30} GB"
        raise UserError(f"{file.url}: has {total} bytes, expected {expected}; try again later")


def _by_hand(file: Published) -> str:
    command = f"python -m src.weights --backbone {file.network} --source FILE --output {file.network}.ckpt"
    return f"the same command goes on; or fetch that address elsewhere, then {command}"
