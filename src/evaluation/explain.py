"""A picture of why: an image as the network sees it, and the same under the heat map of its class."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from ..data.index import ImageIndex
from ..data.pipeline import eval_pipeline, read_batches
from ..errors import UserError
from ..files import replacing
from ..formats.classifier import LoadedClassifier
from ..log import log
from ..report.pictures import under_heat
from .answered import pixels_of
from .gradcam import heat_maps

_SHORTEST = 224  # pixels; smaller images are enlarged


def explain(classifier: LoadedClassifier, index: ImageIndex, file: Path) -> None:
    """Writes the picture of the only image of `index`.

    Raises:
        UserError: there are several, the ending is none of PNG and JPEG, the file cannot be written, or the network's
            format does not show its last stage.
    """
    if len(index) != 1:
        raise UserError(f"explain: is for one image, predict names {len(index)}; name one of them")
    ((images, _),) = read_batches(eval_pipeline(index, classifier.preprocessing, 1, 1))
    (heat,) = heat_maps(classifier.inside(), images)
    (pixels,) = pixels_of(images, classifier.preprocessing)
    both = Image.fromarray(np.concatenate([pixels, np.asarray(under_heat(pixels, heat))], axis=1))
    times = -(-_SHORTEST // min(pixels.shape[:2]))
    both = both.resize((both.width * times, both.height * times), Image.Resampling.NEAREST)
    content = io.BytesIO()
    both.save(content, "PNG" if file.suffix.lower() == ".png" else "JPEG", quality=90)
    with replacing(file) as temporary:
        temporary.write_bytes(content.getvalue())
    log.info("explained: %s", file)
