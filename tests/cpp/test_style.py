"""The C++ sources against .clang-format and .clang-tidy, where those programs are installed."""

import re
import shutil
import subprocess

import pytest

from conftest import ROOT

SOURCES = ROOT / "ascend310_infer"
RELEASE = "14"  # others lay out differently and check more


def tool(name: str) -> str:
    """The program of the release that the settings are for, or the test is skipped."""
    for program in (f"{name}-{RELEASE}", name):
        if path := shutil.which(program):
            version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
            if re.search(rf"version {RELEASE}\.", version):
                return path
    pytest.skip(f"{name} {RELEASE} is not installed")


def sources(*folders: str) -> list:
    files = [path for folder in folders for path in (SOURCES / folder).rglob("*") if path.suffix in (".h", ".cc")]
    assert files
    return sorted(map(str, files))


def test_the_layout_is_that_of_clang_format():
    kernels = [str(path) for folder in ("src/cpu/kernels", "tests/cpu") for path in (ROOT / folder).glob("*.*")]
    style = f"--style=file:{SOURCES / '.clang-format'}"
    command = [tool("clang-format"), style, "--dry-run", "-Werror", *sources("inc", "src", "tests"), *kernels]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]


@pytest.mark.exhaustive  # two minutes of both cores
def test_clang_tidy_finds_nothing(infer_programs, sanitized_programs):
    program = tool("clang-tidy")
    ascend = [path for path in sources("src") if "backend_ascendcl" in path or "backend_mindspore_lite" in path]
    rest = [path for path in sources("src") if path not in ascend]
    jobs = [(infer_programs, rest[::2]), (infer_programs, rest[1::2]), (sanitized_programs, ascend)]
    running = [
        subprocess.Popen(
            [program, "--quiet", "-p", str(build), *files], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        for build, files in jobs
    ]
    for process in running:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output[-3000:]
