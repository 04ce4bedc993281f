"""The files of a run that its page is made of: the page is written, plots aside, or refused in one line."""

import json
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from changes import Reader, as_bytes, as_json, as_yaml, json_bytes
from data_readers import arrays_of
from hypothesis import strategies as st

from src.data.cache import load_arrays, unpack_json, write_arrays
from src.report.page import render
from src.report.run_files import read_run

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))
from runs import write_run  # noqa: E402

_COLUMNS = ("labels", "guesses", "ranks", "confidences", "about", "files")


def _reader(folder: Path, name: str, changed) -> Reader:
    pytest.importorskip("matplotlib", reason="the page is an optional extra: pip install '.[report]'")

    def read() -> None:
        with mock.patch("src.report.plots._svg", lambda draw, name: ""):
            render([read_run(folder / "run")])

    return Reader(folder / "run" / name, changed, read)


def run_answers(folder: Path) -> Reader:
    run = write_run(folder / "run")
    good = load_arrays(run / "answers.npz", _COLUMNS)
    about = unpack_json(good["about"])

    def with_about(content: bytes) -> bytes:
        write_arrays(folder / "changed.npz", {**good, "about": np.frombuffer(content, np.uint8)})
        return (folder / "changed.npz").read_bytes()

    odd = st.sampled_from([
        {"labels": np.full(60, 2**31 - 1, np.int32)}, {"guesses": np.full(60, -1, np.int32)}, {"ranks": np.zeros((6, 10))},
        {"confidences": np.full(60, np.nan, np.float32)}, {"files": np.zeros(1, np.uint8)}, {"about": np.zeros(9)},
        {name: np.zeros(0, good[name].dtype) for name in _COLUMNS[:4]},
    ])  # fmt: skip
    changed = st.one_of(
        as_bytes([(run / "answers.npz").read_bytes()]), odd.map(lambda change: arrays_of({**good, **change})),
        json_bytes([about]).map(with_about),
    )  # fmt: skip
    return _reader(folder, "answers.npz", changed)


def run_metrics(folder: Path) -> Reader:
    run = write_run(folder / "run")
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    events += [{"event": "resume", "step": 5}, {"event": "stop", "reason": "SIGTERM", "step": 3}]
    lines = as_json([events]).map(
        lambda changed: "\n".join(map(json.dumps, changed if isinstance(changed, list) else [changed]))
    )
    text = "".join(json.dumps(event) + "\n" for event in events).encode()
    return _reader(folder, "metrics.jsonl", st.one_of(as_bytes([text]), lines.map(str.encode)))


def run_settings(folder: Path) -> Reader:
    run = write_run(folder / "run")
    return _reader(folder, "resolved.yaml", as_yaml([(run / "resolved.yaml").read_text()]))


def run_findings(folder: Path) -> Reader:
    write_run(folder / "run")
    good = [{"image": "a", "kind": "duplicate", "other": "b", "score": 0.9},
            {"image": "a", "kind": "label", "label": "x", "suggested": "y", "score": 0.5}]  # fmt: skip
    return _reader(folder, "label_errors.json", json_bytes([good]))
