"""OM exports with a stand-in for ATC, which only Ascend's CANN has: command line, AIPP file, description, failures."""

import hashlib
import json
import os
import subprocess

import pytest

import export as export_command
from src.config import build_config
from src.data.preprocessing import preprocessing_from
from src.errors import UserError
from src.formats.atc_errors import ADVICE, explained
from src.formats.om import check_om_options, write_om
from src.log import start_log
from src.model_info import ModelInfo

STAND_IN = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "{folder}/arguments"
echo noise > fusion_result.json
for argument in "$@"; do
  case "$argument" in --output=*) output=${{argument#--output=}} ;; esac
done
{action}
"""
WRITES = 'echo "om" > "$output.om"'


@pytest.fixture
def atc(tmp_path, monkeypatch):
    """Puts a program called atc that does `action` on PATH; returns a function that reads the arguments it got."""

    def install(action: str):
        folder = tmp_path / "bin with space"
        folder.mkdir()
        (folder / "atc").write_text(STAND_IN.format(folder=folder, action=action))
        (folder / "atc").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return lambda: (folder / "arguments").read_text().splitlines()

    return install


@pytest.fixture
def arguments(trained, tmp_path):
    folder = tmp_path / "my exports"
    return ["--ckpt_file", trained["ckpt"], "--file_format", "OM", "--soc_version", "Ascend310P3", "--platform", "CPU",
            "--file_name", folder / "net.om"]  # fmt: skip


def options(lines: list) -> dict:
    return dict(line.lstrip("-").split("=", 1) for line in lines)


def test_several_batch_sizes_become_one_om_with_its_description(arguments, tmp_path, command, atc):
    read = atc(WRITES)
    code, out, err = command(export_command.main, *arguments, "--batch_size", "8,1,64")
    assert code == 0, err
    folder = tmp_path / "my exports"
    compare = f"python -m src compare '{folder}/net.onnx' '{folder}/net.om' --data_dir FOLDER"
    got = options(read())
    assert got.pop("output").endswith("/model")
    assert got == {
        "framework": "5", "model": str(folder / "net.onnx"), "input_format": "NCHW", "input_shape": "input:-1,3,16,16",
        "dynamic_batch_size": "1,8,64", "output_type": "FP32", "soc_version": "Ascend310P3", "log": "error",
        "insert_op_conf": str(folder / "net.aipp.cfg"),
    }  # fmt: skip
    assert (folder / "net.om").read_text() == "om\n"
    assert f"net.om: written, but not run; what compares it with its ONNX file, where it can be run: {compare}" in out
    names = {"net.om", "net.om.meta.json", "net.onnx", "net.onnx.meta.json", "net.aipp.cfg", "net.atc.sh"}
    assert {path.name for path in folder.iterdir()} == names  # what ATC leaves around is gone
    meta = json.loads((folder / "net.om.meta.json").read_text())
    assert meta["sha256"] == hashlib.sha256(b"om\n").hexdigest()
    assert (meta["file_format"], meta["batch_sizes"], meta["class_names"]) == ("OM", [1, 8, 64], ["blue", "green", "red"])
    assert meta["input"] == {"name": "input", "shape": ["N", 16, 16, 3], "dtype": "uint8", "format": "RGB888_U8"}
    assert meta["preprocessing"]["image_size"] == [16, 16] and meta["onnx"]["max_abs_diff"] < 1e-3
    assert json.loads((folder / "net.onnx.meta.json").read_text())["file_format"] == "ONNX"


@pytest.fixture
def write(tmp_path):
    """Writes an OM from an ONNX file that is there already; returns the OM's path."""
    start_log()
    folder = tmp_path / "my exports"
    folder.mkdir()
    (folder / "net.onnx").write_text("onnx")

    def run(**keys):
        config = build_config({"soc_version": "Ascend310P3", "image_size": "16,16", **keys})
        info = ModelInfo(class_names=("it's $HOME", "`b`"), max_abs_diff=0.0)
        write_om(config, folder / "net.om", folder / "net.onnx", preprocessing_from(config), info)
        return folder / "net.om"

    return run


def test_one_batch_size_float_input_and_further_options(write, atc):
    read = atc('echo om > "${output}_linux_aarch64.om"')  # as newer CANN names some files
    om = write(batch_size=8, aipp="none", atc_options="--precision_mode_v2=origin '--tune=a b'")
    got = options(read())
    assert got["input_shape"] == "input:8,3,16,16" and "dynamic_batch_size" not in got and "insert_op_conf" not in got
    assert (got["precision_mode_v2"], got["tune"]) == ("origin", "a b")
    meta = json.loads((om.parent / "net.om.meta.json").read_text())
    assert meta["input"] == {"name": "input", "shape": ["N", 3, 16, 16], "dtype": "float32"}
    assert meta["batch_sizes"] == [8] and meta["class_names"] == ["it's $HOME", "`b`"]
    assert om.read_text() == "om\n" and not (om.parent / "net.aipp.cfg").exists()


def test_yuv_input_is_described_with_its_bytes(write, atc):
    atc(WRITES)
    om = write(aipp="yuv420sp")
    meta = json.loads((om.parent / "net.om.meta.json").read_text())
    assert meta["input"]["shape"] == ["N", 24, 16] and meta["input"]["format"] == "YUV420SP_U8"
    assert "input_format: YUV420SP_U8" in (om.parent / "net.aipp.cfg").read_text()


def test_a_name_that_bash_would_run_is_only_a_name(tmp_path, monkeypatch):
    start_log()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("CDPATH", f".:{tmp_path}")
    name = 'net"$(touch run)`touch run`$x'
    (tmp_path / f"{name}.onnx").write_text("onnx")
    config = build_config({"soc_version": "Ascend310P3", "atc": "script"})
    info = ModelInfo(max_abs_diff=0.0)
    write_om(config, tmp_path / f"{name}.om", tmp_path / f"{name}.onnx", preprocessing_from(config), info)
    outcome = subprocess.run(["bash", f"{name}.atc.sh"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert outcome.returncode == 2 and outcome.stderr.startswith(f"{name}.atc.sh: got no atc on PATH")
    assert not (tmp_path / "run").exists()


def test_a_failing_atc_shows_its_last_lines_and_keeps_the_earlier_om(write, tmp_path, atc, capsys):
    atc("for i in $(seq 30); do echo line $i; done; echo half > $output.om; echo 'E10016: no such op' >&2; exit 7")
    om = tmp_path / "my exports" / "net.om"
    om.write_text("old")
    with pytest.raises(UserError, match=r"^atc: .*net.atc.sh failed with exit code 7"):
        write()
    lines = capsys.readouterr().err.splitlines()
    assert "atc: E10016: no such op" in lines and "atc: line 30" in lines and "atc: line 1" not in lines
    assert om.read_text() == "old" and not list(om.parent.glob(".atc*"))


def test_an_atc_that_writes_nothing_is_a_failure(write, tmp_path, atc, capsys):
    atc("true")
    with pytest.raises(UserError, match="failed with exit code 1"):
        write()
    assert "no OM file; expected net.om" in capsys.readouterr().err
    assert not (tmp_path / "my exports" / "net.om").exists()


def test_without_atc_the_script_is_ready_and_works_later(write, tmp_path, atc, monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    folder = tmp_path / "my exports"
    with pytest.raises(UserError) as error:
        write()
    assert f"not on PATH, so {folder}/net.om was not written; {folder}/net.atc.sh is ready" in str(error.value)
    outcome = subprocess.run(["bash", str(folder / "net.atc.sh")], capture_output=True, text=True, check=False)
    assert outcome.returncode == 2 and "got no atc on PATH" in outcome.stderr
    write(atc="script")  # no error
    moved = folder.rename(tmp_path / "elsewhere")  # the script finds its files beside it
    atc(WRITES)
    subprocess.run(["bash", str(moved / "net.atc.sh")], check=True, cwd="/")
    assert (moved / "net.om").is_file() and (moved / "net.om.meta.json").is_file()


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (["--soc_version", ""], ["soc_version: no value", "Ascend310P3"]),
        (["--soc_version", "310P3"], ["soc_version: '310P3'", "Ascend310P3"]),
        (["--soc_version", "Ascend 310P3; rm"], ["is no processor name"]),
        (["--batch_size", "0,8"], ["batch_size: an OM takes", "got 0,8"]),
        (["--batch_size", "4096"], ["1 to 2048"]),
        (["--batch_size", ""], ["batch_size: expected as many"]),
        (["--file_format", "ONNX", "--batch_size", "1,8"], ["batch_size: ONNX takes one number", "several are for OM"]),
        (["--atc_options", "'open"], ["atc_options: No closing quotation"]),
        (["--quantize", "int8"], ["quantize: int8 is written as ONNX only", "OM"]),
        (["--file_name", "a\nb.om"], ["file_name: 'a\\nb.om' has characters that a script cannot hold"]),
    ],
)
def test_bad_input_is_one_line(arguments, refused, change, parts):
    line = refused(export_command.main, *arguments, *change)
    assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    ("precision", "mode"), [("float16", "force_fp16"), ("mixed", "allow_mix_precision"), ("auto", None)]
)
def test_precision_is_an_option_of_atc(write, atc, precision, mode):
    read = atc(WRITES)
    write(precision=precision)
    assert options(read()).get("precision_mode") == mode


@pytest.mark.parametrize("chip", ["Ascend310", "Ascend310P3", "Ascend310B4"])
def test_float32_is_refused_where_convolutions_have_none(arguments, refused, chip):
    line = refused(export_command.main, *arguments, "--soc_version", chip, "--precision", "origin")
    assert f"precision: {chip} multiplies in float16 and int8 only" in line and "--precision float16" in line


def test_chips_are_explained(capsys):
    start_log()
    said = {}
    for chip in ("Ascend310", "Ascend910B", "Ascend999X", "Ascend910B3", "Ascend910B4-1", "Ascend310P3"):
        check_om_options(build_config({"soc_version": chip, "file_name": "net.om", "precision": "float16"}))
        said[chip] = [line for line in capsys.readouterr().err.splitlines() if "soc_version" in line]
    assert [chip for chip, lines in said.items() if lines] == ["Ascend310", "Ascend910B", "Ascend999X"]
    assert "up to 8.2.RC1 only" in said["Ascend310"][0] and "910B1 to 910B4" in said["Ascend910B"][0]
    assert "none of the chips known here" in said["Ascend999X"][0]


def test_options_that_the_keys_give_are_refused_a_second_time(arguments, refused):
    for twice, further in (("--soc_version=Ascend310", []), ("--precision_mode_v2=fp16", ["--precision", "float16"])):
        line = refused(export_command.main, *arguments, f"--atc_options={twice}", *further)
        assert f"atc_options: {twice} is written already" in line


def test_known_errors_of_atc_become_one_line_and_a_log(write, tmp_path, atc):
    message = "Value [Ascend999] for parameter [--soc_version] is invalid. Reason: no such chip."
    atc(
        "echo 'ATC start working now'; echo 'E19999: Inner Error!'; "
        f"echo 'E10001: [PID: 7] 2026-01-01-00:00:00.1 {message}'; exit 1"
    )
    with pytest.raises(UserError) as error:
        write()
    log = tmp_path / "my exports/net.atc.log"
    line = str(error.value)
    assert f"failed with exit code 1: E10001 ({message}): ATC does not take a value. Of --soc_version:" in line
    assert line.endswith(f"all of its output is in {log}") and "\n" not in line
    assert log.read_text().startswith("ATC start working now\nE19999: Inner Error!\nE10001: [PID: 7]")


def test_each_code_has_its_advice_and_others_have_none():
    for code, advice in ADVICE.items():
        assert explained(f"noise\n[ERROR] {code}: [PID: 1] it broke\n{code} again") == f"{code} (it broke): {advice}"
    assert len(ADVICE) > 20 and {"E10001", "E19010", "E20001", "E30006"} <= set(ADVICE)
    assert explained("E77777: what is this") == "" and explained("all is well, E1000") == ""


AMCT = """#!/usr/bin/env bash
for word in "$@"; do
  case $word in
    --save_path=*) save=${word#*=} ;;
    --data_dir=*) cat "${word#*=}"/*.bin | wc -c > "$(dirname "$0")/bytes" ;;
  esac
done
printf '%s\\n' "$@" > "$(dirname "$0")/amct"
echo quantized > "${save}_deploy_model.onnx"
"""


@pytest.mark.slow
def test_eight_bits_by_amct(arguments, trained, tmp_path, command, atc, monkeypatch):
    read = atc("[[ -s quantized_deploy_model.onnx ]] && " + WRITES)
    (tmp_path / "bin with space/amct_onnx").write_text(AMCT)
    (tmp_path / "bin with space/amct_onnx").chmod(0o755)
    calibration = [
        "--calibration_dir",
        trained["data"] / "train",
        "--calibration_images",
        "20",
        "--cache_dir",
        tmp_path / "c",
    ]
    code, _, err = command(export_command.main, *arguments, "--quantize", "amct", *calibration)
    assert code == 0, err
    folder = tmp_path / "my exports"
    got = options((tmp_path / "bin with space/amct").read_text().splitlines()[1:])
    assert got["model"] == str(folder / "net.onnx") and got["input_shape"] == "input:16,3,16,16"
    assert got["data_dir"] == str(folder / "net.calibration") and got["data_types"] == "float32"
    assert int((tmp_path / "bin with space/bytes").read_text()) == 2 * 16 * 3 * 16 * 16 * 4  # 20 images fill two batches
    assert options(read())["model"].endswith("/quantized_deploy_model.onnx")
    assert (folder / "net.om").is_file()
    (tmp_path / "bin with space/amct_onnx").unlink()
    code, _, err = command(export_command.main, *arguments, "--quantize", "amct", *calibration)
    assert code == 2 and "got no amct_onnx on PATH" in err


def test_keys_of_the_converters_that_contradict_each_other(arguments, refused):
    for change, part in (
        (["--quantize", "amct"], "calibration_dir: no value"),
        (["--quantize", "amct", "--file_format", "ONNX"], "quantize: amct makes an OM, file_format is ONNX"),
        (["--converter_lite", "run"], "converter_lite: writes MINDIR only, file_format is OM"),
        (
            ["--converter_lite", "run", "--file_format", "MINDIR", "--batch_size", "1,8", "--soc_version", ""],
            "batch_size: MINDIR",
        ),
    ):
        assert part in refused(export_command.main, *arguments, *change)
