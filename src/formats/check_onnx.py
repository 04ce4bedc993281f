"""Looks through an ONNX file before a library opens it: what reaches out of the file, or contradicts itself, is refused.

Messages and numbers of fields: onnx.proto.
"""

from ..protobuf import Parts, walk
from .graph_file import check_values, last_text, once

_INNER = {
    ("model", 7): "graph",
    ("graph", 1): "node", ("graph", 5): "tensor", ("graph", 15): "sparse",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor", ("attribute", 10): "tensor", ("attribute", 6): "graph", ("attribute", 11): "graph",
    ("attribute", 22): "sparse", ("attribute", 23): "sparse",
    ("sparse", 1): "tensor", ("sparse", 2): "tensor",
}  # fmt: skip


def check_onnx(content: memoryview) -> None:
    """Checks a whole file.

    Raises:
        ValueError: no ONNX; tensors in other files or at addresses in memory; operators that are not ONNX's own; functions,
            training steps or graphs within operators (loops), which no classifier here has; contradictory sizes.
    """
    walk(content, "model", _INNER, _visit)


def _visit(kind: str, parts: Parts) -> None:
    if kind == "model":
        once(parts, 7)
        if 7 not in parts:
            raise ValueError("it has no graph")
        if 20 in parts or 25 in parts:
            raise ValueError("it has functions or training steps of its own")
    elif kind == "node":
        if last_text(parts, 7) not in ("", "ai.onnx"):
            operator, domain = last_text(parts, 4), last_text(parts, 7)
            raise ValueError(f"the operator {operator[:50]!r} of the domain {domain[:50]!r}; only ONNX's own are accepted")
    elif kind == "attribute":
        once(parts, 5, 22)
        if 6 in parts or 11 in parts:
            raise ValueError("a graph within an operator")
    elif kind == "sparse":
        once(parts, 1, 2)
    elif kind == "tensor":
        if 13 in parts or parts.get(14, [0])[-1] != 0:
            raise ValueError(f"the tensor {last_text(parts, 8)[:50]!r} is kept outside the file")
        check_values(parts)
