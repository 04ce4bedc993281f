"""What training does to images: operations on single ones, by MindSpore, and what is drawn for whole batches."""

from typing import Any, Optional

import numpy as np
from mindspore.dataset import vision
from numpy.typing import NDArray

from ..config import Config

_INTERPOLATION = {"bilinear": vision.Inter.BILINEAR, "bicubic": vision.Inter.BICUBIC, "area": vision.Inter.AREA}
# Share of the area and aspect ratio of an erased rectangle: timm's defaults.
_ERASED_AREA, _ERASED_RATIO, _ERASE_ATTEMPTS = (0.02, 1 / 3), (0.3, 1 / 0.3), 10
_Box = tuple[int, int, int, int]


def image_operations(config: Config, encoded: bool) -> list[Any]:
    """MindSpore operations, encoded image (bytes,) or pixels (H, W, 3) -> augmented pixels uint8 (height, width, 3).

    Crop, flip, automatic policy, color jitter, in this order. Their randomness follows `mindspore.dataset.config.set_seed`.

    Args:
        encoded: whether the images are files' bytes and not pixels.
    """
    operations = _crop(config, encoded)
    if config.hflip_prob:
        # All of MindSpore's operations draw from equal streams. RandomHorizontalFlip uses up as much of it for each image as
        # RandomCrop does and would follow the crop's place; a policy of one operation uses up more.
        operations.append(vision.RandomSelectSubpolicy([[(vision.HorizontalFlip(), config.hflip_prob)]]))
    operations += _policy(config)
    if config.color_jitter:
        operations.append(vision.RandomColorAdjust(*[config.color_jitter] * 3))
    return operations


def _crop(config: Config, encoded: bool) -> list[Any]:
    """A crop of random size and place, or with `crop_padding` one of fixed size (He et al. 2015, arXiv 1512.03385, 4.2)."""
    interpolation = _INTERPOLATION[config.train_interpolation]
    if config.crop_padding:
        crop = [vision.Resize(config.image_size, interpolation), vision.RandomCrop(config.image_size, config.crop_padding)]
        return [vision.Decode(), *crop] if encoded else crop
    arguments = {"scale": config.crop_scale, "ratio": config.crop_ratio, "interpolation": interpolation}
    crop = vision.RandomCropDecodeResize if encoded else vision.RandomResizedCrop
    return [crop(config.image_size, **arguments)]


def _policy(config: Config) -> list[Any]:
    """The automatic augmentation that `auto_augment` names.

    References: Cubuk et al. 2018, arXiv 1805.09501 (AutoAugment); Cubuk et al. 2019, arXiv 1909.13719 (RandAugment);
    Müller and Hutter 2021, arXiv 2103.10158 (TrivialAugment, "wide").
    """
    if config.auto_augment == "randaugment":
        return [vision.RandAugment(config.auto_augment_ops, config.auto_augment_magnitude)]
    if config.auto_augment == "autoaugment":
        return [vision.AutoAugment(vision.AutoAugmentPolicy.IMAGENET)]
    if config.auto_augment == "autoaugment_cifar10":
        return [vision.AutoAugment(vision.AutoAugmentPolicy.CIFAR10)]
    if config.auto_augment == "trivialaugment":
        return [vision.TrivialAugmentWide()]
    return []


class BatchDraws:
    """What random erasing, mixup and cutmix are to do to a batch, with randomness of its own.

    It depends on seed, epoch and the images' places in the epoch alone, not on threads. The device does it
    (src/training/batches.py).

    Inputs: places in the epoch int64 (N,).
    Outputs: boxes to erase int32 (N, 4), each (top, bottom, left, right) in pixels, all 0 for none; mixing float32 (6,):
        shares of an image in its pixels outside of the box and in its label, and the box that the other image fills.
    """

    def __init__(self, config: Config, epoch: int):
        self.config = config
        self.epoch = epoch

    @staticmethod
    def is_needed(config: Config) -> bool:
        """Whether the configuration asks for any of it."""
        return bool(config.random_erase_prob) or BatchDraws.mixes(config)

    @staticmethod
    def mixes(config: Config) -> bool:
        """Whether it asks for mixup or cutmix."""
        return bool(config.mixup_alpha or config.cutmix_alpha)

    def __call__(self, places: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        config = self.config
        boxes = np.zeros((len(places), 4), np.int32)
        if config.random_erase_prob:
            draws = [box_to_erase(self._generator(0, place), config) for place in places]
            boxes[:] = [box or (0, 0, 0, 0) for box in draws]
        share, box = 1.0, None
        if self.mixes(config):
            share, box = mixing_parameters(self._generator(1, places[0]), config, config.image_size)
        return boxes, mixing_of(share, box, config.image_size)

    def _generator(self, kind: int, place: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, self.epoch, kind, int(place)])


def mixing_of(share: float, box: Optional[_Box], size: tuple[int, int]) -> NDArray[np.float32]:
    """What `mixing_parameters` gives for images of this size as numbers for the device: `mixing` of `BatchDraws`."""
    if box is None:
        return np.array([share, share, 0, 0, 0, 0], np.float32)
    top, bottom, left, right = box
    return np.array([1, 1 - (bottom - top) * (right - left) / (size[0] * size[1]), *box], np.float32)


def box_to_erase(generator: np.random.Generator, config: Config) -> Optional[_Box]:
    """A random rectangle (top, bottom, left, right) of an image, with the probability `random_erase_prob`.

    Reference: Zhong et al. 2017, arXiv 1708.04896, algorithm 1, with the logarithm of the ratio drawn evenly, as torchvision
    and timm do.
    """
    if generator.random() >= config.random_erase_prob:
        return None
    height, width = config.image_size
    for _ in range(_ERASE_ATTEMPTS):
        area = height * width * generator.uniform(*_ERASED_AREA)
        ratio = np.exp(generator.uniform(*np.log(_ERASED_RATIO)))
        h, w = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if h < height and w < width:
            top, left = generator.integers(height - h + 1), generator.integers(width - w + 1)
            return top, top + h, left, left + w
    return None


def mixing_parameters(generator: np.random.Generator, config: Config, size: tuple[int, ...]) -> tuple[float, Optional[_Box]]:
    """What is done to one batch: (share, None) for mixup, (share, box) for cutmix; share 1.0 leaves it as it is.

    The batch is mixed with `mixup_prob`; where both are on, by cutmix with `mixup_switch_prob`. The share is drawn from
    Beta(alpha, alpha). A box is (top, bottom, left, right) in pixels; its center is drawn evenly, what sticks out is cut.

    References: Zhang et al. 2017, arXiv 1710.09412, section 2; Yun et al. 2019, arXiv 1905.04899, section 3.1; the choice
    between them as in timm's Mixup.
    """
    if generator.random() >= config.mixup_prob:
        return 1.0, None
    probability = config.mixup_switch_prob if config.mixup_alpha and config.cutmix_alpha else float(config.cutmix_alpha > 0)
    by_cutmix = generator.random() < probability
    alpha = config.cutmix_alpha if by_cutmix else config.mixup_alpha
    share = float(generator.beta(alpha, alpha))
    if not by_cutmix:
        return share, None
    box = []
    for length in size:
        side, center = int(length * (1 - share) ** 0.5), generator.integers(length)
        box += [max(center - side // 2, 0), min(center + side // 2, length)]
    return share, (box[0], box[1], box[2], box[3])
