"""What happens to a batch on the device before the network sees it: normalized, erased, mixed."""

from typing import Optional

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from ..config import Config
from ..data.augmentation import BatchDraws
from ..models.inputs import Normalize


class PreparedBatch(nn.Cell):
    """Images and labels as the loss takes them, of those that `train_pipeline` gives.

    Inputs: images (N, 3, H, W), RGB uint8, or without `device_normalization` float32, normalized; labels int32 (N,); with
        erasing or mixing also boxes int32 (N, 4) and mixing float32 (6,), which `BatchDraws` explains.
    Outputs: images float32 (N, 3, H, W); labels int32 (N,), or with mixup or cutmix float32 (N, classes).
    """

    def __init__(self, config: Config):
        super().__init__()
        self.normalize: Optional[nn.Cell] = Normalize(config.mean, config.std) if config.device_normalization else None
        self.erase: Optional[nn.Cell] = Erase(config.largest_crop) if config.random_erase_prob else None
        mixes = BatchDraws.mixes(config)
        self.mix: Optional[nn.Cell] = Mix(config.per_batch_size, config.largest_crop, config.num_classes) if mixes else None

    def construct(self, images, labels, *drawn):
        if self.normalize is not None:
            images = self.normalize(images)
        if self.erase is not None:
            images = self.erase(images, drawn[0])
        if self.mix is not None:
            return self.mix(images, labels, drawn[1])
        return images, labels


class _Boxes(nn.Cell):
    """Masks of boxes (..., 4) in images of H x W pixels, `size` at most: bool (..., H, W), true inside."""

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.rows = ms.Tensor(np.arange(size[0])[:, None], ms.float32)
        self.columns = ms.Tensor(np.arange(size[1])[None], ms.float32)

    def construct(self, boxes, shape):
        """shape: (N, C, H, W) of the images."""
        top, bottom, left, right = ops.split(ops.expand_dims(ops.cast(boxes, ms.float32), -1), 1, -2)
        rows, columns = self.rows[: shape[2]], self.columns[:, : shape[3]]
        rows = ops.logical_and(rows >= top, rows < bottom)  # (..., H, 1)
        columns = ops.logical_and(columns >= left, columns < right)  # (..., 1, W)
        return ops.logical_and(rows, columns)


class Erase(nn.Cell):
    """Sets a box of each normalized image to 0, the mean color.

    Inputs: images float32 (N, 3, H, W), boxes int32 (N, 4).
    """

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.boxes = _Boxes(size)

    def construct(self, images, boxes):
        return ops.masked_fill(images, ops.expand_dims(self.boxes(boxes, images.shape), 1), 0.0)


class Mix(nn.Cell):
    """Mixes a batch with itself in reverse order.

    Inputs: images float32 (N, 3, H, W), labels int32 (N,), mixing float32 (6,), which `BatchDraws` explains.
    Outputs: images float32 (N, 3, H, W), class probabilities float32 (N, classes).
    """

    def __init__(self, batch_size: int, size: tuple[int, int], classes: int):
        super().__init__()
        self.boxes = _Boxes(size)
        self.reverse = ms.Tensor(np.arange(batch_size)[::-1].copy(), ms.int32)
        self.classes = classes

    def construct(self, images, labels, mixing):
        share = ops.masked_fill(
            ops.broadcast_to(mixing[0], images.shape[2:]), self.boxes(mixing[2:], images.shape), 0.0
        )  # (H, W)
        images = share * images + (1 - share) * ops.gather(images, self.reverse, 0)
        targets = ops.one_hot(labels, self.classes, 1.0, 0.0)
        return images, mixing[1] * targets + (1 - mixing[1]) * ops.gather(targets, self.reverse, 0)
