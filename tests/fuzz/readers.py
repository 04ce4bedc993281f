"""Every reader of files that others may have made: good files, how they are changed, and what reads them."""

import json
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from changes import Reader, as_bytes, as_json, as_message, as_yaml, json_bytes
from checkpoints import described, message
from data_readers import (
    embeddings,
    folder_caches,
    images,
    mindrecord_indices,
    mindrecord_manifests,
    record_databases,
    record_files,
    scan_caches,
)
from descriptions import DESCRIPTION, RUN
from hypothesis import strategies as st
from mindspore.train.checkpoint_pb2 import Checkpoint
from mindspore.train.mind_ir_pb2 import ModelProto
from onnx import TensorProto, helper, numpy_helper
from report_readers import run_answers, run_findings, run_metrics, run_settings

from conftest import ROOT
from src import checkpoint
from src.config import load_config
from src.data.sources.label_files import read_labels, read_list
from src.formats.check_mindir import check_mindir
from src.formats.graph_file import check_file
from src.formats.onnx import open_onnx
from src.launch.table import load_table, make_content
from src.model_info import describe, file_digest
from src.weights.reading import read_weight_file

sys.path.append(str(ROOT / "tests/unit/weights"))
from torch_writer import (  # noqa: E402
    mapping,
    tar_parts,
    tar_tensor,
    tensor,
    text,
    write_legacy,
    write_tar,
    write_zip,
)  # fmt: skip

TENSORS = {"conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2), "fc.weight": np.ones((3, 4), np.float32),
           "train.moment": np.float32(2)}  # fmt: skip
SAID = {**{key: value for key, value in DESCRIPTION.items() if key != "sha256"}, **RUN}


def checkpoints(folder: Path) -> Reader:
    path = folder / "a.ckpt"
    seeds = [described(TENSORS, json.dumps(SAID)).SerializeToString(), message(TENSORS).SerializeToString()]
    said = as_json([SAID]).map(lambda content: described(TENSORS, json.dumps(content)).SerializeToString())
    changed = st.one_of(as_bytes(seeds), as_message(Checkpoint, seeds), said)
    return Reader(path, changed, lambda: checkpoint.load(path))


def weights(folder: Path, name: str, seeds: list) -> Reader:
    path = folder / name

    def read() -> None:
        content = read_weight_file(path).content
        for value in content.values() if isinstance(content, dict) else ():
            if hasattr(value, "read"):
                value.read()

    return Reader(path, as_bytes(seeds), read)


def torch_zip(folder: Path) -> Reader:
    content = mapping({"a": tensor("0", 6, 1), "b": tensor("1", 4, 0, (2, 2), (2, 1)), "epoch": b"K\x03"})
    seed = write_zip(folder / "seed", content, {"0": bytes(24), "1": bytes(16)}).read_bytes()
    return weights(folder, "a.pth", [seed])


def torch_legacy(folder: Path) -> Reader:
    content = mapping({"a": tensor("0", 6, 1, legacy=True), "state_dict": mapping({})})
    return weights(folder, "a.pth", [write_legacy(folder / "seed", content, {"0": bytes(24)}).read_bytes()])


def torch_tar(folder: Path) -> Reader:
    parts = tar_parts({100: (np.arange(6, dtype="<f4"), 0, (2, 2), (2, 1))}, ((7, 101, 1, 4),))
    return weights(folder, "a.pth", [write_tar(folder / "seed", mapping({"a": tar_tensor(100)}), parts).read_bytes()])


def pickles(folder: Path) -> Reader:
    """The pickle within a zip archive, whose checksum is right."""
    path = folder / "a.pth"
    content = mapping({"a": tensor("0", 6, 1), "t": text("b"), "s": pickle.dumps({1: (2.5, None)}, 2)[2:-1]})

    def pack(changed: bytes) -> bytes:
        return write_zip(folder / "packed", changed, {"0": bytes(24)}).read_bytes()

    return weights(folder, "a.pth", [b""])._replace(target=path, changed=as_bytes([content]).map(pack))


def safetensors(folder: Path) -> Reader:
    said = json.dumps({"num_classes": 3, "class_names": ["a", "b", "c"]})
    header: dict = {"__metadata__": {"format": "pt", "resnet_zoo": said}}
    header["a"] = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    header["b"] = {"dtype": "BF16", "shape": [3], "data_offsets": [16, 22]}

    def pack(changed: dict) -> bytes:
        encoded = json.dumps(changed).encode()
        return struct.pack("<Q", len(encoded)) + encoded + bytes(22)

    base = weights(folder, "a.safetensors", [pack(header)])
    return base._replace(changed=st.one_of(base.changed, as_json([header]).map(pack)))


def descriptions(folder: Path) -> Reader:
    model = folder / "a.onnx"
    model.write_bytes(b"onnx")
    good = {**DESCRIPTION, "sha256": file_digest(model)}
    return Reader(folder / "a.onnx.meta.json", json_bytes([good]), lambda: describe(model))


def onnx_files(folder: Path) -> Reader:
    path = folder / "a.onnx"
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 4, 4])
    logits = helper.make_tensor_value_info("output1", TensorProto.FLOAT, ["N", 2])
    nodes = [
        helper.make_node("Conv", ["input", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["output1"]),
    ]
    weight = numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")
    model = helper.make_model(helper.make_graph(nodes, "g", [image], [logits], [weight]), ir_version=8,
                              opset_imports=[helper.make_opsetid("", 13)])  # fmt: skip
    seeds = [model.SerializeToString()]
    images = np.zeros((1, 3, 4, 4), np.float32)
    changed = st.one_of(as_bytes(seeds), as_message(onnx.ModelProto, seeds))
    return Reader(path, changed, lambda: open_onnx(path)(images))


def mindir_files(folder: Path) -> Reader:
    """What is looked through before MindSpore loads a file; MindSpore's own loader is not part of it."""
    path = folder / "a.mindir"
    model = ModelProto(ir_version="1.1", producer_name="MindSpore")
    model.graph.name = "g"
    model.graph.input.add(name="x").tensor.add(data_type=1, dims=[-1, 3, 4, 4])
    model.graph.output.add(name="y").tensor.add(data_type=1, dims=[-1, 2])
    model.graph.parameter.add(name="w", data_type=1, dims=[2, 3], raw_data=bytes(24))
    model.primitives.add(name="ReLU:1", op_type="ReLU", prim_type=1).attribute.add(name="a", type=7, i=3)
    node = model.graph.node.add(name="n", op_type="REF::ReLU:1", input=["x"], output=["y"])
    values = node.attribute.add(name="v", type=20).values.add(name="e", type=17)
    values.tensors.add(data_type=6, dims=[1], raw_data=bytes(4))
    seeds = [model.SerializeToString()]
    changed = st.one_of(as_bytes(seeds), as_message(ModelProto, seeds))
    return Reader(path, changed, lambda: check_file(path, check_mindir))


def rank_tables(folder: Path) -> Reader:
    path = folder / "table.json"
    one = make_content("10.0.0.1", [0, 1], ["192.168.1.8", "192.168.2.8"])
    instance = {"devices": [{"device_id": "0", "device_ip": "192.1.27.6"}], "rank_id": "0", "server_id": "10.155.111.140"}
    group = {"device_num": "1", "server_num": "1", "group_name": "", "instance_count": "1", "instance_list": [instance]}
    old = {"group_count": "1", "group_list": [group], "status": "completed"}
    return Reader(path, json_bytes([one, old]), lambda: load_table(path))


def recipes(folder: Path) -> Reader:
    path = folder / "a.yaml"
    seeds = [(ROOT / "configs" / name).read_text() for name in ("quickstart.yaml", "resnet50_a2_8p.yaml")]
    changed = st.one_of(as_yaml(seeds), as_yaml(seeds), as_bytes([seed.encode() for seed in seeds]))
    return Reader(path, changed, lambda: load_config(["--config_path", str(path)]))


def labels(folder: Path) -> Reader:
    path = folder / "labels.txt"
    seeds = [
        b"a.jpg 0\nb c.jpg 1\n",
        b'\xef\xbb\xbfimage,label\r\n"a,b.jpg",cat\r\nc.jpg,dog\r\n',
        b"a.jpg\tcat\nb.jpg\tdog\n",
        b'{"a.jpg": 0, "b.jpg": 1}',
    ]
    return Reader(path, as_bytes(seeds), lambda: read_labels(path))


def lists(folder: Path) -> Reader:
    path = folder / "lists.csv"
    seeds = [
        b'image,label,split\r\n"a,b.jpg",cat,train\r\nc.jpg,dog,val\r\n',
        b"id;filename;width;class\n1;a.jpg;30;cat\n2;b.jpg;20;dog\n",
        b"a.jpg\t0\ttest\nb/c.jpg\t12\ttraining\n",
    ]
    return Reader(path, as_bytes(seeds), lambda: read_list(path))


READERS: dict[str, Callable[[Path], Reader]] = {
    function.__name__: function
    for function in (
        checkpoints, torch_zip, torch_legacy, torch_tar, pickles, safetensors, descriptions, onnx_files, mindir_files,
        rank_tables, recipes, labels, lists, mindrecord_manifests, mindrecord_indices, folder_caches, scan_caches,
        record_files, record_databases, embeddings, images, run_answers, run_metrics, run_settings, run_findings,
    )
}  # fmt: skip
