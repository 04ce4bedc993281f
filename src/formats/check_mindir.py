"""Looks through a MINDIR file before MindSpore loads it: such a file can ask for libraries and other files.

Messages and numbers of fields: MindSpore's mind_ir.proto. An encrypted file is not looked through: only who has its key can
have made it.
"""

from ..protobuf import Parts, block, text, walk
from .graph_file import check_values, last_text, once

# Those of the exports, and what other classifiers of images are made of. Not among them: Custom and all others that run
# code, write or read files, or print.
_OPERATORS = {
    "AdaptiveAvgPool2D", "Add", "AddN", "AvgPool", "BatchMatMul", "BatchNorm", "BiasAdd", "Cast", "Concat", "Conv2D",
    "Dense", "Depend", "DepthwiseConv2dNative", "Div", "Erf", "Exp", "ExpandDims", "Flatten", "GeLU", "HSigmoid", "HSwish",
    "Identity", "LayerNorm", "Load", "LogSoftmax", "MakeTuple", "MatMul", "MaxPool", "Maximum", "Minimum", "Mul", "Neg",
    "Pad", "PadV3", "Pow", "ReLU", "ReLU6", "RealDiv", "ReduceMean", "ReduceSum", "Reshape", "Return", "Rsqrt", "Shape",
    "SiLU", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt", "Square", "Squeeze", "Stack", "StridedSlice", "Sub", "Tanh",
    "TensorShape", "Tile", "Transpose", "TupleGetItem", "UpdateState",
}  # fmt: skip
_INNER = {
    ("model", 7): "graph", ("model", 8): "graph", ("model", 12): "primitive",
    ("graph", 1): "node", ("graph", 3): "tensor", ("graph", 5): "value", ("graph", 6): "value", ("graph", 8): "attribute",
    ("node", 5): "attribute", ("node", 8): "attribute", ("node", 9): "attribute",
    ("attribute", 6): "tensor", ("attribute", 12): "tensor", ("attribute", 17): "attribute", ("attribute", 18): "sequence",
    ("sequence", 2): "attribute", ("value", 2): "tensor", ("value", 5): "attribute", ("primitive", 3): "attribute",
}  # fmt: skip
# What no network here needs, by kind of message and number of field.
_REFUSED = {
    ("model", 9): "steps of a data pipeline", ("graph", 9): "another file", ("graph", 10): "tables of embeddings",
    ("attribute", 7): "a graph within an operator", ("attribute", 13): "graphs within an operator",
    ("attribute", 19): "functions for shapes", ("attribute", 20): "functions for shapes",
    ("tensor", 12): "a tensor outside the file",
}  # fmt: skip
_ONCE = {"model": (7,), "attribute": (6, 18), "tensor": (), "value": (5,), "sequence": (2,)}
_REFERENCE = "REF::"  # before the name of a primitive, which has its operator, or of a function


def check_mindir(content: memoryview) -> None:
    """Checks a whole file that is not encrypted.

    Raises:
        ValueError: no MINDIR; operators beyond those of image classifiers, above all Custom, which runs a library's code;
            tensors in other files; contradictory sizes.
    """
    names: set[str] = set()  # that nodes may refer to
    used: set[str] = set()

    def visit(kind: str, parts: Parts) -> None:
        for number, values in parts.items():
            if (kind, number) in _REFUSED and any(len(block(value)) for value in values):  # MindSpore writes empty texts
                raise ValueError(f"it holds {_REFUSED[kind, number]}")
        once(parts, *_ONCE.get(kind, ()))
        if kind == "model":
            if 7 not in parts:
                raise ValueError("it has no graph")
        elif kind == "graph":
            names.update(map(text, parts.get(2, ())))
        elif kind == "primitive":
            once(parts, 1, 2)
            names.add(last_text(parts, 1))
            _check_operator(last_text(parts, 2) or last_text(parts, 1))
        elif kind == "node":
            operator = last_text(parts, 4)
            used.add(operator)
            if not operator.startswith(_REFERENCE) and operator not in ("Constant", "Parameter"):
                _check_operator(operator)
        elif kind == "tensor":
            if parts.get(16, [0])[-1] != 0:
                raise ValueError("a compressed tensor")
            check_values(parts)

    walk(content, "model", _INNER, visit)
    unknown = {name[len(_REFERENCE) :] for name in used if name.startswith(_REFERENCE)} - names
    if unknown:
        raise ValueError(f"an operator that it does not describe, {min(unknown)[:50]!r}")


def _check_operator(name: str) -> None:
    if name not in _OPERATORS:
        raise ValueError(f"the operator {name[:50]!r}, which is not among those of image classifiers")
