"""The package as a library: a file becomes a `Model`, which classifies images and measures its accuracy on a data set."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Union, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from . import device
from .config import Config, build_config
from .config.command_line import canonical_key
from .data.datasets import open_evaluation_data
from .data.image_formats import find_problem, to_rgb
from .data.index import index_of
from .data.preprocessing import Preprocessing
from .data.sources.folder import FolderImages
from .data.sources.images import Images, Names
from .data.sources.lists import index_unlabeled
from .errors import UserError
from .evaluation.evaluate import classified_batches, evaluate
from .evaluation.model_files import labels_for
from .evaluation.predict import top_classes
from .formats.classifier import Classifier, Inside, LoadedClassifier, in_batches_of
from .formats.opening import load_classifier
from .log import log
from .models.create import create_model
from .networks.imagenet import words_of

__all__ = ["Accuracy", "Model", "Prediction", "create_model", "load"]

Picture = Union[str, os.PathLike[str], Image.Image, NDArray[Any]]  # a file, or RGB pixels uint8 (height, width, 3)


class Prediction(NamedTuple):
    """A class that an image may show. `name` is the number as text where the file has no class names."""

    name: str
    index: int  # type: ignore[assignment] # hides the tuple's method, which nobody calls on a prediction
    probability: float

    @property
    def words(self) -> str:
        """What ImageNet calls the class, where `name` is one of its synsets; else `name`."""
        return words_of(self.name) or self.name


class Accuracy(NamedTuple):
    """What an evaluation counted; `top1` and `top5` are fractions of `images`."""

    top1: float
    top5: float
    images: int
    top1_correct: int
    top5_correct: int


def load(path: Union[str, os.PathLike[str]], **keys: Any) -> "Model":
    """Opens a checkpoint (.ckpt), an export (.onnx, .mindir, .om) or weights of a PyTorch program (.safetensors, .pth).

    Published weights have names, "torchvision:resnet50.IMAGENET1K_V2", and are downloaded to `cache_dir` where they are not
    there yet.

    Chooses the device for this process and sets MindSpore to graph mode.

    Args:
        keys: keys of the configuration, as eval.py takes them: `platform="CPU"`, `backbone="resnet50"` for a file that does
            not name its network, `use_ema=1`, `eval_batch_size=64`, ...

    Raises:
        UserError: no such file, damaged, or not what the keys ask for; an unknown key.
    """
    config = build_config({canonical_key(key, "load"): value for key, value in keys.items()})
    if Path(path).is_dir():
        raise UserError(f"{path}: a folder; name a file, for example {Path(path) / 'best.ckpt'}")
    device.choose(config)
    return Model(load_classifier(Path(path), config), config)


class Model:
    """A network ready to classify, as `load` gives it.

    Attributes:
        classes: the name of class i at place i; numbers as text where the file has no names.
        preprocessing: what an image goes through before the network sees it.
    """

    def __init__(self, classifier: LoadedClassifier, config: Config):
        self.classes: tuple[str, ...] = classifier.class_names or tuple(map(str, range(classifier.num_classes)))
        self.preprocessing: Preprocessing = classifier.preprocessing
        self._classifier = classifier
        self._config = config
        self._workers = device.worker_count(config.num_parallel_workers)

    def predict(self, images: Union[Picture, Iterable[Picture]], top_k: int = 5) -> Any:
        """The `top_k` likeliest classes, the likeliest first.

        Args:
            images: one image (a file, a PIL image, or RGB pixels uint8 (H, W, 3)), several (a list, or pixels (N, H, W, 3)),
                or a folder, whose images are found at any depth.

        Returns:
            list[Prediction] of one image; a list of those, in the same order, of several; of a folder a dict
            {path: list[Prediction]}, without the files that cannot be read, which the log names.

        Raises:
            UserError: an image cannot be read or is none.
        """
        if isinstance(images, (str, os.PathLike)) and Path(images).is_dir():
            index = index_unlabeled(Path(images), "predict")
            problems = {path: find_problem(str(path), whole=True) for path in map(index.path, range(len(index)))}
            for path, problem in problems.items():
                if problem:
                    log.warning("cannot be used: %s: %s", path, problem)
            paths = [path for path, problem in problems.items() if not problem]
            return dict(zip(paths, self.predict(paths, top_k)))
        rows = [self.likeliest(row, top_k) for row in self.logits(images)]
        return rows[0] if _is_one(images) else rows

    def likeliest(self, logits: NDArray[np.float32], top_k: int = 5) -> list[Prediction]:
        """The `top_k` likeliest classes of one image by its logits, float32 (classes,)."""
        return [Prediction(*found) for found in top_classes(logits, self.classes, top_k)]

    def inside(self) -> Inside:
        """What lies before the logits. Raises UserError where the file's format does not show it."""
        return self._classifier.inside()

    def logits(self, images: Union[Picture, Iterable[Picture]]) -> NDArray[np.float32]:
        """The network's output, float32 (N, classes).

        Args:
            images: as for `predict`, but no folder; or what has gone through `preprocessing`, float32 (N, channels, H, W).
        """
        if isinstance(images, np.ndarray) and images.dtype == np.float32:
            expected = (len(images), self.preprocessing.channels, *self.preprocessing.image_size)
            if images.shape != expected or not len(images):
                raise UserError(f"logits: expected float32 (N, {', '.join(map(str, expected[1:]))}), got {images.shape}")
            return self._in_batches(len(images))(images)
        pictures: list[Any] = [images] if _is_one(images) else list(cast(Iterable[Picture], images))
        if not pictures:
            return np.empty((0, len(self.classes)), np.float32)
        found = _images_of(pictures)
        index = index_of(found, np.full(len(found), -1), ())
        size = self._config.eval_batch_size
        batches = classified_batches(
            self._in_batches(len(found)), index, self.preprocessing, size, self._workers, self._classifier.takes_bytes
        )
        return np.concatenate([logits for logits, _ in batches])

    def evaluate(self, data_dir: Union[str, os.PathLike[str]], label_file: Union[str, os.PathLike[str]] = "") -> Accuracy:
        """The accuracy on a data set of any format that eval.py takes: every image counts once.

        Raises:
            UserError: the data cannot be used, or its classes are not the network's.
        """
        with tempfile.TemporaryDirectory() as no_cache:
            given = {"data_dir": os.fspath(data_dir), "label_file": os.fspath(label_file)}
            if "cache_dir" not in self._config.given:
                given["cache_dir"] = no_cache
            # One process checks the files: others would run the caller's script anew.
            index = open_evaluation_data(self._config.model_copy(update=given), workers=1)
            index = labels_for(self._classifier, index)
            size = self._config.eval_batch_size
            takes_bytes = self._classifier.takes_bytes
            result = evaluate(
                self._classifier.classify, index, self.preprocessing, size, self._workers, as_bytes=takes_bytes
            )
        return Accuracy(**{name: result[name] for name in Accuracy._fields})

    def _in_batches(self, images: int) -> Classifier:
        """For batches whose size is a power of two: each other size would be compiled anew."""
        size = min(1 << (images - 1).bit_length(), self._config.eval_batch_size)
        return in_batches_of(size, self._classifier.classify)


class _Pixels(Images):
    """Images in memory, RGB uint8 (H, W, 3) each."""

    root = Path()
    encoded = False
    kind = "pixels"

    def __init__(self, arrays: list[NDArray[Any]]):
        self.arrays = arrays

    def __len__(self) -> int:
        return len(self.arrays)

    def name(self, image: int) -> str:
        return f"image {image}"

    def read(self, image: int) -> NDArray[np.uint8]:
        return self.arrays[image]


def _is_one(images: Any) -> bool:
    one = isinstance(images, (str, os.PathLike, Image.Image)) or getattr(images, "ndim", 0) == 3
    return one or not isinstance(images, Iterable)  # what is no image at all is refused as one


def _images_of(pictures: list[Any]) -> Images:
    """Files that can be decoded, or pixels. Raises UserError."""
    are_files = [isinstance(picture, (str, os.PathLike)) for picture in pictures]
    if not any(are_files):
        return _Pixels([_pixels_of(picture) for picture in pictures])
    if not all(are_files):
        raise UserError("predict: files and pixels in one list; pass them one after the other")
    for path in pictures:
        problem = find_problem(os.fspath(path), whole=True) if Path(path).is_file() else "no such image file"
        if problem:
            raise UserError(f"{path}: {problem}")
    return FolderImages(Path(), Names.of(map(os.path.abspath, pictures)))


def _pixels_of(picture: Any) -> NDArray[np.uint8]:
    if isinstance(picture, Image.Image):
        return np.asarray(to_rgb(picture))
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        return picture
    kind = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
    raise UserError(f"predict: expected a file, a PIL image or RGB pixels uint8 (height, width, 3), got {kind}")
