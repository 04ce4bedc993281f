"""Descriptions of models as somebody may have changed them, as data: what Python and C++ must accept, and what refuse.

A case is a name, the place of a value (keys and positions) and what stands there instead; `GONE` takes the key away.
"""

import copy
import json
from typing import Any, NamedTuple


class Case(NamedTuple):
    name: str
    place: tuple
    value: Any


GONE = object()
DESCRIPTION = {  # of an export, as export.py writes it, but its checksum
    "sha256": "",
    "backbone": "resnext11_8x16d",
    "num_classes": 3,
    "class_names": ["blue", "green", "red"],
    "preprocessing": {
        "image_size": [16, 16],
        "resize": 18,
        "resize_mode": "shorter",
        "antialias": False,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
    "file_format": "ONNX",
    "input": {"shape": ["N", 3, 16, 16], "name": "input", "dtype": "float32"},
    "output": {"shape": ["N", 3], "name": "output1", "dtype": "float32"},
    "max_abs_diff": 2.4e-7,
    "compared_batch_sizes": [1, 3],
    "checkpoint": {"file": "last.ckpt", "epoch": 8, "step": 32, "evaluation": None},
    "mindspore": "2.10.0",
}
RUN = {  # what a run's checkpoint says besides
    "epoch": 8,
    "step": 32,
    "evaluation": {
        "epoch": 8, "step": 32, "images": 9, "top1_correct": 8, "top5_correct": 9, "top1": 0.8888888888888888, "top5": 1.0,
        "img_per_s": 614.1, "own_counts": [8, 9, 9],
    },
    "best": {"top1": 0.8888888888888888, "epoch": 8, "step": 32},
    "config": {"lr": 0.02, "backbone": "resnext11_8x16d", "mean": [0.485, 0.456, 0.406], "resume_allow": []},
    "dataset": {"kind": "folder", "fingerprint": "0" * 64},
    "data_workers": 2,
}  # fmt: skip
SIZE, RESIZE, MODE, ANTIALIAS, MEAN, STD = (("preprocessing", key) for key in DESCRIPTION["preprocessing"])
SHAPE = ("input", "shape")

ACCEPTED = [  # in every kind of file, by both programs
    Case("as written", ("backbone",), "resnext11_8x16d"),
    Case("a key of a later version", ("later",), {"a": [None, 1e300]}),
    Case("an empty list of names", ("class_names",), []),
    Case("names with blanks, quotes, letters of all kinds", ("class_names",), ["", "a 'b' \"c\"", "\u9ed1\U0001f600"]),
    Case("names with control characters", ("class_names",), ["\x1b[31mred", "a\tb", "a\nb"]),
    Case("two classes of one name", ("class_names",), ["crane", "crane", "red"]),
    Case("no backbone", ("backbone",), None),
    Case("no format", ("file_format",), GONE),
    Case("no input", ("input",), None),
    Case("no output", ("output",), GONE),
    Case("whole numbers as mean", MEAN, [0, 0, 0]),
    Case("a mean below 0", MEAN, [-1.5, 0, 1e6]),
    Case("another key in the preprocessing", ("preprocessing", "later"), 1),
    Case("a resize of the crop", RESIZE, 16),
    Case("a resize of height and width", RESIZE, [18, 20]),
    Case("square", MODE, "square"),
    Case("the largest resize", RESIZE, 16384),
    Case("an input of one batch size", SHAPE, [4, 3, 16, 16]),
    Case("an input without name", ("input", "name"), None),
    Case("8-bit input", ("input", "format"), "RGB888_U8"),
    Case("batch sizes", ("batch_sizes",), [1, 8, 2048]),
    Case("no batch sizes", ("batch_sizes",), None),
]

REFUSED = [  # in every kind of file, by both programs
    Case("names null", ("class_names",), None),
    Case("names a text", ("class_names",), "blue green red"),
    Case("names an object", ("class_names",), {"blue": 0, "green": 1, "red": 2}),
    Case("names numbers", ("class_names",), [0, 1, 2]),
    Case("one name null", ("class_names", 1), None),
    Case("one name a list", ("class_names", 1), ["green"]),
    Case("one name an object", ("class_names", 1), {}),
    Case("a name too few", ("class_names",), ["blue", "green"]),
    Case("a name too many", ("class_names",), ["blue", "green", "red", "white"]),
    Case("a million names", ("class_names",), ["a"] * 1_000_000),
    Case("0 classes", ("num_classes",), 0),
    Case("-3 classes", ("num_classes",), -3),
    Case("classes as text", ("num_classes",), "3"),
    Case("classes as a fraction", ("num_classes",), 3.0),
    Case("classes true", ("num_classes",), True),
    Case("classes a list", ("num_classes",), [3]),
    Case("10^12 classes", ("num_classes",), 10**12),
    Case("2^63 classes", ("num_classes",), 2**63),
    Case("10^400 classes", ("num_classes",), 10**400),
    Case("another number of classes", ("num_classes",), 4),
    Case("backbone a number", ("backbone",), 50),
    Case("backbone a list", ("backbone",), ["resnet50"]),
    Case("format a number", ("file_format",), 1),
    Case("encryption true", ("encryption",), True),
    Case("encryption an object", ("encryption",), {"mode": "AES-GCM"}),
    Case("preprocessing a list", ("preprocessing",), [16, 16]),
    Case("preprocessing a text", ("preprocessing",), "as usual"),
    Case("preprocessing empty", ("preprocessing",), {}),
    Case("no image size", SIZE, GONE),
    Case("image size null", SIZE, None),
    Case("image size a number", SIZE, 16),
    Case("image size a text", SIZE, "16,16"),
    Case("image size of texts", SIZE, ["16", "16"]),
    Case("image size of one", SIZE, [16]),
    Case("image size of three", SIZE, [16, 16, 3]),
    Case("image size of fractions", SIZE, [16.0, 16.0]),
    Case("image size 0", SIZE, [0, 16]),
    Case("image size below 0", SIZE, [16, -16]),
    Case("image size 10^9", SIZE, [10**9, 10**9]),
    Case("image size true", SIZE, [True, True]),
    Case("a crop larger than the image", SIZE, [19, 16]),
    Case("no resize", RESIZE, GONE),
    Case("resize null", RESIZE, None),
    Case("resize a text", RESIZE, "18"),
    Case("resize a fraction", RESIZE, 18.5),
    Case("resize 0", RESIZE, 0),
    Case("resize smaller than the crop", RESIZE, 15),
    Case("resize 10^9", RESIZE, 10**9),
    Case("resize of a height smaller than the crop", RESIZE, [15, 20]),
    Case("resize of a width smaller than the crop", RESIZE, [20, 15]),
    Case("resize of one", RESIZE, [18]),
    Case("resize of three", RESIZE, [18, 20, 3]),
    Case("resize of texts", RESIZE, ["18", "20"]),
    Case("resize with null", RESIZE, [18, None]),
    Case("resize of 10^9 x 10^9", RESIZE, [10**9, 10**9]),
    Case("resize an object", RESIZE, {"height": 18, "width": 20}),
    Case("no mode", MODE, GONE),
    Case("an unknown mode", MODE, "longer"),
    Case("mode null", MODE, None),
    Case("mode a number", MODE, 1),
    Case("no antialias", ANTIALIAS, GONE),
    Case("antialias 0", ANTIALIAS, 0),
    Case("antialias a text", ANTIALIAS, "false"),
    Case("antialias null", ANTIALIAS, None),
    Case("no mean", MEAN, GONE),
    Case("mean null", MEAN, None),
    Case("mean one number", MEAN, 0.5),
    Case("mean of one", MEAN, [0.5]),
    Case("mean of four", MEAN, [0.5, 0.5, 0.5, 0.5]),
    Case("mean of texts", MEAN, ["0.5", "0.5", "0.5"]),
    Case("mean NaN", MEAN, [float("nan"), 0.5, 0.5]),
    Case("mean infinite", MEAN, [float("inf"), 0.5, 0.5]),
    Case("mean beyond float32", MEAN, [1e39, 0.5, 0.5]),
    Case("mean true", MEAN, [True, 0.5, 0.5]),
    Case("mean with null", MEAN, [0.5, None, 0.5]),
    Case("no std", STD, GONE),
    Case("std 0", STD, [0, 0.5, 0.5]),
    Case("std below 0", STD, [0.5, -0.5, 0.5]),
    Case("std 0 as float32", STD, [0.5, 1e-60, 0.5]),
    Case("std NaN", STD, [0.5, 0.5, float("nan")]),
    Case("std infinite", STD, [0.5, 0.5, float("-inf")]),
    Case("std a text", STD, "0.5,0.5,0.5"),
    Case("std of two", STD, [0.5, 0.5]),
    Case("input a list", ("input",), ["N", 3, 16, 16]),
    Case("input a text", ("input",), "N,3,16,16"),
    Case("no shape of the input", SHAPE, GONE),
    Case("shape null", SHAPE, None),
    Case("shape a text", SHAPE, "N,3,16,16"),
    Case("shape with a text", SHAPE, ["N", "3", 16, 16]),
    Case("shape with 0", SHAPE, ["N", 3, 0, 16]),
    Case("shape with a fraction", SHAPE, ["N", 3.5, 16, 16]),
    Case("shape of 9", SHAPE, ["N", 3, 16, 16, 1, 1, 1, 1, 1]),
    Case("shape with 2^40", SHAPE, [2**40, 3, 16, 16]),
    Case("name of the input a number", ("input", "name"), 3),
    Case("type of the input a list", ("input", "dtype"), ["float32"]),
    Case("format of the input true", ("input", "format"), True),
    Case("output a number", ("output",), 10),
    Case("shape of the output with null", ("output", "shape"), [None, 3]),
    Case("batch sizes a number", ("batch_sizes",), 8),
    Case("batch sizes with 0", ("batch_sizes",), [0, 8]),
    Case("batch sizes with a text", ("batch_sizes",), ["8"]),
    Case("a batch of 10^9", ("batch_sizes",), [10**9]),
]

REFUSED_EXPORTS = [  # beside an export only, by both programs
    Case("no checksum", ("sha256",), GONE),
    Case("checksum null", ("sha256",), None),
    Case("checksum a number", ("sha256",), 0),
    Case("checksum of another file", ("sha256",), "0" * 64),
    Case("no number of classes", ("num_classes",), GONE),
    Case("number of classes null", ("num_classes",), None),
    Case("no names of classes", ("class_names",), GONE),
    Case("a name of half a letter", ("class_names", 0), "\ud800"),
    Case("no preprocessing", ("preprocessing",), GONE),
    Case("preprocessing null", ("preprocessing",), None),
]

REFUSED_BY_PYTHON = [  # what the C++ program does not read
    Case("difference a text", ("max_abs_diff",), "small"),
    Case("compared batch sizes null", ("compared_batch_sizes",), None),
    Case("checkpoint a text", ("checkpoint",), "last.ckpt"),
    Case("epoch of the checkpoint a text", ("checkpoint", "epoch"), "8"),
    Case("evaluation of the checkpoint a list", ("checkpoint", "evaluation"), [1]),
    Case("version a number", ("mindspore",), 2.1),
    Case("padding a number", ("padding",), 1),
    Case("averaged a number", ("averaged",), 1),
    Case("source a text", ("source",), "a.pth"),
    Case("quantization a text", ("quantization",), "int8"),
    Case("onnx without file", ("onnx",), {"max_abs_diff": 0.0}),
]

REFUSED_RUNS = [  # in the checkpoint of a run
    Case("no epoch", ("epoch",), GONE),
    Case("epoch a text", ("epoch",), "8"),
    Case("step below 0", ("step",), -1),
    Case("step 2^70", ("step",), 2**70),
    Case("evaluation a list", ("evaluation",), [1]),
    Case("evaluation without counts", ("evaluation", "images"), GONE),
    Case("top-1 above 1", ("evaluation", "top1"), 1.5),
    Case("top-1 NaN", ("evaluation", "top1"), float("nan")),
    Case("own counts a number", ("evaluation", "own_counts"), 8),
    Case("best null", ("best",), None),
    Case("best top-1 a text", ("best", "top1"), "0.9"),
    Case("no configuration", ("config",), GONE),
    Case("configuration a list", ("config",), ["lr"]),
    Case("configuration nested", ("config", "lr"), {"a": {"b": 1}}),
    Case("data set a text", ("dataset",), "folder"),
    Case("no fingerprint", ("dataset", "fingerprint"), GONE),
    Case("workers a text", ("data_workers",), "2"),
    Case("no workers", ("data_workers",), GONE),
]

TEXTS = {  # no description at all: name -> bytes
    "empty": b"",
    "no JSON": b"hello",
    "null": b"null",
    "a number": b"3",
    "a list": b"[]",
    "a text": b'"sha256"',
    "half": b'{"sha256": "',
    "two": b"{}{}",
    "a comma too many": b'{"a": 1,}',
    "single quotes": b"{'a': 1}",
    "NaN": b'{"later": NaN}',
    "deep lists": b'{"later": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "zeros": bytes(1000),
}


def changed(description: dict, case: Case) -> dict:
    """A copy of a description with one value changed."""
    result = copy.deepcopy(description)
    *way, last = case.place
    part = result
    for key in way:
        part = part[key]
    if case.value is GONE:
        part.pop(last, None)
    else:
        part[last] = case.value
    return result


def as_json(description: dict) -> str:
    """JSON, with the words that Python's module has for what is no number."""
    return json.dumps(description)
