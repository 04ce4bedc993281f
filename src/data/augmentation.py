"""What training does to images: operations on single ones, by MindSpore; erasing and mixing on whole batches, by NumPy."""

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


class BatchAugmentation:
    """Random erasing, mixup and cutmix of normalized batches, with randomness of its own.

    What happens to an image or a batch depends on seed, epoch and its place in the epoch alone, not on threads.

    Inputs: images float32 (N, 3, H, W), labels int32 (N,), places in the epoch int64 (N,).
    Outputs: images float32 (N, 3, H, W), labels int32 (N,), or with mixup or cutmix float32 (N, classes).
    """

    def __init__(self, config: Config, epoch: int):
        self.config = config
        self.epoch = epoch

    @staticmethod
    def is_needed(config: Config) -> bool:
        """Whether the configuration asks for any of it."""
        return bool(config.random_erase_prob or config.mixup_alpha or config.cutmix_alpha)

    def __call__(
        self, images: NDArray[np.float32], labels: NDArray[np.int32], places: NDArray[np.int64]
    ) -> tuple[NDArray[Any], ...]:
        config = self.config
        if config.random_erase_prob:
            images = images.copy()
            for image, place in zip(images, places):
                erase(image, self._generator(0, place), config.random_erase_prob)
        if not (config.mixup_alpha or config.cutmix_alpha):
            return images, labels
        targets = np.eye(config.num_classes, dtype=np.float32)[labels]
        generator = self._generator(1, places[0])
        share, box = mixing_parameters(generator, config, images.shape[2:])
        if box is None:
            return mixup(images, targets, share)
        return cutmix(images, targets, box)

    def _generator(self, kind: int, place: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, self.epoch, kind, int(place)])


def erase(image: NDArray[Any], generator: np.random.Generator, probability: float) -> None:
    """Sets a random rectangle of a normalized image (3, H, W) to 0, the mean color, with this probability.

    Reference: Zhong et al. 2017, arXiv 1708.04896, algorithm 1, with the logarithm of the ratio drawn evenly, as torchvision
    and timm do.
    """
    if generator.random() >= probability:
        return
    height, width = image.shape[1:]
    for _ in range(_ERASE_ATTEMPTS):
        area = height * width * generator.uniform(*_ERASED_AREA)
        ratio = np.exp(generator.uniform(*np.log(_ERASED_RATIO)))
        h, w = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if h < height and w < width:
            top, left = generator.integers(height - h + 1), generator.integers(width - w + 1)
            image[:, top : top + h, left : left + w] = 0
            return


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


def mixup(images: NDArray[np.float32], targets: NDArray[np.float32], share: float) -> tuple[NDArray[np.float32], ...]:
    """share * batch + (1 - share) * batch in reverse order, of images (N, 3, H, W) and of targets (N, classes)."""
    part = np.float32(share)
    mixed = np.empty_like(images)
    for image, other, result in zip(images, images[::-1], mixed):  # one by one they stay in the processor's cache
        np.multiply(image, part, out=result)
        np.add(result, (1 - part) * other, out=result)
    return mixed, part * targets + (1 - part) * targets[::-1]


def cutmix(images: NDArray[np.float32], targets: NDArray[np.float32], box: _Box) -> tuple[NDArray[np.float32], ...]:
    """Puts the box (top, bottom, left, right) of the batch in reverse order into the images; targets follow its area."""
    top, bottom, left, right = box
    mixed = images.copy()
    mixed[:, :, top:bottom, left:right] = images[::-1, :, top:bottom, left:right]
    share = np.float32(1 - (bottom - top) * (right - left) / (images.shape[2] * images.shape[3]))
    return mixed, share * targets + (1 - share) * targets[::-1]
