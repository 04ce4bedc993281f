"""The network of a server: what it is asked, on a thread of its own."""

import asyncio
import base64
import contextlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .. import device
from ..config import Config
from ..data.image_headers import ImageError, TooLargeError, UnreadFormatError
from ..data.pipeline import OneImage
from ..errors import UserError
from ..evaluation.gradcam import heat_maps
from ..evaluation.predict import class_as_json
from ..formats.classifier import Inside
from ..library import load
from .limits import Limits, RefusedError
from .monitor import Monitor
from .request_batches import Batches

_HOT = (230, 60, 0)  # color of the heat map


class Network:
    """Classifies single images for many who ask at once. Everything of MindSpore's networks happens on one thread.

    Attributes:
        explains: whether the file shows what Grad-CAM needs.
        inside: number of images that wait or are being classified.
    """

    def __init__(self, config: Config, limits: Limits, largest_batch: int, monitor: Monitor):
        self.limits = limits
        self.monitor = monitor
        self.inside = 0
        self._top_k = config.top_k
        self._largest_batch = largest_batch
        self._thread = ThreadPoolExecutor(1, "network")
        self._decoders = ThreadPoolExecutor(device.worker_count(config.num_parallel_workers), "decoder")
        self._thread.submit(self._load, config).result()

    def _load(self, config: Config) -> None:
        given = {key: getattr(config, key) for key in config.given}
        self.model = load(config.pretrained, **given)
        self.path = Path(config.pretrained)
        preprocessing = self.model.preprocessing
        self.prepare = OneImage(preprocessing, self.limits.most_pixels)
        self._opened: Optional[Inside] = None
        with contextlib.suppress(UserError):  # of formats that do not show it: there are no heat maps then
            self._opened = self.model.inside()
        # Everything is run once: it is compiled then, and nobody waits for that later.
        image = np.zeros((1, preprocessing.channels, *preprocessing.image_size), np.float32)
        if self._opened:
            self._opened.last_stage(image)
        size = 1
        while size <= self._largest_batch:
            self.model.logits(np.repeat(image, size, axis=0))
            size *= 2

    @property
    def explains(self) -> bool:
        return self._opened is not None

    def batches(self) -> Batches:
        """What groups the images of one server, to be run in its event loop."""
        return Batches(self.model.logits, self._thread, self._largest_batch, self.monitor.batch_images.observe)

    def close(self) -> None:
        """Ends the threads."""
        self._decoders.shutdown(cancel_futures=True)
        self._thread.shutdown(cancel_futures=True)

    async def answer(
        self, batches: Batches, contents: list[bytes], top_k: Optional[int], explain: bool
    ) -> list[dict[str, Any]]:
        """What each of several images shows.

        Raises:
            RefusedError: the queue is full, or an image cannot be used.
        """
        if self.inside + len(contents) > self.limits.queue:
            raise RefusedError(429, f"{self.inside} images are waiting; try again later")
        self.inside += len(contents)
        try:
            top_k = top_k or self._top_k
            tasks = [asyncio.ensure_future(self._one(batches, content, top_k, explain)) for content in contents]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
        finally:
            self.inside -= len(contents)

    async def _one(self, batches: Batches, content: bytes, top_k: int, explain: bool) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        image = await loop.run_in_executor(self._decoders, self._prepared, content)
        logits, batch = await batches.logits(image)
        found = self.model.likeliest(logits, top_k)
        answer: dict[str, Any] = {"predictions": [class_as_json(*prediction) for prediction in found], "batch": batch}
        if explain:
            heat = await loop.run_in_executor(self._thread, self._heat, image, found[0].index)
            answer.update(heat_map=data_url(heat, "PNG"), seen=data_url(self._seen(image), "JPEG"))
        self.monitor.images.inc()
        return answer

    def _prepared(self, content: bytes) -> NDArray[np.float32]:
        try:
            return self.prepare(content)
        except ImageError as error:
            status = 413 if isinstance(error, TooLargeError) else 415 if isinstance(error, UnreadFormatError) else 422
            raise RefusedError(status, f"the image {error}") from None

    def _heat(self, image: NDArray[np.float32], index: int) -> NDArray[np.uint8]:
        """Where the image speaks for a class, as a layer to lie on `_seen`: RGBA, uint8 (H, W, 4)."""
        assert self._opened is not None, "asked for where `explains` only"
        (heat,) = heat_maps(self._opened, image[None], np.array([index]))
        color = np.broadcast_to(np.array(_HOT, np.uint8), (*heat.shape, 3))
        return np.dstack([color, np.uint8(200 * heat)])

    def _seen(self, image: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The part of a picture that the network saw, RGB, uint8 (H, W, 3)."""
        preprocessing = self.model.preprocessing
        mean, std = (np.reshape(values, (-1, 1, 1)) for values in (preprocessing.mean, preprocessing.std))
        pixels = np.round(255 * (image * std + mean)).clip(0, 255).astype(np.uint8)
        return np.broadcast_to(pixels, (3, *image.shape[1:])).transpose(1, 2, 0)


def data_url(pixels: NDArray[np.uint8], kind: str) -> str:
    """An image, RGB or RGBA, uint8 (H, W, channels), as a `data:` address."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, quality=90)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
