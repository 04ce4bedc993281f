"""Cache files: bounded, checked, and never a reason to fail."""

import io
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from conftest import ROOT
from src.data.cache import load_arrays, pack_json, save_arrays, unpack_json
from src.data.scan import find_problems
from src.data.sources.folder import index_folder


def array_file(header: str, content: bytes = b"") -> bytes:
    """A .npy file with any header."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content


def archive(path: Path, compression: int = zipfile.ZIP_STORED, **files) -> Path:
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in files.items():
            target.writestr(f"{name}.npy", content)
    return path


def test_what_was_saved_is_loaded(tmp_path):
    arrays = {"a": np.arange(6).reshape(3, 2), "b": np.zeros(0, np.uint8), "c": np.arange(6).reshape(3, 2).T}
    save_arrays(tmp_path / "x.npz", arrays)
    loaded = load_arrays(tmp_path / "x.npz", tuple(arrays))
    assert all((loaded[key] == arrays[key]).all() and loaded[key].dtype == arrays[key].dtype for key in arrays)
    with np.load(tmp_path / "x.npz") as by_numpy:
        assert all((by_numpy[key] == arrays[key]).all() for key in arrays)
    assert load_arrays(tmp_path / "x.npz", ("a", "d")) == {}


def test_hostile_files_are_no_cache_and_take_no_memory(tmp_path):
    plain = io.BytesIO()
    np.save(plain, np.zeros(1 << 27, np.uint8))
    huge = "{'descr': '|u1', 'fortran_order': False, 'shape': (%s,), }\n"
    objects = array_file("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", bytes(8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in (
        archive(tmp_path / "bomb.npz", zipfile.ZIP_DEFLATED, a=plain.getvalue()),
        archive(tmp_path / "claim.npz", a=array_file(huge % (1 << 40))),
        archive(tmp_path / "negative.npz", a=array_file(huge % "-1")),
        archive(tmp_path / "objects.npz", a=objects),
        archive(tmp_path / "code.npz", a=array_file("__import__('os').abort()\n")),
        archive(tmp_path / "short.npz", a=b"\x93NUM"),
    ):
        assert load_arrays(path, ("a",)) == {}, path.name
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KB; the bomb unpacks to 134 MB
    for text in (b"[" * 100_000, b"{", b"[]", b"\xff", b"7"):
        assert unpack_json(np.frombuffer(text, np.uint8)) == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda arrays: {**arrays, "labels": arrays["labels"] + 7},
        lambda arrays: {**arrays, "labels": arrays["labels"] - 1},
        lambda arrays: {**arrays, "labels": arrays["labels"].astype(float)},
        lambda arrays: {**arrays, "stamps": arrays["stamps"][:-1]},
        lambda arrays: {**arrays, "names_ends": arrays["names_ends"][::-1]},
        lambda arrays: {**arrays, "names_ends": arrays["names_ends"] * 1000},
        lambda arrays: {**arrays, "folders_buffer": arrays["folders_buffer"] * 0},
        lambda arrays: {**arrays, "other_counts": np.zeros(3, np.int64)},
    ],
)
def test_a_list_of_files_that_cannot_be_is_made_anew(data_set, tmp_path, spoil):
    root = data_set / "train"
    for path in (root, *root.iterdir()):
        os.utime(path, ns=(0, 10**18))
    expected = index_folder(root, tmp_path)
    (file,) = tmp_path.glob("index-*.npz")
    with np.load(file) as content:
        save_arrays(file, spoil(dict(content)))
    again = index_folder(root, tmp_path)
    assert again.fingerprint == expected.fingerprint and again.class_names == expected.class_names


def test_verdicts_that_cannot_be_are_found_anew(data_set, tmp_path):
    index = index_folder(data_set / "train")
    index.path(3).write_bytes(b"broken")
    index = index_folder(data_set / "train")
    assert set(find_problems(index, "full", tmp_path, 1)) == {3}
    (file,) = tmp_path.glob("scan-full-*.npz")
    with np.load(file) as content:
        arrays = dict(content)
    for problems in ({"99": "x"}, {"1" * 5000: "x"}, {"-1": "x"}, {"3": 5}, {"x": "y"}):
        save_arrays(file, {**arrays, "problems": pack_json(problems)})
        assert set(find_problems(index, "full", tmp_path, 1)) == {3}


CHECK = """
import resource, sys
from pathlib import Path
from src.data.sources.folder import index_folder
if sys.argv[3] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
print(ascii(index_folder(Path(sys.argv[1]), Path(sys.argv[2])).class_names))
"""


def run_check(data: Path, cache: Path, limit: int = 0, **environment) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", CHECK, data, cache, str(limit)]
    variables = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True, timeout=60)


def test_names_do_not_depend_on_the_locale_that_wrote_the_cache(data_set, tmp_path):
    root = data_set / "train"
    (root / "red").rename(root / "rosé")
    for path in (root, *root.iterdir()):
        os.utime(path, ns=(0, 10**18))
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    assert "udcc3" in run_check(root, tmp_path / "cache", **ascii_only).stdout
    names = run_check(root, tmp_path / "cache", PYTHONUTF8="1").stdout
    assert names == run_check(root, tmp_path / "other", PYTHONUTF8="1").stdout and "ros\\xe9" in names


@pytest.mark.parametrize("full", [True, False])
def test_a_cache_that_cannot_be_written_is_one_warning(data_set, tmp_path, full):
    cache = tmp_path / "cache"
    if not full:
        cache.write_text("a file and no folder")
    result = run_check(data_set / "train", cache, 500 if full else 0)
    assert result.stdout and len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("not kept for the next run: ")
