"""The cases of tests/descriptions.py, which Python's reader is held to, through the C++ one."""

import pytest
from descriptions import ACCEPTED, DESCRIPTION, REFUSED, REFUSED_EXPORTS, TEXTS, as_json, changed
from programs import run

from src.model_info import file_digest


def answer(programs, folder, text):
    model = folder / "network.onnx"
    model.write_bytes(b"network")
    if isinstance(text, str):
        text = text.replace('"sha256": ""', f'"sha256": "{file_digest(model)}"').encode()
    (folder / "network.onnx.meta.json").write_bytes(text)
    result = run(programs / "describe_model", model)
    assert result.returncode in (0, 2), result.stderr
    assert result.stderr.count("\n") == (result.returncode == 2) and result.stderr.isprintable() is not None
    return result


@pytest.mark.slow
def test_what_python_accepts_is_accepted(infer_programs, tmp_path):
    for case in ACCEPTED:
        result = answer(infer_programs, tmp_path, as_json(changed(DESCRIPTION, case)))
        assert result.returncode == 0, (case.name, result.stderr)


@pytest.mark.slow
def test_what_python_refuses_is_refused(infer_programs, tmp_path):
    for case in REFUSED + REFUSED_EXPORTS:
        result = answer(infer_programs, tmp_path, as_json(changed(DESCRIPTION, case)))
        assert result.returncode == 2 and result.stderr.startswith("error: "), (case.name, result.stdout)
    for name, text in TEXTS.items():
        assert answer(infer_programs, tmp_path, text).returncode == 2, name
