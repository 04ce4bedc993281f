"""Weights of other programs: files made by hand here, two that PyTorch wrote (tests/data), PyTorch itself if installed."""

import importlib.util
import io
import json
import pickle
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Optional

import mindspore as ms
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from conftest import ROOT
from src import checkpoint
from src.config import build_config
from src.errors import UserError
from src.evaluation.classifiers import load_classifier
from src.models import create_model, weights
from src.models.torch_files import read_torch
from src.models.weight_names import describe_difference, is_training_state, our_name, split_group

DATA = ROOT / "tests" / "data"
needs_torch = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("torch", "torchvision", "timm")),
    reason="PyTorch, torchvision and timm are not installed here",
)


# A writer of what torch.save writes. Pickles are put together from their instructions, as PyTorch's names need PyTorch.


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def sequence(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def mapping(items: dict) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def call(module: str, name: str, *arguments: bytes) -> bytes:
    return named(module, name) + sequence(*arguments) + b"R"


def tensor(key: str, storage_size: int, offset=0, shape=(2,), strides=(1,), storage="FloatStorage", legacy=False) -> bytes:
    reference = sequence(
        text("storage"), named("torch", storage), text(key), text("cpu"), number(storage_size), *([b"N"] if legacy else [])
    )
    arguments = [number(offset), sequence(*map(number, shape)), sequence(*map(number, strides))]
    hooks = call("collections", "OrderedDict")
    return call("torch._utils", "_rebuild_tensor_v2", reference + b"Q", *arguments, b"\x89", hooks)


def write_zip(
    path: Path, content: bytes, storages: dict, byteorder: bytes = b"little", compression=zipfile.ZIP_STORED
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + content + b".")
        archive.writestr("archive/byteorder", byteorder)
        for key, values in storages.items():
            archive.writestr(f"archive/data/{key}", values)
        archive.writestr("archive/version", b"3\n")
    return path


def write_legacy(path: Path, content: bytes, storages: dict, little_endian: bool = True, item_size: int = 4) -> Path:
    headers = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": little_endian, "type_sizes": {}}]
    parts = [pickle.dumps(header, 2) for header in headers]
    parts += [b"\x80\x02" + content + b".", pickle.dumps(list(storages), 2)]
    for values in storages.values():
        parts += [struct.pack("<q", len(values) // item_size), values]
    path.write_bytes(b"".join(parts))
    return path


def write_state(path: Path, state: dict, legacy: bool = False, wrap=mapping) -> Path:
    """A file of float32 tensors; `wrap` makes the pickled content of name -> pickled tensor."""
    arrays = {str(i): np.ascontiguousarray(values, np.float32) for i, values in enumerate(state.values())}
    pickled = {}
    for (key, array), name in zip(arrays.items(), state):
        strides = tuple(stride // 4 for stride in array.strides)
        pickled[name] = tensor(key, array.size, shape=array.shape, strides=strides, legacy=legacy)
    write = write_legacy if legacy else write_zip
    return write(path, wrap(pickled), {key: array.tobytes() for key, array in arrays.items()})


def draw(shapes: dict, seed: int = 0) -> dict:
    generator = np.random.default_rng(seed)
    return {
        name: generator.uniform(0.5, 1.5, shape).astype(np.float32) * (0.1 if len(shape) > 1 else 1)
        for name, shape in shapes.items()
    }


def shapes_of(backbone: str, num_classes: int) -> dict:
    return {parameter.name: tuple(parameter.shape) for parameter in create_model(backbone, num_classes).get_parameters()}


@pytest.fixture(scope="module")
def state() -> dict:
    return draw(shapes_of("resnet20", 7))


def convert(command, source: Path, output: Path, *options: str, backbone: str = "resnet20") -> tuple:
    code, out, err = command(weights.main, "--backbone", backbone, "--source", source, "--output", output, *options)
    assert code == 0, err
    return out, err


def refusal(refused, source: Path, *options: str, backbone: str = "resnet20") -> str:
    output = source.with_name("refused.ckpt")
    line = refused(weights.main, "--backbone", backbone, "--source", source, "--output", output, *options)
    assert not output.exists()
    return line


def assert_holds(path: Path, state: dict) -> dict:
    """Checks that a checkpoint holds exactly these weights; returns its metadata."""
    loaded = checkpoint.load(path)
    assert set(loaded.weights) == set(state)
    for name, values in state.items():
        actual = loaded.weights[name].asnumpy()
        assert actual.dtype == np.float32 and np.array_equal(actual, values.reshape(actual.shape)), name
    return loaded.metadata


# Reading


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_files_that_pytorch_wrote(name):
    file_format, content = read_torch(DATA / f"{name}.pth")
    assert file_format == f"PyTorch {name}"
    numbers = np.arange(24, dtype=np.float32).reshape(4, 6)
    expected = {
        "a.weight": numbers,
        "b": np.array([1.0, -2.5, 3.00405527047391e38], np.float32),  # bfloat16 has 8 bits of precision
        "transposed": numbers.T,
        "part": numbers[1:3, 1::2],
        "row": numbers[3],
        "half": np.array([[0.5], [65504.0]], np.float16),
        "double": np.array([1 / 3]),
        "channels_last": np.arange(16, dtype=np.float32).reshape(1, 4, 2, 2),
        "bn.num_batches_tracked": np.array(7),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
    }
    tensors = content["state_dict"]
    assert list(tensors) == list(expected)
    for key, values in expected.items():
        read = tensors[key].read()
        assert read.dtype == values.dtype and read.shape == tensors[key].shape == values.shape, key
        assert np.array_equal(read, values), key
    assert content["epoch"] == 3 and content["history"] == {"loss": [1.0, 0.5]} and content["size"] == (4, 6)
    assert tensors["b"].dtype == "bfloat16" and tensors["half"].dtype == "float16"


@pytest.mark.parametrize("name", ["zip", "legacy"])
def test_a_changed_or_shortened_file_is_read_or_refused_in_one_line(name, tmp_path):
    content = (DATA / f"{name}.pth").read_bytes()
    generator = random.Random(0)
    refused = 0
    for i in range(600):
        changed = bytearray(content)
        if i % 3:
            for _ in range(i % 3):
                changed[generator.randrange(len(content))] = generator.randrange(256)
        else:
            del changed[generator.randrange(40, len(content)) :]
        path = tmp_path / "changed.pth"
        path.write_bytes(bytes(changed))
        try:
            for tensor in read_torch(path)[1]["state_dict"].values():
                tensor.read()
        except UserError as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
        except (KeyError, TypeError, AttributeError):
            pass  # of this test: the name state_dict was changed
    assert refused > 250


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_storages_and_tensors_must_agree(tmp_path, legacy):
    write = write_legacy if legacy else write_zip
    storage = {"0": np.arange(6, dtype="<f4").tobytes()}

    def read(path_content: bytes, storages: dict = storage):
        return read_torch(write(tmp_path / "a.pth", mapping({"a": path_content}), storages))[1]["a"].read()

    assert read(tensor("0", 6, 1, (2, 2), (3, 1), legacy=legacy)).tolist() == [[1, 2], [4, 5]]
    for arguments, reason in [
        ((6, 2, (2, 2), (3, 1)), "beyond its storage"),
        ((6, 0, (7,), (1,)), "beyond its storage"),
        ((6, 0, (10**5, 10**4), (0, 0)), "beyond its storage"),  # few bytes that would become many
        ((6, -1, (2,), (1,)), "no counts"),
        ((6, 0, (2,), (-1,)), "no counts"),
        ((6, 0, (2, 2), (1,)), "no counts"),
        ((6, 0, (1,) * 40, (1,) * 40), "no counts"),
        ((7, 0, (2,), (1,)), "storage 0 has"),
        ((10**9, 0, (10**9,), (1,)), "storage 0 has"),
    ]:
        with pytest.raises(UserError, match=reason):
            read(tensor("0", *arguments, legacy=legacy))
    with pytest.raises(UserError, match="storage"):
        read(tensor("1", 6, legacy=legacy))


def test_less_usual_tensors(tmp_path):
    numbers = np.arange(6, dtype="<f4")
    reference = (
        sequence(text("storage"), named("torch.storage", "UntypedStorage"), text("0"), text("cpu"), number(24)) + b"Q"
    )
    place = [number(1), sequence(number(2)), sequence(number(2)), b"\x89", b"N"]
    untyped = call("torch._utils", "_rebuild_tensor_v3", reference, *place, named("torch", "float32"))
    plain = tensor("0", 6, 3).partition(b"\n_rebuild_tensor_v2\n")[2][:-1]  # its arguments
    subclass = call("torch._tensor", "_rebuild_from_type_v2", named("torch._utils", "_rebuild_tensor_v2"),
                    named("torch", "Tensor"), plain, b"}")  # fmt: skip
    parameter = call("torch._utils", "_rebuild_parameter", tensor("0", 6, 4), b"\x88", b"N")
    content = mapping({"untyped": untyped, "subclass": subclass, "parameter": parameter})
    _, read = read_torch(write_zip(tmp_path / "a.pth", content, {"0": numbers.tobytes()}))
    assert {name: value.read().tolist() for name, value in read.items()} == {
        "untyped": [1, 3], "subclass": [3, 4], "parameter": [4, 5]
    }  # fmt: skip

    def view(start: int, size: int) -> bytes:  # as PyTorch before 0.4 wrote
        whole = tensor("0", 6, 1, legacy=True)
        return whole.replace(b"Nt", sequence(text("view"), number(start), number(size)) + b"t", 1)

    _, read = read_torch(write_legacy(tmp_path / "b.pth", mapping({"a": view(2, 3)}), {"0": numbers.tobytes()}))
    assert read["a"].read().tolist() == [3, 4]
    for start, size in [(5, 2), (-1, 3), (2, 2)]:
        with pytest.raises(UserError, match="beyond"):
            read_torch(write_legacy(tmp_path / "b.pth", mapping({"a": view(start, size)}), {"0": numbers.tobytes()}))


def test_archives_that_are_none_of_torch_save_are_refused(tmp_path):
    content, storages = mapping({"a": tensor("0", 2)}), {"0": bytes(8)}
    path = tmp_path / "a.pth"
    assert read_torch(write_zip(path, content, storages))[1]["a"].shape == (2,)

    def add(name: str) -> None:
        write_zip(path, content, storages)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, b"")

    for write, reason in [
        (lambda: write_zip(path, content, storages, byteorder=b"big"), "big-endian"),
        (lambda: write_legacy(path, content, storages, little_endian=False), "big-endian"),
        (lambda: write_zip(path, content, storages, compression=zipfile.ZIP_DEFLATED), "compressed"),
        (lambda: write_zip(path, content, {"0": bytes(12)}), "storage 0 has 12 bytes instead of 2 numbers"),
        (lambda: add("archive/constants.pkl"), "TorchScript"),
        (lambda: add("other/data.pkl"), "not of torch.save"),
    ]:
        write()
        with pytest.raises(UserError, match=reason):
            read_torch(path)
    with pytest.warns(UserWarning, match="Duplicate name"):
        add("archive/data/0")
    with pytest.raises(UserError, match="overlap"):
        read_torch(path)


# Refusing what is more than data


def attacks(canary: Path) -> dict:
    """Pickles that create the file `canary` when they are loaded, and the name that their refusal must give."""
    command = text(f"touch '{canary}'")
    run = call("os", "system", command)
    popen = named("subprocess", "Popen") + sequence(sequence(text("touch"), text(str(canary))))
    eval_ = text(f"open({str(canary)!r}, 'w')")
    return {
        "reduce": (run, "os.system"),
        "posix": (call("posix", "system", command), "posix.system"),
        "eval": (call("builtins", "eval", eval_), "builtins.eval"),
        "eval of Python 2": (call("__builtin__", "eval", eval_), "builtins.eval"),
        "stack global": (text("os") + text("system") + b"\x93" + sequence(command) + b"R", "os.system"),
        "inst": (b"(" + command + b"ios\nsystem\n", "os.system"),
        "obj": (b"(" + named("os", "system") + command + b"o", "os.system"),
        "newobj": (popen + b"\x81", "subprocess.Popen"),
        "newobj ex": (popen + b"}\x92", "subprocess.Popen"),
        "build": (named("argparse", "Namespace") + b")\x81" + mapping({"lr": run}) + b"b", "os.system"),
        "in a tensor's arguments": (call("torch._utils", "_rebuild_parameter", run, b"\x89", b"N"), "os.system"),
        "in a key": (b"}(" + run + b"Nu", "os.system"),
        "in a persistent id": (run + b"Q", "os.system"),
    }


@pytest.mark.parametrize("kind", list(attacks(Path())))
def test_a_file_that_would_run_something_is_refused_and_runs_nothing(kind, tmp_path, refused):
    canary = tmp_path / "canary"
    attack, name = attacks(canary)[kind]
    nested = mapping({"state_dict": mapping({"conv1.weight": tensor("0", 2), "fc.weight": attack})})
    nested_legacy = mapping({"fc.weight": attack, "conv1.weight": tensor("0", 2, legacy=True)})
    path = tmp_path / "weights.pth"
    for write, content in [(write_zip, attack), (write_zip, nested), (write_legacy, attack), (write_legacy, nested_legacy)]:
        line = refusal(refused, write(path, content, {"0": bytes(8)}))
        assert "refused: it asks for" in line and name in line and "nothing was run" in line
    headers = path.read_bytes().index(b"\x80\x02", 20)
    path.write_bytes(path.read_bytes()[:headers] + b"\x80\x02" + attack + b"." + path.read_bytes()[headers:])
    assert "refused" in refusal(refused, path)  # in the header of the older format
    assert not canary.exists()


def test_these_files_do_run_something_in_a_plain_unpickler(tmp_path):
    for kind in ("reduce", "eval", "stack global", "inst", "obj", "build"):
        canary = tmp_path / kind.replace(" ", "_")
        content = b"\x80\x04" + attacks(canary)[kind][0] + b"."
        code = f"import pickle, time; made = pickle.loads({content!r}); time.sleep(0.3)"
        subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
        assert canary.exists(), kind


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (call("torch.storage", "_load_from_bytes", text("x")), "torch.storage._load_from_bytes"),
        (call("torchvision.models.resnet", "ResNet"), "torchvision.models.resnet.ResNet"),
        (call("torch", "FloatStorage", number(4)), "a call of torch.FloatStorage"),
        (call("builtins", "getattr", text("a"), text("b")), "builtins.getattr"),
        (call("os.path\x1b[31m", "a"), r"os.path\x1b[31m"),
        (b"\x82\x01", "the instruction EXT1"),
    ],
)
def test_what_is_no_data_is_named(content, name, tmp_path, refused):
    assert name in refusal(refused, write_zip(tmp_path / "a.pth", content, {}))


@pytest.mark.parametrize(
    "content",
    [
        b"}(](]Nu", b"(((", b"N(0", b"R", b"NNR", b"}N)\x81", b"j\xff\xff\xff\xff", b"r\xff\xff\xff\x7f", b"NN\x93R", b"",
        b"\x8e" + b"\xff" * 7 + b"\x7f", b"X\xff\xff\xff\xff", b"Nb", b"NNb", b"}NNNs", b"(Q", text("a") + b"Q",
        call("collections", "OrderedDict", text("abc")), call("torch._utils", "_rebuild_tensor_v2"),
        call("torch._utils", "_rebuild_tensor_v2", b"N", b"N", b"N", b"N", b"N", b"N"),
        call("torch._tensor", "_rebuild_from_type_v2", b"N", b"N", b")", b"N"), b"(" * 10**5,
    ],
)  # fmt: skip
@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_pickles_that_make_no_sense_are_refused(content, write, tmp_path, refused):
    path = write(tmp_path / "a.pth", content, {})
    assert str(path) in refusal(refused, path)


# Importing


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("ending", ["pth", "ckpt", "pth.tar"])  # the content tells the format
def test_weights_come_in_bit_by_bit_with_what_is_needed_to_use_them(state, legacy, ending, tmp_path, command):
    counters = {"bn1.num_batches_tracked": np.float32(5), "layer1.0.bn1.num_batches_tracked": np.float32(5)}
    source = write_state(tmp_path / f"source.{ending}", {**state, **counters}, legacy)
    convert(command, source, tmp_path / "a.ckpt")
    metadata = assert_holds(tmp_path / "a.ckpt", state)
    assert set(metadata) == {"backbone", "num_classes", "class_names", "preprocessing", "source"}
    assert (metadata["backbone"], metadata["num_classes"], metadata["class_names"]) == ("resnet20", 7, [])
    assert metadata["preprocessing"]["image_size"] == [32, 32] and metadata["preprocessing"]["antialias"] is True
    assert metadata["source"]["file"] == source.name and len(metadata["source"]["sha256"]) == 64
    assert metadata["source"]["format"] == ("PyTorch legacy" if legacy else "PyTorch zip")
    classifier = load_classifier(tmp_path / "a.ckpt", build_config({}))
    assert classifier.num_classes == 7 and classifier.classify(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 7)


def test_a_checkpoint_goes_to_safetensors_and_back(state, tmp_path, command, refused):
    convert(command, write_state(tmp_path / "a.pth", state), tmp_path / "a.ckpt")
    convert(command, tmp_path / "a.ckpt", tmp_path / "b.safetensors")
    exported = safetensors.numpy.load_file(tmp_path / "b.safetensors")
    counters = {name for name in exported if name.endswith(".num_batches_tracked")}
    assert set(exported) - counters == set(state)
    assert counters == {name.replace("running_var", "num_batches_tracked") for name in state if "running_var" in name}
    assert all(exported[name].dtype == np.int64 and exported[name].shape == () for name in counters)
    convert(command, tmp_path / "b.safetensors", tmp_path / "c.ckpt")
    assert_holds(tmp_path / "c.ckpt", state)
    line = refusal(refused, tmp_path / "a.ckpt", backbone="resnet32")
    assert "resnet32 was asked for, but" in line and "holds resnet20" in line


def test_classes_and_preprocessing_go_to_safetensors_and_back(trained, tmp_path, command):
    network = checkpoint.load(trained["ckpt"])
    convert(command, trained["ckpt"], tmp_path / "a.safetensors", backbone="resnext11_8x16d")
    convert(command, tmp_path / "a.safetensors", tmp_path / "b.ckpt", backbone="resnext11_8x16d")
    metadata = assert_holds(tmp_path / "b.ckpt", {name: value.asnumpy() for name, value in network.weights.items()})
    for key in ("class_names", "preprocessing", "num_classes"):
        assert metadata[key] == network.metadata[key]
    assert "evaluation" not in metadata and "epoch" not in metadata


@pytest.mark.parametrize("value", ["{}", "[1]", "no JSON", '{"class_names": 3}', '{"class_names": ["a"]}', "null"])
def test_metadata_that_makes_no_sense_is_not_used(state, value, tmp_path, command):
    tensors = {name: ("F32", values) for name, values in state.items()}
    path = write_safetensors(tmp_path / "a.safetensors", tensors, {"format": "pt", "resnet_zoo": value})
    convert(command, path, tmp_path / "a.ckpt")
    assert assert_holds(tmp_path / "a.ckpt", state)["class_names"] == []


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module.module.", "model."])
def test_prefixes_are_taken_off(state, prefix, tmp_path, command):
    source = write_state(tmp_path / "a.pth", {prefix + name: values for name, values in state.items()})
    convert(command, source, tmp_path / "a.ckpt")
    assert_holds(tmp_path / "a.ckpt", state)


@pytest.mark.parametrize(("last", "average"), [("state_dict", "state_dict_ema"), ("model", "model_ema"), ("model", "ema")])
def test_wrapped_and_averaged_weights(state, last, average, tmp_path, command, refused):
    both = {**{f"raw/{name}": value for name, value in state.items()}, "mean/n_averaged": np.float32(3)}
    both.update({f"mean/module.{name}": value + 1 for name, value in state.items()})

    def wrap(pickled: dict) -> bytes:
        parts = [
            mapping({name.split("/")[1]: value for name, value in pickled.items() if name.startswith(part)})
            for part in ("raw", "mean")
        ]
        if average == "ema":
            parts[1] = mapping({"state_dict": parts[1]})
        others = {"epoch": number(4), "args": named("argparse", "Namespace") + b")\x81" + mapping({"lr": number(1)}) + b"b"}
        return mapping({"optimizer": mapping({"state": b"}"}), average: parts[1], last: parts[0], **others})

    source = write_state(tmp_path / "a.pth", both, wrap=wrap)
    out, _ = convert(command, source, tmp_path / "a.ckpt")
    assert f"weights in '{last}'" in out and f"averaged weights too ('{average}'); --ema takes those" in out
    assert_holds(tmp_path / "a.ckpt", state)
    out, _ = convert(command, source, tmp_path / "b.ckpt", "--ema")
    assert "averaged weights taken" in out
    assert_holds(tmp_path / "b.ckpt", {name: value + 1 for name, value in state.items()})

    only = write_state(tmp_path / "c.pth", state, wrap=lambda pickled: mapping({average: mapping(pickled)}))
    assert "import it with --ema" in refusal(refused, only)
    assert "import it without --ema" in refusal(refused, write_state(tmp_path / "d.pth", state), "--ema")


def test_a_file_without_weights_is_one_line(tmp_path, refused):
    line = refusal(refused, write_zip(tmp_path / "a.pth", mapping({"epoch": number(3), "history": b"}"}), {}))
    assert "no weights" in line and "'history'" in line
    own = b"}q\x00(" + text("model") + b"h\x00u"  # a dictionary that holds itself
    assert "no weights" in refusal(refused, write_zip(tmp_path / "a.pth", own, {}))
    assert "it holds list" in refusal(refused, write_zip(tmp_path / "a.pth", b"]", {}))


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F64"])
def test_other_precisions_become_float32_and_that_is_said(state, dtype, tmp_path, command):
    def stored(values: np.ndarray) -> np.ndarray:
        if dtype == "BF16":
            return (values.view(np.uint32) >> 16).astype(np.uint16)
        return values.astype({"F16": np.float16, "F64": np.float64}[dtype])

    arrays = {name: stored(values) for name, values in state.items()}
    path = write_safetensors(tmp_path / "a.safetensors", {name: (dtype, array) for name, array in arrays.items()})
    out, _ = convert(command, path, tmp_path / "a.ckpt")
    name = {"F16": "float16", "BF16": "bfloat16", "F64": "float64"}[dtype]
    assert f"{len(state)} of {len(state)} tensors converted from {name} to float32" in out

    def widened(array: np.ndarray) -> np.ndarray:
        return (array.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else array.astype(np.float32)

    assert_holds(tmp_path / "a.ckpt", {name: widened(array) for name, array in arrays.items()})


def write_safetensors(path: Path, tensors: dict, metadata: Optional[dict] = None) -> Path:
    """Writes name -> (dtype as the format names it, array of its bits)."""
    header, data = {"__metadata__": metadata or {"format": "pt"}}, b""
    for name, (dtype, array) in tensors.items():
        content = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + data)
    return path


def test_half_and_bfloat16_of_pytorch(state, tmp_path, command):
    pickled, storages, expected = {}, {}, {}
    for i, (name, values) in enumerate(state.items()):
        half = i % 2
        bits = values.astype("<f2") if half else (values.view("<u4") >> 16).astype("<u2")
        strides = tuple(stride // 2 for stride in bits.strides)
        kind = "HalfStorage" if half else "BFloat16Storage"
        pickled[name] = tensor(str(i), bits.size, shape=bits.shape, strides=strides, storage=kind)
        storages[str(i)] = bits.tobytes()
        expected[name] = bits.astype(np.float32) if half else (bits.astype("<u4") << 16).view("<f4")
    out, _ = convert(command, write_zip(tmp_path / "a.pth", mapping(pickled), storages), tmp_path / "a.ckpt")
    assert "from bfloat16 to float32" in out and "from float16 to float32" in out
    assert_holds(tmp_path / "a.ckpt", expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_weight_that_is_not_finite_is_named(state, value, tmp_path, refused):
    broken = {name: ("F64", values.astype(np.float64)) for name, values in state.items()}
    broken["layer2.0.bn1.bias"][1][3] = value
    line = refusal(refused, write_safetensors(tmp_path / "a.safetensors", broken))
    assert "layer2.0.bn1.bias holds NaN, Inf or a number beyond float32" in line


def test_integers_are_no_weights(state, tmp_path, refused):
    tensors = {name: ("F32", values) for name, values in state.items()}
    tensors["fc.bias"] = ("I64", np.arange(7))
    line = refusal(refused, write_safetensors(tmp_path / "a.safetensors", tensors))
    assert "fc.bias is of type int64" in line


def test_every_tensor_is_accounted_for(state, tmp_path, command, refused):
    changed = {**state, "fc.weight": np.zeros((7, 65)), "layer9.weight": np.zeros(3), "a\nb": np.zeros(2)}
    for name in ("conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean"):
        del changed[name]
    path = write_state(tmp_path / "a.pth", changed)
    line = refusal(refused, path)
    for part in (
        "does not fit resnet20", "4 missing (conv1.weight, bn1.", ", ...); ", r"2 unknown (layer9.weight, 'a\nb')",
        "1 of another shape (fc.weight (7, 65) instead of (7, 64))", "--backbone",
    ):  # fmt: skip
        assert part in line
    _, _, err = command(weights.main, "--backbone", "resnet20", "--source", path, "--output", tmp_path / "b.ckpt")
    (listed,) = [line for line in err.splitlines() if line.startswith("4 missing: ")]
    assert sorted(listed[len("4 missing: ") :].split(", ")) == sorted(set(state) - set(changed))


def test_weights_of_another_network_are_refused(state, tmp_path, refused):
    path = write_state(tmp_path / "a.pth", state)
    assert "missing (layer1.3" in refusal(refused, path, backbone="resnet32")
    line = refusal(refused, path, backbone="resnext11_8x16d")
    assert "does not fit resnext11_8x16d" in line and "missing" in line and "unknown" in line and "another shape" in line
    assert "unknown network 'resnet21'; did you mean" in refusal(refused, path, backbone="resnet21")


def test_a_classifier_whose_parts_disagree_is_refused(state, tmp_path, refused):
    line = refusal(refused, write_state(tmp_path / "a.pth", {**state, "fc.bias": np.zeros(6)}))
    assert "1 of another shape (fc.bias (6,) instead of (7,))" in line
    line = refusal(refused, write_state(tmp_path / "a.pth", {**state, "fc.weight": np.zeros((0, 64))}))
    assert "fc.weight" in line
    line = refusal(refused, write_state(tmp_path / "a.pth", {**state, "module.fc.bias": np.zeros(7)}))
    assert "2 tensors would be fc.bias" in line


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither a PyTorch"),
        (b"hello " * 50, "neither a PyTorch"),
        (b"<!DOCTYPE html>" * 9, "neither a PyTorch"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git LFS"),
        (pickle.dumps({"a": 1}, 2), "torch.save did not write"),
        (b"PK\x03\x04" + bytes(100), "truncated"),
        (struct.pack("<Q", 1000) + b'{"a": 1}', "cannot be read as safetensors"),
        (struct.pack("<Q", 2) + b"{}", "no weights"),
        (b"\x0a" + bytes(50), "not a MindSpore checkpoint"),
    ],
)
def test_files_that_hold_no_weights(content, reason, tmp_path, refused):
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    line = refusal(refused, path)
    assert reason in line and str(path) in line


def test_the_oldest_format_and_missing_files_are_one_line(state, tmp_path, refused):
    with tarfile.open(tmp_path / "a.pth", "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    assert "PyTorch before 0.2" in refusal(refused, tmp_path / "a.pth")
    assert "no such file" in refusal(refused, tmp_path / "b.pth")
    source = write_state(tmp_path / "c.pth", state)
    line = refused(weights.main, "--backbone", "resnet20", "--source", source, "--output", tmp_path / "c.onnx")
    assert "must end in .ckpt or .safetensors" in line
    line = refused(weights.main, "--backbone", "resnet20", "--source", source, "--output", source / "c.ckpt")
    assert "cannot be written" in line


@pytest.mark.parametrize("name", ["zip", "legacy", "ckpt", "safetensors"])
def test_truncated_files_are_refused(name, state, tmp_path, command, refused):
    source = write_state(tmp_path / "a.pth", state, legacy=name == "legacy")
    if name in ("ckpt", "safetensors"):
        convert(command, source, tmp_path / f"b.{name}")
        source = tmp_path / f"b.{name}"
    content = source.read_bytes()
    for length in (len(content) // 3, len(content) - 10):
        source.write_bytes(content[:length])
        assert str(source) in refusal(refused, source)


# Other programs' names


def mindcv(name: str) -> str:
    """A name of ours as mindcv/models/resnet.py has it."""
    norm = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    parts = name.split(".")
    if parts[-2].startswith("bn") or parts[-3:-1] == ["downsample", "1"]:
        parts[-1] = norm[parts[-1]]
    return ".".join({"downsample": "down_sample", "fc": "classifier"}.get(part, part) for part in parts)


def resnext_repository(state: dict, groups: int) -> dict:
    """Weights of ours as research/cv/ResNeXt of MindSpore's models repository has them on Ascend and CPU."""
    renamed = {}
    for name, values in state.items():
        new = mindcv(name).replace("down_sample.0", "down_sample.conv").replace("down_sample.1", "down_sample.bn")
        new = {"conv1": "conv", "bn1": "bn"}.get(new.split(".")[0], new.split(".")[0]) + new[new.index(".") :]
        new = new.replace("classifier", "head.fc") if new.startswith("classifier") else f"backbone.{new}"
        if new.endswith("conv2.weight"):
            parts = np.split(values, groups)
            renamed.update({new.replace("conv2", f"conv2.convs.{i}"): part for i, part in reversed(list(enumerate(parts)))})
        else:
            renamed[new] = values
    return renamed


def write_mindspore(path: Path, state: dict) -> Path:
    values = [{"name": name, "data": ms.Tensor(np.ascontiguousarray(value))} for name, value in state.items()]
    ms.save_checkpoint(values, str(path.with_suffix(".ckpt")))
    path.with_suffix(".ckpt").rename(path)
    return path


@pytest.mark.parametrize("ending", ["ckpt", "bin"])
def test_mindcv(ending, tmp_path, command, refused):
    state = draw(shapes_of("resnext11_8x16d", 4))
    theirs = {mindcv(name): values for name, values in state.items()}
    assert {"bn1.gamma", "layer1.0.down_sample.1.moving_variance", "classifier.bias"} <= set(theirs)
    training = {
        **{f"moments.{name}": values for name, values in theirs.items() if "moving" not in name},
        **{f"ema.{name}": values + 1 for name, values in theirs.items()},
        "learning_rate": np.zeros(40, np.float32), "momentum": np.float32([0.9]), "global_step": np.int32([3]),
    }  # fmt: skip
    path = write_mindspore(tmp_path / f"a.{ending}", {**theirs, **training})
    out, err = convert(command, path, tmp_path / "out.ckpt", backbone="resnext11_8x16d")
    assert_holds(tmp_path / "out.ckpt", state)
    assert f"{3 + sum('running' not in name for name in state)} tensors of an optimizer are left out" in out
    assert "--ema takes those" in out
    assert "max-pool" in err and len(err.splitlines()) == 1  # the warning
    convert(command, path, tmp_path / "ema.ckpt", "--ema", backbone="resnext11_8x16d")
    assert_holds(tmp_path / "ema.ckpt", {name: values + 1 for name, values in state.items()})


def test_group_by_group_convolutions_are_joined(tmp_path, command, refused):
    state = draw(shapes_of("resnext11_8x16d", 4))
    theirs = resnext_repository(state, 8)
    assert {"backbone.conv.weight", "backbone.layer1.0.conv2.convs.7.weight", "head.fc.bias"} <= set(theirs)
    out, err = convert(
        command, write_mindspore(tmp_path / "a.ckpt", theirs), tmp_path / "out.ckpt", backbone="resnext11_8x16d"
    )
    assert "3 grouped convolutions joined" in out and "the models repository's ResNeXt pads the max-pool" in err
    assert_holds(tmp_path / "out.ckpt", state)
    del theirs["backbone.layer2.0.conv2.convs.3.weight"]
    line = refusal(refused, write_mindspore(tmp_path / "b.ckpt", theirs), backbone="resnext11_8x16d")
    assert "7 tensors would be layer2.0.conv2.weight" in line and "do not add up" in line


@pytest.mark.slow
def test_resnet_of_the_models_repository_has_another_epsilon(tmp_path, command):
    state = draw(shapes_of("resnet18", 3))
    theirs = {}
    for name, values in state.items():
        new = mindcv(name).replace("down_sample", "down_sample_layer").replace("classifier", "end_point")
        theirs[new.replace(".bn1.", ".bn1d.").replace(".bn2.", ".bn2d.")] = values
    assert {"bn1.gamma", "layer1.0.bn1d.moving_variance", "layer2.0.down_sample_layer.1.beta"} <= set(theirs)
    out, err = convert(command, write_mindspore(tmp_path / "a.ckpt", theirs), tmp_path / "out.ckpt", backbone="resnet18")
    assert "16 variances raised by 9e-05" in out and not err
    inner = {name for name in state if name.endswith(("bn1.running_var", "bn2.running_var")) and name.startswith("layer")}
    assert_holds(
        tmp_path / "out.ckpt",
        {name: values + np.float32(9e-5) if name in inner else values for name, values in state.items()},
    )


@pytest.mark.slow
def test_resnest_of_the_models_repository_has_fewer_biases(tmp_path, command):
    state = draw(shapes_of("resnest14d", 3))
    theirs = {}
    for name, values in state.items():
        if name.endswith((".fc1.bias", ".fc2.bias")):
            state[name] = np.zeros_like(values)
        elif name.endswith(("conv2.conv.weight", ".fc1.weight", ".fc2.weight")):
            for i, part in enumerate(np.split(values, 2 if name.endswith("conv2.conv.weight") else 1)):
                theirs[f"{name[: -len('weight')]}convs.{i}.weight"] = part
        else:
            kind = ".".join(name.split(".")[-2:])
            is_norm = ".bn" in f".{kind}" or "running" in kind or f"{name.rpartition('.')[0]}.running_mean" in state
            new = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
            theirs[name.replace(kind.split(".")[1], new[kind.split(".")[1]]) if is_norm else name] = values
    assert {"conv1.1.gamma", "layer1.0.conv2.conv.convs.1.weight", "layer1.0.downsample.2.moving_mean"} <= set(theirs)
    out, err = convert(command, write_mindspore(tmp_path / "a.ckpt", theirs), tmp_path / "out.ckpt", backbone="resnest14d")
    assert "biases of split attention set to zero" in out and not err
    assert_holds(tmp_path / "out.ckpt", state)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("layer0.0.weight", "conv1.weight"),  # MindCV's SENet
        ("layer0.1.moving_variance", "bn1.running_var"),
        ("layer1.0.se_module.conv_reduce.bias", "layer1.0.se.fc1.bias"),
        ("layer4.2.se_module.conv_expand.weight", "layer4.2.se.fc2.weight"),
        ("backbone.layer1.0.se.fc1.weight", "layer1.0.se.fc1.weight"),  # models repository's SE-ResNeXt
        ("backbone.layer2.0.down_sample.bn.beta", "layer2.0.downsample.1.bias"),
        ("layer3.0.down_sample_layer.0.weight", "layer3.0.downsample.0.weight"),  # models repository's ResNet
        ("layer3.0.bn2d.gamma", "layer3.0.bn2.weight"),
        ("end_point.bias", "fc.bias"),
        ("conv1.4.moving_mean", "conv1.4.running_mean"),  # ResNeSt
        ("layer1.0.conv2.bn0.gamma", "layer1.0.conv2.bn0.weight"),
        ("module.layer1.0.conv2.fc1.bias", "layer1.0.conv2.fc1.bias"),
    ],
)
def test_names(theirs, ours):
    assert our_name(theirs) == ours
    assert our_name(ours) == ours


def test_what_an_optimizer_adds_is_told_from_weights():
    names = {"conv1.weight", "moments.conv1.weight", "linear.conv1.weight", "linear.weight", "exp_avg_sq_conv1.weight"}
    kept = {name for name in names if not is_training_state(name, names)}
    assert kept == {"conv1.weight", "linear.weight"}
    assert is_training_state("learning_rate", names) and is_training_state("scale_sense", names)


def test_no_name_of_ours_is_changed_or_taken_for_an_optimizers():
    for backbone in ("resnet18", "seresnet50", "resnest14d", "resnet50d"):
        for name in shapes_of(backbone, 2):
            assert our_name(name) == name and split_group(name) == (name, None) and not is_training_state(name, {name})


@pytest.mark.parametrize(
    ("names", "part"),
    [
        ({"bn1.gamma", "classifier.weight"}, "MindCV's network"),
        ({"layer0.1.gamma", "classifier.weight"}, "MindCV's network"),
        ({"layer1.0.conv2.bn0.gamma", "layer1.0.conv2.conv.weight"}, "average pools"),
        ({"layer1.0.conv2.bn0.gamma", "layer1.0.conv2.conv.convs.0.weight"}, ""),
        ({"backbone.conv.weight"}, "ResNeXt"),
        ({"end_point.weight", "bn1.gamma"}, "stride-2 convolutions"),
        ({"end_point.weight", "layer1.0.bn1d.gamma"}, ""),
        ({"conv1.weight", "bn1.weight", "fc.weight"}, ""),
    ],
)
def test_networks_that_differ_are_told_by_their_names(names, part):
    difference = describe_difference(names)
    assert part in difference if part else not difference


@pytest.mark.skipif(importlib.util.find_spec("torch") is not None, reason="PyTorch is installed here")
def test_verify_without_pytorch_is_one_line(state, tmp_path, refused):
    line = refusal(refused, write_state(tmp_path / "a.pth", state), "--verify")
    assert "--verify: torch and timm not installed here" in line


# With PyTorch


@pytest.fixture(scope="module")
def torch_files(tmp_path_factory) -> dict:
    """torchvision's ResNet-18 with 5 classes and drawn weights, saved in every form."""
    import torch
    from safetensors.torch import save_file

    from src.models.weight_verification import import_torchvision

    folder = tmp_path_factory.mktemp("torch")
    network = import_torchvision().models.resnet18(num_classes=5)
    drawn = draw({name: tuple(value.shape) for name, value in network.state_dict().items() if "num_batches" not in name})
    network.load_state_dict({**network.state_dict(), **{name: torch.from_numpy(value) for name, value in drawn.items()}})
    files = {name: folder / name for name in ("zip.pth", "legacy.pth", "a.safetensors")}
    torch.save(network.state_dict(), files["zip.pth"])
    torch.save({"model": network.state_dict(), "epoch": 3}, files["legacy.pth"], _use_new_zipfile_serialization=False)
    save_file(network.state_dict(), files["a.safetensors"])
    return {**files, "network": network.eval()}


@needs_torch
@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "a.safetensors"])
def test_logits_are_torchvisions(name, torch_files, tmp_path, command):
    import torch

    out, _ = convert(command, torch_files[name], tmp_path / "a.ckpt", "--verify", backbone="resnet18")
    assert "compared with torchvision" in out
    images = np.random.default_rng(1).standard_normal((2, 3, 64, 64), np.float32)
    ours = load_classifier(tmp_path / "a.ckpt", build_config({})).classify(images)
    with torch.inference_mode():
        theirs = torch_files["network"](torch.from_numpy(images)).numpy()
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()


@needs_torch
def test_what_is_exported_loads_in_torchvision(torch_files, tmp_path, command):
    from safetensors.torch import load_file

    from src.models.weight_verification import import_torchvision

    convert(command, torch_files["zip.pth"], tmp_path / "a.ckpt", backbone="resnet18")
    convert(command, tmp_path / "a.ckpt", tmp_path / "b.safetensors", backbone="resnet18")
    network = import_torchvision().models.resnet18(num_classes=5)
    network.load_state_dict(load_file(tmp_path / "b.safetensors"), strict=True)
    for name, value in torch_files["network"].state_dict().items():
        assert (network.state_dict()[name] == value).all(), name


@needs_torch
def test_verify_fails_where_logits_differ(torch_files, monkeypatch, refused):
    from src.models import weight_verification

    monkeypatch.setattr(weight_verification, "LARGEST_DIFFERENCE", 0.0)
    line = refusal(refused, torch_files["zip.pth"], "--verify", backbone="resnet18")
    assert "logits differ by" in line and "torchvision" in line


@needs_torch
def test_verify_says_what_it_cannot_compare(state, tmp_path, refused, command):
    assert "neither torchvision nor timm has resnet20" in refusal(
        refused, write_state(tmp_path / "a.pth", state), "--verify"
    )
