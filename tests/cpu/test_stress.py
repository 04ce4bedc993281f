"""The operators under random delays of the threads give the same bits every time, and ThreadSanitizer finds no race."""

import os
import shutil
import subprocess

import pytest

from conftest import ROOT
from src.cpu import libraries

KERNELS = ROOT / "src/cpu/kernels"
SECONDS = 60


@pytest.mark.exhaustive
@pytest.mark.parametrize("sanitizer", ["", "thread"])
@pytest.mark.parametrize("block", libraries._KINDS)
def test_results_repeat_bit_for_bit_under_random_delays(block, sanitizer, tmp_path):
    compiler = shutil.which("g++")
    if not compiler or not libraries._cpu_flags().issuperset(libraries._KINDS[block]):
        pytest.skip("no compiler, or another CPU")
    onednn = libraries._onednn()
    instructions = [f"-m{flag}" for flag in libraries._KINDS[block]]
    command = [
        compiler, "-std=c++17", "-O2", "-g", "-ffp-contract=off", "-pthread", "-DRANDOM_DELAYS", *instructions,
        f"-DBLOCK={block}", *[f"-fsanitize={sanitizer}"] * bool(sanitizer), f"-I{KERNELS}", "-o", tmp_path / "stress",
        ROOT / "tests/cpu/stress.cc", *sorted(KERNELS.glob("*.cc")),
        f"-L{onednn.parent}", f"-l:{onednn.name}", f"-Wl,-rpath,{onednn.parent}",
    ]  # fmt: skip
    subprocess.run(list(map(str, command)), check=True)
    kind = {16: "DEFAULT", 8: "AVX2"}[block]  # the tests' own process has AVX2
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": kind}
    command = [tmp_path / "stress", str(SECONDS), "4"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, (run.stdout + run.stderr)[-3000:]
    assert int(run.stdout.split()[0]) > 1000, run.stdout  # calls compared
