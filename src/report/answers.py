"""What a network answered to every image of an evaluation, with pictures of some: `answers.npz` of a run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ..data.cache import load_arrays, pack_json, unpack_json, write_arrays
from ..described import AnyText, Classes, Count, Described, checked
from ..errors import UserError
from ..networks.imagenet import full_name

NAME = "answers.npz"
_COLUMNS = {"labels": np.int32, "guesses": np.int32, "ranks": np.int32, "confidences": np.float32}


class Picture(NamedTuple):
    """An image of the data set, small: JPEG files in memory. `heat`: its crop under the heat map of `guesses`, or empty."""

    name: str
    image: bytes
    heat: bytes = b""


@dataclass(frozen=True)
class Answers:
    """The answers to N images, in the order of the data set.

    Attributes:
        labels: class numbers, int32 (N,).
        guesses: the classes that the network put first, int32 (N,).
        ranks: places of the labels when classes are sorted by falling logit, from 0, int32 (N,).
        confidences: softmax probabilities of `guesses`, float32 (N,).
        num_classes: of the network.
        class_names: name of every class, or empty.
        result: what was counted, and whatever else there is to say of the evaluation.
        pictures: position -> picture, of some.
    """

    labels: NDArray[np.int32]
    guesses: NDArray[np.int32]
    ranks: NDArray[np.int32]
    confidences: NDArray[np.float32]
    num_classes: int
    class_names: tuple[str, ...] = ()
    result: dict[str, Any] = field(default_factory=dict)
    pictures: dict[int, Picture] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def class_name(self, number: int) -> str:
        """The name of a class as people are told of it, or its number."""
        return full_name(self.class_names[number]) if self.class_names else str(number)


class _PictureInfo(Described):
    position: Count
    name: AnyText
    sizes: tuple[Count, Count]


class _About(Described):
    num_classes: Classes
    class_names: tuple[AnyText, ...]
    result: dict[str, Any]
    pictures: Annotated[tuple[_PictureInfo, ...], Field(max_length=10_000)]


def save(path: Path, answers: Answers) -> None:
    """Writes a file of answers, atomically. Raises UserError where that fails."""
    pictures = [
        {"position": position, "name": one.name, "sizes": (len(one.image), len(one.heat))}
        for position, one in answers.pictures.items()
    ]
    about = {"num_classes": answers.num_classes, "class_names": answers.class_names, "result": answers.result}
    content = b"".join(one.image + one.heat for one in answers.pictures.values())
    columns = {name: getattr(answers, name) for name in _COLUMNS}
    packed = {"about": pack_json({**about, "pictures": pictures}), "files": np.frombuffer(content, np.uint8)}
    write_arrays(path, {**columns, **packed})


def load(path: Path) -> Optional[Answers]:
    """Reads a file of answers; None where there is none.

    Raises:
        UserError: it is damaged, or its parts contradict each other.
    """
    if not path.exists():
        return None
    arrays = load_arrays(path, (*_COLUMNS, "about", "files"))
    if not arrays or arrays["files"].dtype != np.uint8 or arrays["about"].dtype != np.uint8:
        raise UserError(f"{path}: damaged; evaluate again, or remove it")
    about = checked(_About, unpack_json(arrays["about"]), path)
    columns = {name: arrays[name] for name in _COLUMNS}
    _check(path, columns, about, len(arrays["files"]))
    content, pictures, start = arrays["files"].tobytes(), {}, 0
    for info in about.pictures:
        middle, end = start + info.sizes[0], start + sum(info.sizes)
        pictures[info.position] = Picture(info.name, content[start:middle], content[middle:end])
        start = end
    return Answers(**columns, num_classes=about.num_classes, class_names=about.class_names, result=about.result,
                   pictures=pictures)  # fmt: skip


def _check(path: Path, columns: dict[str, NDArray[Any]], about: _About, size: int) -> None:
    images = len(columns["labels"]) if columns["labels"].ndim == 1 else -1
    fits = images > 0 and all(columns[name].dtype == kind for name, kind in _COLUMNS.items())
    fits = fits and all(column.shape == (images,) for column in columns.values())
    fits = fits and all(
        columns[name].min() >= 0 and columns[name].max() < about.num_classes for name in ("labels", "guesses", "ranks")
    )
    fits = fits and bool((columns["confidences"] >= 0).all() and (columns["confidences"] <= 1.001).all())
    fits = fits and len(about.class_names) in (0, about.num_classes)
    fits = fits and all(info.position < images for info in about.pictures)
    if not fits or sum(sum(info.sizes) for info in about.pictures) != size:
        raise UserError(f"{path}: cannot be used: its parts contradict each other; evaluate again, or remove it")
