"""The embedded data set: scikit-learn's handwritten digits, 1,797 real scans of 8x8 pixels, as a folder of images.

Origin: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998, license
CC BY 4.0 (the test part of it); bundled with scikit-learn, license BSD-3-Clause.

    python -m src.data.tools.digits --output FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import CommandParser, UserError, run_command
from ...files import replacing

VALIDATION_SHARE = 0.2
LICENSE = (
    "Handwritten digits: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning\n"
    "Repository, 1998 (test part), license CC BY 4.0. Taken from the copy in scikit-learn (BSD-3-Clause).\n"
)


def write_digits(output: Path) -> tuple[int, int]:
    """Writes `output`/{train,val}/<digit>/<number>.png, 8-bit gray, with the same share of each digit in both parts.

    The folder appears when all images are there.

    Returns:
        The numbers of training and validation images.

    Raises:
        UserError: the folder holds files already, or cannot be written.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    parts = train_test_split(
        np.arange(len(digits.images)), test_size=VALIDATION_SHARE, stratify=digits.target, random_state=0
    )
    with replacing(output) as folder:
        for name, numbers in zip(("train", "val"), parts):
            for number in numbers:
                path = folder / name / str(digits.target[number]) / f"{number:04d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.round(digits.images[number] * (255 / 16)).astype(np.uint8)  # 17 levels of gray, 0 to 16
                Image.fromarray(pixels).save(path)
        (folder / "LICENSE.txt").write_text(LICENSE, encoding="utf-8")
    return len(parts[0]), len(parts[1])


def main(arguments: list[str]) -> int:
    """The command."""
    parser = CommandParser(prog="python -m src.data.tools.digits", description="Writes the embedded digits as images.")
    parser.add_argument("--output", type=Path, required=True, help="folder to write train/ and val/ into")
    output = parser.parse_args(arguments).output
    try:
        train, val = write_digits(output)
    except ImportError:
        raise UserError("the digits come with scikit-learn, which is not installed; run bash scripts/setup_env.sh") from None
    print(f"{output}: {train} training and {val} validation images; license: {output / 'LICENSE.txt'}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
