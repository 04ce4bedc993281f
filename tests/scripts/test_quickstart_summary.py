"""scripts/quickstart_summary.py: what it reports, and that it fails when a result differs."""

import importlib.util
import json

import pytest

from conftest import ROOT


@pytest.fixture
def summary(tmp_path, monkeypatch):
    """Writes the results of a quickstart, with those of the C++ program where given, and returns exit code and summary."""
    specification = importlib.util.spec_from_file_location("quickstart_summary", ROOT / "scripts/quickstart_summary.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(module, "OUTPUT", tmp_path)

    def run(accuracy_line: str = "") -> tuple:
        (tmp_path / "run").mkdir()
        (tmp_path / "run/metrics.jsonl").write_text('{"event": "end", "seconds": 9.0, "img_per_s": 100.0}\n')
        result = {"top1": 357 / 360, "top5": 1.0, "images": 360, "img_per_s": 1000.0}
        for kind in ("ckpt", "mindir", "onnx"):
            (tmp_path / f"eval_{kind}.json").write_text(json.dumps(result))
            (tmp_path / f"resnext.{kind}.meta.json").write_text('{"max_abs_diff": 1e-6}')
        if accuracy_line:
            (tmp_path / "infer/time_Result").mkdir(parents=True)
            (tmp_path / "infer/acc.log").write_text(accuracy_line + "\n")
            (tmp_path / "infer/time_Result/test_perform_static.txt").write_text("images: 360\nthroughput: 12.50 img/s\n")
        return module.main(), json.loads((tmp_path / "summary.json").read_text())

    return run


def test_the_program_in_cpp_agrees(summary, capsys):
    code, content = summary("Total data: 360, top1 accuracy: 0.99167, top5 accuracy: 1.00000.")
    assert (code, content["cpp_top1"], content["cpp_img_per_s"]) == (0, 0.99167, 12.5)
    assert "onnx, C++      99.17%" in capsys.readouterr().out


@pytest.mark.parametrize("images_and_top1", [(360, "0.98889"), (359, "0.99167")])
def test_the_program_in_cpp_differs(summary, capsys, images_and_top1):
    code, _ = summary("Total data: {}, top1 accuracy: {}, top5 accuracy: 1.00000.".format(*images_and_top1))
    assert code == 1 and "the C++ program classifies images differently" in capsys.readouterr().err


def test_without_the_program_in_cpp(summary, capsys):
    code, content = summary()
    assert code == 0 and content["cpp_top1"] is None and "C++" not in capsys.readouterr().out
