"""Images to .bin files: what a network's file takes as input, one file per image, without a header."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..config import Config
from ..data.pipeline import eval_pipeline, pixel_pipeline, read_batches
from ..data.preprocessing import preprocessing_for
from ..data.read_ahead import Reading
from ..data.scan import naming_bad_images, usable_images
from ..data.sources.folder import evaluation_folder
from ..data.sources.lists import index_unlabeled
from ..device import worker_count
from ..errors import UserError
from ..files import replacing, write_text
from ..formats.aipp import FORMATS, GRAY_FORMAT, input_of, to_yuv420sp
from ..log import log
from ..model_info import ModelInfo, meta_path
from ..progress import bar
from .description import description_of
from .result_names import result_names

_BATCH = 32  # images; more would not be faster


def preprocess(config: Config) -> int:
    """Writes `bin_dir`/<name>.bin of every image below `data_dir`, and `bin_dir`.meta.json, which describes them.

    The folder appears when all files are there: an interrupted run leaves none behind.

    Returns:
        The number of files.

    Raises:
        UserError: images that cannot be decoded (`scan` and `bad_images` say what then), names that collide, a folder that
            holds files already, an input format that is not the one of the file in `pretrained`.
    """
    if not config.data_dir:
        raise UserError("data_dir: no value; pass --data_dir FOLDER")
    target = Path(config.bin_dir)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"bin_dir: '{target}' is there already; remove it or choose another folder")
    info = description_of(config)
    preprocessing = preprocessing_for(config, info.preprocessing)
    kind = input_kind(config, info)
    described = input_of(kind, preprocessing.image_size, preprocessing.channels)  # refuses odd sizes
    index = index_unlabeled(evaluation_folder(Path(config.data_dir)), "data_dir")
    names = dict(zip(index.files, result_names(index.files)))
    workers = worker_count(config.num_parallel_workers)
    index = replace(index, reading=Reading.of(config))
    index = usable_images(index, config.scan, config.bad_images, Path(config.cache_dir), workers)
    pipeline = (eval_pipeline if kind == "none" else pixel_pipeline)(index, preprocessing, _BATCH, workers)

    content = {
        "images": len(index),
        "input": {**described.to_dict(), "shape": described.shape[1:]},
        "preprocessing": preprocessing.to_dict(),
        "files": {f"{names[file]}.bin": file for file in index.files},
    }
    progress = bar(total=len(index), unit="img")
    files = iter(index.files)
    with replacing(target) as work, progress, naming_bad_images(index), ThreadPoolExecutor(workers) as pool:
        work.mkdir()
        for images, _ in read_batches(pipeline):
            inputs = to_yuv420sp(images) if kind == "yuv420sp" else images
            paths = [work / f"{names[next(files)]}.bin" for _ in inputs]
            list(pool.map(_write, inputs, paths))
            progress.update(len(images))
        write_text(meta_path(target), json.dumps(content, indent=2) + "\n")  # before the folder: it is never without
    color = "RGB" if preprocessing.channels == 3 else "gray"
    shape = " x ".join(map(str, described.shape[1:]))
    form = described.format or f"normalized {color}"
    log.info("%s: %d files of %s %s, %s", target, len(index), shape, described.dtype, form)
    return len(index)


def _write(image: NDArray[Any], path: Path) -> None:
    """Unlike `ndarray.tofile`, reports what fails when the file is closed. Raises OSError."""
    path.write_bytes(image.tobytes())


def input_kind(config: Config, info: ModelInfo) -> str:
    """ "none", "rgb" or "yuv420sp": what `aipp` asks for, or else what the network's file takes.

    Raises:
        UserError: the two differ.
    """
    kinds = {GRAY_FORMAT: "rgb", **{name: kind for kind, name in FORMATS.items()}}
    stored = kinds.get(info.input.format or "" if info.input else "", "none")
    if config.aipp == "auto":
        return stored
    if info.input and config.aipp != stored:
        raise UserError(f"aipp: {config.aipp} was asked for, but {config.pretrained} takes {stored}; leave --aipp away")
    return config.aipp
