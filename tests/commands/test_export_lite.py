"""MINDIR exports by a stand-in for MindSpore Lite's converter, made for a processor, which the real one does not do here."""

import hashlib
import json
import os

import pytest

import export as export_command

LITE = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$(dirname "$0")/lite"
for word in "$@"; do
  case $word in
    --outputFile=*) echo mindir > "${word#*=}.mindir" && chmod 400 "${word#*=}.mindir" ;;
    --configFile=*) cp "${word#*=}" "$(dirname "$0")/lite.cfg" ;;
  esac
done
"""


def options(lines: list) -> dict:
    return dict(line.lstrip("-").split("=", 1) for line in lines)


@pytest.mark.slow
def test_converter_lite_for_a_processor(trained, tmp_path, command, monkeypatch):
    tools = tmp_path / "lite home/tools/converter/converter"
    tools.mkdir(parents=True)
    (tools / "converter_lite").write_text(LITE)
    (tools / "converter_lite").chmod(0o755)
    monkeypatch.setenv("LITE_HOME", str(tmp_path / "lite home"))
    mindir = ["--file_format", "MINDIR", "--file_name", tmp_path / "my exports/net.mindir", "--converter_lite", "run",
              "--ckpt_file", trained["ckpt"], "--platform", "CPU"]  # fmt: skip
    processor = ["--soc_version", "Ascend310P3", "--batch_size", "1,8", "--precision", "float16"]
    code, _, err = command(export_command.main, *mindir, *processor)
    assert code == 0, err
    folder = tmp_path / "my exports"
    expected = {"fmk": "ONNX", "modelFile": str(folder / "net.onnx"), "saveType": "MINDIR", "optimize": "ascend_oriented"}
    got = options((tools / "lite").read_text().splitlines())
    assert {key: got[key] for key in expected} == expected
    lines = (tools / "lite.cfg").read_text().splitlines()
    assert lines[:4] == [
        "[ascend_context]", "input_format=NCHW", "input_shape=input:[-1,3,16,16]", "dynamic_dims=[1],[8]",
    ]  # fmt: skip
    assert lines[4:] == ["precision_mode=enforce_fp16", f"insert_op_config_file_path={folder}/net.aipp.cfg"]
    meta = json.loads((folder / "net.mindir.meta.json").read_text())
    assert meta["sha256"] == hashlib.sha256(b"mindir\n").hexdigest() and meta["onnx"]["file"] == "net.onnx"
    assert (meta["file_format"], meta["batch_sizes"]) == ("MINDIR", [1, 8])
    assert meta["input"] == {"name": "input", "shape": ["N", 16, 16, 3], "dtype": "uint8", "format": "RGB888_U8"}
    assert os.access(folder / "net.mindir", os.W_OK)
    monkeypatch.delenv("LITE_HOME")
    code, _, err = command(export_command.main, *mindir)
    assert code == 2 and "converter_lite: not on PATH" in err and "or pass --converter_lite script" in err
