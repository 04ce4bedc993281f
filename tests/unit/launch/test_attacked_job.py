"""A job of train.py on two servers that strangers attack while they wait and work: the same bits as without them."""

import json
import subprocess
import sys

import pytest

from conftest import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.exhaustive)])
def test_an_attacked_job_ends_with_the_same_bits_and_impostors_are_named(tmp_path, seconds):
    command = [
        sys.executable, ROOT / "benchmarks/faults.py", "--only", "strangers", "--attack_seconds", str(seconds),
        "--port", "9700", "--output", tmp_path / "rows.json",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    *rows, bits = json.loads((tmp_path / "rows.json").read_text())["results"]
    assert [row["exit_code"] for row in rows] == [2, 2, 2, 0, 0, 0, 0]
    no_proof = "did not prove that it has the secret of this job"
    assert all(no_proof in row["message"] for row in rows[:2]) and no_proof in rows[2]["message"]
    assert bits["differing"] == [] and len(bits["attacks"]) == 9, bits
