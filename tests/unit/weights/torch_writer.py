"""Writes what torch.save writes. Pickles are put together from their instructions, as PyTorch's names need PyTorch."""

import io
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np


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


def tar_parts(tensors: dict, views: tuple = ()) -> dict:
    """The parts `storages` and `tensors` of the oldest form.

    Args:
        tensors: key -> (array, offset, shape, strides) of a tensor; its storage has the key + 1.
        views: (key, key of the whole, first number, how many) of storages that are parts of others.
    """
    kinds = {"f4": "Float", "f8": "Double", "i8": "Long", "u1": "Byte"}
    storages = [pickle.dumps(len(tensors), 2)]
    descriptions = [pickle.dumps(len(tensors), 2)]
    parts = {view[1] - 1: view[0] for view in views}
    for key, (array, offset, shape, strides) in tensors.items():
        kind = kinds[array.dtype.str[1:]]
        storages.append(b"\x80\x02" + sequence(whole(key + 1), text("cpu"), named("torch", f"{kind}Storage")) + b".")
        storages += [struct.pack("<q", array.size), array.tobytes()]
        storage = parts.get(key, key + 1)
        descriptions.append(b"\x80\x02" + sequence(whole(key), whole(storage), named("torch", f"{kind}Tensor")) + b".")
        descriptions += [struct.pack("<i4x", len(shape)), struct.pack(f"<{2 * len(shape) + 1}q", *shape, *strides, offset)]
    return {"storages": b"".join(storages) + pickle.dumps(list(views), 2), "tensors": b"".join(descriptions)}


def whole(value: int) -> bytes:
    """A number of any size."""
    return pickle.dumps(value, 2)[2:-1]


def tar_tensor(key: int) -> bytes:
    return text(str(key)) + b"Q"


def write_tar(path: Path, content: bytes, parts: dict) -> Path:
    parts = {"sys_info": pickle.dumps({"protocol_version": 1000, "little_endian": True}, 2), **parts}
    with tarfile.open(path, "w:", format=tarfile.PAX_FORMAT) as archive:
        for name, part in {**parts, "pickle": b"\x80\x02" + content + b"."}.items():
            member = tarfile.TarInfo(name)
            member.size = len(part)
            archive.addfile(member, io.BytesIO(part))
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
