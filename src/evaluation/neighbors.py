"""`eval.py --predict IMAGE --neighbors FOLDER`: the images of a data set that a network finds most alike."""

import json
from pathlib import Path
from typing import Any

from ..config import Config
from ..data.scan import usable_images
from ..data.sources.lists import index_unlabeled
from ..device import worker_count
from ..errors import UserError, printable
from ..formats.classifier import LoadedClassifier
from ..networks.imagenet import full_name
from .embeddings import Embeddings, directions, embed, nearest, read_embeddings


def print_neighbors(classifier: LoadedClassifier, config: Config) -> int:
    """Prints the `top_k` images of `config.neighbors` nearest to each image below `config.predict`; the exit code.

    Raises:
        UserError: images that cannot be used, or features of another network.
    """
    asked = _embedded(Path(config.predict), "predict", classifier, config)
    known = _embedded(Path(config.neighbors), "neighbors", classifier, config)
    if asked.features.shape[1] != known.features.shape[1]:
        sizes = f"{known.features.shape[1]} features per image, the network gives {asked.features.shape[1]}"
        raise UserError(f"neighbors: '{config.neighbors}' has {sizes}; write it with the same --pretrained")
    center = known.features.mean(0)
    found = nearest(directions(asked.features, center), directions(known.features, center), config.top_k)
    for name, (places, cosines) in zip(asked.names, found):
        neighbors = [_described(known, int(place), float(cosine)) for place, cosine in zip(places, cosines)]
        if config.predict_json:
            print(json.dumps({"image": str(name), "neighbors": neighbors}))
            continue
        print(printable(str(name)))
        for neighbor in neighbors:
            label = f"  {printable(full_name(neighbor['class']))}" if "class" in neighbor else ""
            print(f"  {neighbor['similarity']:8.4f}  {printable(neighbor['image'])}{label}")
    return 0


def _embedded(path: Path, key: str, classifier: LoadedClassifier, config: Config) -> Embeddings:
    if path.suffix == ".npz":
        return read_embeddings(path)
    workers = worker_count(config.num_parallel_workers)
    index = usable_images(index_unlabeled(path, key), config.scan, config.bad_images, Path(config.cache_dir), workers)
    return embed(classifier, index, config.eval_batch_size, workers)


def _described(known: Embeddings, place: int, cosine: float) -> dict[str, Any]:
    found = {"image": str(known.names[place]), "similarity": round(cosine, 6)}
    label = int(known.labels[place])
    return found if label < 0 else {**found, "class": known.class_of(label)}
