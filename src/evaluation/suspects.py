"""`python -m src.evaluation.suspects EMBEDDINGS.npz`: duplicates and probable label errors of a data set.

Both come from the nearest neighbors of every image among the features that a network gave (`eval.py --embeddings`):

- A duplicate: one of the neighbors, and the small gray pictures of both are the same but for noise.
- A probable label error: the neighbors agree on another class. They vote with the weight of their likeness, duplicates
  aside, because copies bear the same wrong label. An image has no vote on itself, so that a network that has learned its
  wrong label by heart does not hide it as long as its features still lie among those of its kind. (k nearest neighbors as
  a check of labels: Bahri et al. 2020, arXiv 2004.12289.)

What is found are suspicions: look at the images before you change anything.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CommandParser, printable, run_command
from ..files import write_text
from ..networks.imagenet import full_name
from .embeddings import Embeddings, directions, nearest, read_embeddings

NEIGHBORS = 10
AGREEMENT = 0.8  # share of the votes for another class
# Mean difference of the small pictures of duplicates, as a share of their contrast. JPEG copies of digits, at another size,
# have 0.015 at most, the two digits most alike 0.05.
NOISE = 0.03


def find_suspects(embeddings: Embeddings) -> list[dict[str, Any]]:
    """Findings of both kinds, each the most certain first, as `write_text` puts them into a JSON file.

    Returns:
        {"image", "kind": "duplicate", "other", "score"} and {"image", "kind": "label", "label", "suggested", "score"}.
        `score` is 1 - the difference of the two pictures as a share of their contrast, or the share of the votes.
    """
    duplicates: dict[tuple[int, int], float] = {}
    labels = []
    toward = directions(embeddings.features, embeddings.features.mean(0))
    small = embeddings.thumbnails.astype(np.float32)
    contrasts = np.abs(small - small.mean((1, 2), keepdims=True)).mean((1, 2))
    for image, (near, likeness) in enumerate(nearest(toward, toward, NEIGHBORS + 1)):
        is_other = near != image
        places, cosines = near[is_other][:NEIGHBORS], likeness[is_other][:NEIGHBORS]
        differences = np.abs(small[places] - small[image]).mean((1, 2)) / max(contrasts[image], 1e-6)
        copies = differences <= NOISE
        for other, difference in zip(places[copies], differences[copies]):
            pair = min(image, int(other)), max(image, int(other))
            duplicates.setdefault(pair, round(1 - float(difference), 4))
        label, suggested, share = _vote(embeddings, image, places[~copies], cosines[~copies])
        if label != suggested and share >= AGREEMENT:
            labels.append((image, label, suggested, round(share, 4)))
    names = [str(name) for name in embeddings.names]
    return [
        *(
            {"image": names[image], "kind": "duplicate", "other": names[other], "score": score}
            for (image, other), score in sorted(duplicates.items(), key=lambda found: -found[1])
        ),
        *(
            {"image": names[image], "kind": "label", "label": embeddings.class_of(label),
             "suggested": embeddings.class_of(suggested), "score": score}
            for image, label, suggested, score in sorted(labels, key=lambda found: -found[3])
        ),
    ]  # fmt: skip


def _vote(
    embeddings: Embeddings, image: int, places: NDArray[np.int64], cosines: NDArray[np.float32]
) -> tuple[int, int, float]:
    """An image's label, the class for which its neighbors vote, and that class's share of the votes."""
    label = int(embeddings.labels[image])
    weights = np.maximum(cosines, 0)
    voters = embeddings.labels[places]
    if label < 0 or not weights.sum() or (voters < 0).any():
        return label, label, 0.0
    classes, numbers = np.unique(voters, return_inverse=True)
    votes = np.bincount(numbers, weights)
    best = int(votes.argmax())
    return label, int(classes[best]), float(votes[best] / votes.sum())


def _lines(found: list[dict[str, Any]]) -> Iterator[str]:
    for one in found:
        if one["kind"] == "duplicate":
            yield f"duplicate  {one['score']:.3f}  {one['image']}  =  {one['other']}"
        else:
            label, suggested = full_name(one["label"]), full_name(one["suggested"])
            yield f"label      {one['score']:.3f}  {one['image']}: {label}, probably {suggested}"


def main(arguments: list[str]) -> int:
    """The command."""
    parser = CommandParser(
        prog="python -m src.evaluation.suspects",
        description="Finds duplicates and probable label errors of a data set by its embeddings.",
    )
    parser.add_argument("embeddings", type=Path, help="file that eval.py --embeddings wrote")
    parser.add_argument("--output", type=Path, help="JSON file to write: RUN/label_errors.json is shown in the run's report")
    options = parser.parse_args(arguments)
    embeddings = read_embeddings(options.embeddings)
    found = find_suspects(embeddings)
    for line in _lines(found):
        print(printable(line))
    copies = sum(one["kind"] == "duplicate" for one in found)
    print(f"{len(embeddings)} images: {copies} duplicates, {len(found) - copies} probable label errors")
    if options.output:
        write_text(options.output, json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
