"""How the tests call the C++ programs."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

# src/device.py holds oneDNN to AVX2 for MindSpore's sake; OpenVINO could not compute in bf16 then.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "ONEDNN_MAX_CPU_ISA"}


def run(program, *arguments, env=ENVIRONMENT, **options):
    command = [str(program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, text=True, env=env, **options)


@pytest.fixture(name="infer")
def infer_fixture(infer_programs, tmp_path):
    """Runs infer_images with its results in a folder of the test."""

    def start(model, data, *arguments, output=tmp_path / "out"):
        return run(
            infer_programs / "infer_images", "--model_path", model, "--dataset_path", data, "--output", output, *arguments
        )

    return start


@pytest.fixture(name="refusal")
def refusal_fixture(infer):
    """Runs infer_images, which must fail with exactly one line on stderr, and returns that line."""

    def start(*arguments, code: int = 2, **options) -> str:
        result = infer(*arguments, **options)
        assert result.returncode == code, result.stderr
        assert re.fullmatch(r"error: .*\n", result.stderr), result.stderr
        return result.stderr

    return start


def logits_of(folder: Path) -> dict:
    return {path.name: np.fromfile(path, np.float32) for path in sorted((folder / "result_Files").glob("*.bin"))}


def reexported(model: Path, folder: Path, **preprocessing) -> Path:
    """A copy of an export whose preprocessing was changed."""
    folder.mkdir()
    copy = Path(shutil.copy(model, folder))
    meta = json.loads(Path(f"{model}.meta.json").read_text())
    meta["preprocessing"].update(preprocessing)
    Path(f"{copy}.meta.json").write_text(json.dumps(meta))
    return copy
