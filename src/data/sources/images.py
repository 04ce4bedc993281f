"""What the formats of image data sets have in common, and long lists of names in little memory."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError


class Images:
    """A fixed list of images, numbered from 0; the base of every format.

    Attributes:
        root: the folder or file that holds them, for messages.
        encoded: whether `read` gives the bytes of an image file; otherwise it gives pixels.
        in_memory: whether reading an image is nothing to wait for.
        block: how many images a reader takes at once; more than 1 where they are small.
        kind: the name of the format, a value of the key `dataset`.
        failure: why a pipeline could not read an image, or None.
    """

    root: Path
    encoded = True
    in_memory = False
    block = 1
    kind: str
    failure: Optional[UserError] = None

    def __len__(self) -> int:
        raise NotImplementedError

    def name(self, image: int) -> str:
        """What an image is called below `root`."""
        raise NotImplementedError

    def read(self, image: int) -> NDArray[np.uint8]:
        """An image as uint8: the bytes of its file (bytes,), or pixels RGB (H, W, 3)."""
        raise NotImplementedError

    def digest(self) -> bytes:
        """Changes when names, number or sizes of the images change, and does not when the data is moved elsewhere."""
        raise NotImplementedError


class Names(Sequence[str]):
    """File names, each about as long in memory as on paper: a million need 40 MB and not 120.

    Attributes:
        buffer: the encoded names one after the other, uint8 (bytes,).
        ends: where each of them ends, int64 (names,).
    """

    def __init__(self, buffer: NDArray[np.uint8], ends: NDArray[np.int64]):
        self.buffer = buffer
        self.ends = ends

    @classmethod
    def of(cls, names: Iterable[Union[str, bytes]]) -> "Names":
        """Packs strings as the operating system gives them, or bytes."""
        encoded = [os.fsencode(name) for name in names]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    @classmethod
    def checked(cls, buffer: Optional[NDArray[np.uint8]], ends: Optional[NDArray[np.int64]]) -> Optional["Names"]:
        """What a file says that a list is; None where that cannot be."""
        if buffer is None or ends is None:
            return None
        if (buffer.dtype, ends.dtype, buffer.ndim, ends.ndim) != (np.uint8, np.int64, 1, 1):
            return None
        grows = not len(ends) or (ends[0] >= 0 and ends[-1] == len(buffer) and (ends[1:] >= ends[:-1]).all())
        return cls(buffer, ends) if grows else None

    @classmethod
    def join(cls, parts: list["Names"]) -> "Names":
        """Several lists in one."""
        starts = np.cumsum([0] + [len(part.buffer) for part in parts])
        ends = [part.ends + start for part, start in zip(parts, starts)]
        return cls(
            np.concatenate([np.empty(0, np.uint8), *[part.buffer for part in parts]]),
            np.concatenate([np.empty(0, np.int64), *ends]),
        )

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, position: int) -> str:  # type: ignore[override] # no slices, which would copy
        if not 0 <= position < len(self):
            raise IndexError(position)
        start = self.ends[position - 1] if position else 0
        return os.fsdecode(self.buffer[start : self.ends[position]].tobytes())

    def equals(self, other: "Names") -> bool:
        """Whether the two lists hold the same names in the same order."""
        return np.array_equal(self.ends, other.ends) and np.array_equal(self.buffer, other.buffer)
