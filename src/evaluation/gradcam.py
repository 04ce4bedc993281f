"""Why a network decided so: where in an image it saw what speaks for a class.

Reference: Selvaraju et al. 2017, arXiv 1610.02391, section 3 (Grad-CAM), on the last stage.
"""

from typing import Optional

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..formats.classifier import Inside


def class_maps(stage: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Grad-CAM of the last stage before it is scaled (equations 1 and 2).

    What follows the last stage here is its mean over the pixels and a linear classifier. So the gradient of a class's
    logit is that class's weight of the channel divided by the number of pixels, the same at all of them, and no backward
    pass is needed (the paper's section 3.1 shows the same for Zhou et al. 2016, arXiv 1512.04150).

    Args:
        stage: output of the last stage, (N, C, h, w).
        weights: of the classes that are asked for, one per image, (N, C).

    Returns:
        (N, h, w), 0 or more.
    """
    gradients = weights / np.float32(stage.shape[2] * stage.shape[3])
    return np.maximum(np.einsum("nchw,nc->nhw", stage, gradients), 0)


def heat_maps(
    inside: Inside, images: NDArray[np.float32], classes: Optional[NDArray[np.int64]] = None
) -> NDArray[np.float32]:
    """Heat maps of images of their own size, scaled to 0..1.

    Args:
        inside: `LoadedClassifier.inside()`.
        images: float32 (N, 3, H, W), preprocessed.
        classes: class number per image, (N,); None: the one that the network puts first.

    Returns:
        float32 (N, H, W): 1 where most speaks for the class, 0 where least does; all 0 where nothing does.
    """
    stage, logits = inside.last_stage(images)
    chosen = logits.argmax(axis=1) if classes is None else classes
    size = (images.shape[3], images.shape[2])
    maps = class_maps(stage, inside.weights[chosen])
    return np.stack([_scaled(np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR))) for one in maps])


def _scaled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    values = values - values.min()
    return values / max(float(values.max()), 1e-7)
