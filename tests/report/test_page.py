"""The page of a run: its numbers, its sections, and what strange names and files do to it."""

import json
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from conftest import ROOT
from src.errors import UserError
from src.model_info import ModelInfo, write_meta
from src.report.__main__ import main
from src.report.page import render
from src.report.run_files import read_run

sys.path.insert(0, str(Path(__file__).parent))
from runs import HOSTILE, write_run  # noqa: E402

pytest.importorskip("matplotlib", reason="the page is an optional extra: pip install '.[report]'")


class Page(HTMLParser):
    """Elements, texts and sections of a page."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.attributes, self.texts = set(), [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def html(tmp_path_factory) -> str:
    return render([read_run(write_run(tmp_path_factory.mktemp("report") / "run"))])


def test_every_section_is_there_and_linked(html):
    ids = set(re.findall(r'<section id="([\w-]+)"', html))
    assert ids == {"what-ran", "curves", "classes", "confusion", "calibration", "mistakes", "hits"}
    assert set(re.findall(r'<a href="#([\w-]+)"', html)) == ids
    assert html.count("<figure") == 8 == html.count("</svg>")
    assert not re.findall(r">[^<]*\$[^<]*</text>", html)  # numbers at the axes, no formulas


def test_no_two_elements_have_one_identifier_and_nothing_is_loaded(html):
    page = Page(html)
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert "script" not in page.tags and not [name for name, _ in page.attributes if name.startswith("on")]
    sources = [value for name, value in page.attributes if name in ("src", "href")]
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert not re.findall(r"url\((?!#)", html) and "@import" not in html


def test_numbers_are_those_of_the_run(html, tmp_path):
    answers = read_run(write_run(tmp_path / "run")).answers
    top1, top5 = answers.result["top1_correct"], answers.result["top5_correct"]
    text = " ".join(" ".join(Page(html).texts).split())
    assert f"{top1 / 60:.2%} top-1, {top1} of 60 images" in text and f"{top5 / 60:.2%} top-5, {top5} of 60 images" in text
    assert "12.5 training, seconds 123.4 training, images per second" in text
    assert "training loss: from 3 to 0.25" in text and "steps skipped by overflows: from 0 to 3" in text
    assert re.search(r"backbone resnet18 resnext152_64x4d", text)  # a setting that differs, with the default


def test_hostile_names_are_text(tmp_path):
    run = write_run(tmp_path / "run", classes=3, name=HOSTILE)
    findings = [{"image": HOSTILE, "kind": "label", "suggested": HOSTILE, "score": 0.5}]
    (run / "label_errors.json").write_text(json.dumps(findings))
    page = Page(render([read_run(run)]))
    assert "script" not in page.tags and not [name for name, _ in page.attributes if name.startswith("on")]
    text = "".join(page.texts)
    assert "<script>alert(1)</script>" in text and "{{7*7}}$x_1$" in text
    assert "\x1b" not in text and "\u202e" not in text and "\\x1b[2J\\u202egnp.\\n" in text


def test_the_first_findings_of_each_kind_are_shown(tmp_path):
    run = write_run(tmp_path / "run")
    copies = [{"image": f"copy{n}", "kind": "duplicate", "other": "first", "score": 0.99} for n in range(150)]
    wrong = [{"image": "cat2", "kind": "label", "label": "cat", "suggested": "dog", "score": 0.9}]
    (run / "label_errors.json").write_text(json.dumps([*copies, *wrong]))
    text = " ".join(" ".join(Page(render([read_run(run)])).texts).split())
    assert "Duplicates: 150; probable label errors: 1; the first 100 of each are shown." in text
    assert "copy99 the same as first 0.990 cat2 cat, probably dog 0.900" in text and "copy100" not in text


def test_classes_of_imagenet_come_with_their_words(tmp_path):
    run = write_run(tmp_path / "run", classes=5, name="n0144076")
    wrong = [{"image": "a.jpg", "kind": "label", "label": "n02123045", "suggested": "my cat", "score": 0.9}]
    (run / "label_errors.json").write_text(json.dumps(wrong))
    text = " ".join(Page(render([read_run(run)])).texts)
    assert "tench, Tinca tinca (n01440764)" in text and "tabby, tabby cat (n02123045), probably my cat" in text


def test_many_classes_are_shown_by_their_worst_pairs(tmp_path):
    html = render([read_run(write_run(tmp_path / "run", classes=30, images=900))])
    assert "taken for" in html and "the 20 worst of 30 classes" in html and 'class="matrix"' not in html
    pair = html[html.index("taken for") : html.index("</ul>", html.index("taken for"))]
    assert 4 <= pair.count("<img") <= 6


def test_runs_side_by_side_show_what_differs(tmp_path):
    runs = [write_run(tmp_path / name, lr=lr, per_batch_size=32) for name, lr in (("slow", 0.01), ("_fast<b>", 0.2))]
    assert main([*map(str, runs), "--output", str(tmp_path / "both.html")]) == 0
    text = " ".join(" ".join(Page((tmp_path / "both.html").read_text()).texts).split())
    assert re.search(r"lr 0.01 0.2 0.05 ", text) and re.search(r"per_batch_size 32 32 128", text)
    assert text.count("slow: from 3 to 0.25") == 1 and "_fast<b>, top-1: from" in text
    assert re.search(r"run top-1 top-5 images training, s training, img/s slow \d\d\.\d\d%", text)


def test_what_an_interrupted_run_did_after_its_checkpoint_is_not_shown(tmp_path):
    run = write_run(tmp_path / "run")
    events = [{"event": "train", "step": step, "loss": loss} for step, loss in ((1, 9.0), (2, 8.0), (3, 99.0))]
    events += [{"event": "resume", "step": 2}, {"event": "train", "step": 3, "loss": 7.0}]
    lines = [json.dumps(event) for event in events]
    (run / "metrics.jsonl").write_text("\n".join([*lines[:3], '{"event": "tra', *lines[3:]]))
    assert [event["loss"] for event in read_run(run).of("train")] == [9.0, 8.0, 7.0]


def test_a_page_without_evaluation_has_curves_alone(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "answers.npz").unlink()
    assert set(re.findall(r'<section id="([\w-]+)"', render([read_run(run)]))) == {"what-ran", "curves"}


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("answers.npz", b"PK", "damaged; evaluate again"),
        ("resolved.yaml", b"a: [", "is not valid YAML"),
        ("label_errors.json", b"[", "no JSON"),
        ("label_errors.json", b'[{"image": 1}]', "expected a text, got 1"),
        ("label_errors.json", b"[" * 100_000, "no JSON"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, file, content, reason):
    run = write_run(tmp_path / "run")
    (run / file).write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        read_run(run)
    assert str(run / file) in str(error.value)


def test_odd_events_are_passed_over(tmp_path):
    run = write_run(tmp_path / "run", lines=2)
    odd = [{"loss": 1e308, "step": 1}, {"loss": "x", "step": 1}, {"loss": 1, "step": None}, {"loss": True, "step": 3}]
    with open(run / "metrics.jsonl", "a") as file:
        for event in (*({"event": "train", **event} for event in odd), [1], 3, {"event": ["train"]}):
            file.write(json.dumps(event) + "\nNaN\n")
    assert "training loss: from 3 to 1.5" in render([read_run(run)])


def test_no_run_is_one_line(tmp_path, refused):
    assert "no such folder" in refused(main, tmp_path / "none")
    assert "neither metrics.jsonl nor answers.npz" in refused(main, tmp_path)


def test_without_its_packages_the_command_says_so(tmp_path):
    code = "import sys; sys.modules['matplotlib'] = None; from src.errors import run_command\n"
    code += "from src.report.__main__ import main; sys.exit(run_command(main, sys.argv[1:]))"
    run = write_run(tmp_path / "run")
    done = subprocess.run([sys.executable, "-c", code, str(run)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: report: needs the package matplotlib; pip install jinja2 matplotlib, or --report 0\n"


def test_the_command_needs_no_mindspore(tmp_path):
    code = "import sys; from src.report.__main__ import main; main(sys.argv[1:]); print('mindspore' in sys.modules)"
    run = write_run(tmp_path / "run")
    done = subprocess.run([sys.executable, "-c", code, str(run)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"report: {run / 'report.html'}\nFalse\n"


def test_many_images_make_no_large_page(tmp_path):  # benchmarks/report.py: 1,000 classes, 50,000 images
    run = write_run(tmp_path / "run", classes=200, images=10_000, lines=2000)
    began = time.process_time()
    html = render([read_run(run)])
    assert len(html.encode()) < 1_000_000 and time.process_time() - began < 5


def test_exports_of_the_run_are_shown_and_others_beside_it_are_not(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "last.ckpt").touch()
    last = read_run(run).of("eval")[-1]
    counted = {key: last[key] for key in ("images", "top1_correct", "top5_correct", "top1", "top5")}
    evaluation = {**counted, "epoch": 1, "step": last["step"], "img_per_s": 1.0, "own_counts": [1, 1, 1]}
    preprocessing = {"image_size": [8, 8], "resize": 8, "resize_mode": "square", "antialias": False,
                     "mean": [0.0] * 3, "std": [1.0] * 3}  # fmt: skip
    for name, change in (("mine", {}), ("other", {"top1": last["top1"] / 2}), ("damaged", {})):
        model = tmp_path / f"{name}.onnx"
        model.write_text(name)
        origin = {"file": "last.ckpt", "epoch": 1, "step": last["step"], "evaluation": {**evaluation, **change}}
        info = ModelInfo.model_validate({
            "num_classes": 3, "class_names": ("a", "b", "c"), "preprocessing": preprocessing, "file_format": "ONNX",
            "max_abs_diff": 2.5e-6, "compared_batch_sizes": (1, 3), "checkpoint": origin,
        })  # fmt: skip
        write_meta(model, info)
    (tmp_path / "damaged.onnx").write_text("changed")
    text = " ".join(" ".join(Page(render([read_run(run)])).texts).split())
    assert "mine.onnx ONNX 2.5e-06 1, 3" in text and "other.onnx" not in text and "damaged.onnx" not in text
