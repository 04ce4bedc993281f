"""Strategies: good files as hypothesis changes them, as bytes, as JSON, as YAML and as protobuf messages."""

import copy
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

PLACES = st.integers(0, 2**32 - 1)  # modulo what there is
NUMBERS = st.sampled_from(
    [0, 1, -1, 2, 127, 128, 255, 256, 511, 512, 513, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40,
     2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**12, 10**18, 10**30, -(2**31), -(2**63)]
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["", "\0", "\x1b[31m", "a\nb", "\ud800", "\udcff", "../..", "/etc/passwd", "N", "nan", "1e999", "0x10", "true", "-1",
         "a" * 5000, "9" * 5000, "resnet50", "\u202e", "*/_ORT_MEM_ADDR_/*", "Custom", "evil.so:run"]
    ),
)  # fmt: skip
FLOATS = st.sampled_from([0.0, -0.0, 1e-320, 1e-60, 1e39, 1e308, float("inf"), float("-inf"), float("nan"), 0.5, 3.0])
ODD = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, FLOATS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("byte"), PLACES, st.integers(0, 255)),
        st.tuples(st.just("bit"), PLACES, st.integers(0, 7)),
        st.tuples(st.just("number"), PLACES, NUMBERS, st.sampled_from(["<H", "<I", "<Q", ">H", ">I", ">Q"])),
        st.tuples(st.just("insert"), PLACES, st.binary(max_size=16)),
        st.tuples(st.just("delete"), PLACES, st.integers(1, 200)),
        st.tuples(st.just("repeat"), PLACES, st.integers(1, 100), st.integers(1, 50)),
        st.tuples(st.just("copy"), PLACES, PLACES, st.integers(1, 100)),
        st.tuples(st.just("cut"), PLACES),
    ),
    min_size=1,
    max_size=5,
)


class Reader(NamedTuple):
    """`changed`: a strategy of contents; `target`: the file that gets them; `read`: reads it, or raises UserError."""

    target: Path
    changed: Any
    read: Callable[[], object]


def edited(content: bytes, edits: list) -> bytes:
    """The content after some edits."""
    data = bytearray(content)
    for kind, place, *values in edits:
        at = place % (len(data) + 1)
        if kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = values[0]
        elif kind == "delete":
            del data[at : at + values[0]]
        elif kind == "repeat":
            data[at:at] = data[at : at + values[0]] * values[1]
        elif kind == "copy":
            start = values[0] % (len(data) + 1)
            data[at : at + values[1]] = data[start : start + values[1]]
        elif kind == "number":
            width = struct.calcsize(values[1])
            data[at : at + width] = struct.pack(values[1], values[0] % 2 ** (8 * width))
        elif at < len(data):
            data[at] = values[0] if kind == "byte" else data[at] ^ (1 << values[0])
    return bytes(data)


def as_bytes(seeds: list):
    """Good files with some bytes changed."""
    return st.builds(edited, st.sampled_from(seeds), EDITS)


@st.composite
def as_json(draw, seeds: list):
    """Good JSON with one to three values replaced, removed or put elsewhere."""
    content = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        part = content
        while isinstance(part, (dict, list)) and part:
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            key = draw(st.sampled_from(keys))
            if not isinstance(part[key], (dict, list)) or not part[key] or draw(st.integers(0, 3)) == 0:
                action = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
                if action == "replace":
                    part[key] = draw(ODD)
                elif action == "remove":
                    del part[key]
                elif isinstance(part, dict):
                    part[draw(TEXTS)] = draw(ODD)
                else:
                    part.append(draw(ODD))
                break
            part = part[key]
    return content


def json_bytes(seeds: list):
    """The same as files, some of which are no JSON any more."""
    files = as_json(seeds).map(lambda content: json.dumps(content).encode())
    return st.one_of(files, files, files, as_bytes([json.dumps(seed).encode() for seed in seeds]))


YAML = st.sampled_from(
    ["!!int ''", "!!python/object/apply:os.system ['true']", "&a [*a]", "*a", "[" * 2000, "{" * 2000, "{a: {b: {c: 1}}}",
     "2001-13-45", "2001-01-01", "1:30:30", "0o777", "0x" + "f" * 3000, "9" * 5000, ".nan", ".inf", "1e999", "~", "yes",
     "!!float 'a'", "!!binary '@'", "!!timestamp ''", "!!set {a}", "!!omap [1]", "!!merge ''", "<<", "? a : b", "|\n  a\n b",
     "'\\x1b'", '"\\x1b[31m"', '"\\uD800"', "%TAG ! a", "---", "...", "\t", "- a\n- b", "'", '"', "a: b: c", "[1, [2, [3]]]"]
)  # fmt: skip
# Few letters that would become 9^8 values.
BOMB = ["a: &a [x,x,x,x,x,x,x,x,x]", *(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefg", "bcdefgh"))]


@st.composite
def as_yaml(draw, seeds: list):
    """Good YAML with some values replaced, lines repeated, and what YAML has beyond them."""
    lines = draw(st.sampled_from(seeds)).splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(PLACES) % len(lines)
        key = lines[at].partition(":")[0] or "lr"
        action = draw(st.sampled_from(["value", "value", "odd", "key", "repeat", "alias", "line"]))
        if action == "value":
            lines[at] = f"{key}: {draw(YAML)}"
        elif action == "odd":
            lines[at] = f"{key}: {json.dumps(draw(ODD))}"
        elif action == "key":
            lines[at] = f"{draw(YAML)}: 1"
        elif action == "repeat":
            lines.insert(at, lines[at])
        elif action == "alias":
            lines[at:at] = [*BOMB, f"{key}: *h"]
        else:
            lines.insert(at, draw(YAML))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


@st.composite
def as_message(draw, kind, seeds: list):
    """Good protobuf messages with one to three fields changed, whatever their depth."""
    message = kind()
    message.ParseFromString(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        part = message
        while True:
            inner = [value for field, value in part.ListFields() if field.message_type and not _is_map(field)]
            flat = [item for value in inner for item in (value if hasattr(value, "add") else [value])]
            if not flat or draw(st.integers(0, 4)) == 0:
                break
            part = flat[draw(PLACES) % len(flat)]
        plain = [field for field in part.DESCRIPTOR.fields if not _is_map(field)]
        _change(draw, part, draw(st.sampled_from(plain)))
    content = message.SerializePartialToString()
    return edited(content, draw(EDITS)) if draw(st.integers(0, 5)) == 0 else content


def _is_map(field) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _change(draw, part, field) -> None:
    value = getattr(part, field.name)
    repeated = hasattr(value, "extend")
    if draw(st.integers(0, 3)) == 0:
        part.ClearField(field.name)
    elif field.message_type:
        (value.add() if repeated else value).SetInParent()
    else:
        drawn = draw({"str": TEXTS, "bytes": st.binary(max_size=40), "float": FLOATS}.get(_python_type(field), NUMBERS))
        try:
            if repeated and len(value) and draw(st.booleans()):
                value[draw(PLACES) % len(value)] = drawn
            elif repeated:
                value.extend([drawn] * draw(st.integers(1, 5)))
            else:
                setattr(part, field.name, drawn)
        except (ValueError, TypeError, OverflowError):
            part.ClearField(field.name)  # what a message of this kind cannot hold


def _python_type(field) -> str:
    return {9: "str", 12: "bytes", 1: "float", 2: "float"}.get(field.type, "int")
