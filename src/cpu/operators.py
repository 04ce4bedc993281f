"""The operators of kernels/ as MindSpore primitives: shapes, types and gradients.

Activations x, y are (N, C/b, H, W, b), with channels last (N, 1, H, W, C), float32 or bfloat16; weights, scales and
statistics are float32. What an operator is configured with is a small constant tensor, `config`, its first input. Where a
gradient is named that nobody asks for (of a configuration, of running statistics) it is the input itself, whose shape and
type fit: tensors of zeros there take seconds to compile.
"""

import ctypes
import functools
from typing import Any

import mindspore as ms
from mindspore import ops
from mindspore.ops import signature as sig

from ..device import kernel_threads
from .libraries import find


@functools.lru_cache(None)
def _library() -> str:
    """The path of the operators of this process, which get their threads."""
    path = str(find().path)
    ctypes.CDLL(path).blocked_set_threads(kernel_threads())
    return path


def _operator(function: str, shape: Any, dtype: Any = None, bprop: Any = None, variant: Any = "") -> ops.Custom:
    """An operator, of inputs' shapes (and of their types, unless `dtype` is given) -> those of its results.

    `variant` tells apart operators of one function with other results: PyNative mode knows them by their attributes.
    """
    made = ops.Custom(f"{_library()}:{function}", shape, dtype or shape, "aot", bprop=bprop)
    made.add_prim_attr("variant", str(variant))
    return made


def _like(*indices: int) -> Any:
    """Results with the shapes or types of these inputs."""
    return lambda *inputs: inputs[indices[0]] if len(indices) == 1 else tuple(inputs[index] for index in indices)


@functools.lru_cache(None)
def convolution(stride: int, same: bool, out_type: Any = ms.float32, channels_last: bool = False) -> ops.Custom:
    """config, x (or an image), weights (C_out, C_in / groups, K, K) -> y, of `out_type`; with channels last b is C_out.

    With two more inputs, bias and a tensor like y, these are added; config says whether ReLU follows. Then no gradients.
    """
    to_data = _operator("convolution_backward_data", _like(3))
    to_weights = _operator("convolution_backward_weights", _like(3))

    def shape(config, x, weights, *_):
        block = weights[0] if channels_last else find().block
        return [x[0], weights[0] // block, *(windows(size, weights[2], stride, same) for size in x[2:4]), block]

    def bprop(config, x, weights, out, dout):
        return config, to_data(config, dout, weights, x), to_weights(config, dout, x, weights)

    return _operator("convolution_forward", shape, out_type, bprop, (stride, same, out_type, channels_last))


def windows(size: int, kernel: int, stride: int, same: bool) -> int:
    """How many windows there are along `size` pixels."""
    return -(-size // stride) if same else (size + 2 * ((kernel - 1) // 2) - kernel) // stride + 1


@functools.lru_cache(None)
def pool(kernel: int, stride: int, same: bool) -> ops.Custom:
    """config, x -> y, where the maxima lie."""

    def shape(config, x):
        made = [*x[:2], *(windows(size, kernel, stride, same) for size in x[2:4]), x[4]]
        return made, made

    back = _operator("pool_backward", _like(3))

    def bprop(config, x, out, dout):
        return config, back(config, dout[0], out[1], x)

    return _operator("pool_forward", shape, lambda config, x: (x, ms.uint8), bprop, (kernel, stride, same))


@functools.lru_cache(None)
def norm(adds: bool) -> ops.Custom:
    """config, x, gamma, beta, running mean and variance -> y, mean, 1 / deviation, the new running mean and variance.

    Args:
        adds: whether there is one more input, which is added before ReLU.
    """
    back, back_add = _operator("norm_backward", _like(2, 3, 3)), _operator("norm_backward", _like(2, 3, 3, 2), variant="add")

    def bprop(config, x, gamma, beta, mean, variance, out, dout):
        dx, dgamma, dbeta = back(config, dout[0], x, gamma, beta, out[1], out[2])
        return config, dx, dgamma, dbeta, mean, variance

    def bprop_add(config, x, gamma, beta, mean, variance, other, out, dout):
        dx, dgamma, dbeta, dother = back_add(config, dout[0], x, gamma, beta, out[1], out[2], out[0])
        return config, dx, dgamma, dbeta, mean, variance, dother

    return _operator("norm_forward", _like(1, 2, 2, 2, 2), bprop=bprop_add if adds else bprop, variant=adds)


@functools.lru_cache(None)
def mean() -> ops.Custom:
    """x -> its mean over the pixels, float32 (N, C/b, 1, 1, b), which lies in memory like (N, C)."""
    back = _operator("mean_backward", _like(1))

    def bprop(x, out, dout):
        return (back(dout, x),)

    return _operator("mean_forward", lambda x: [*x[:2], 1, 1, x[4]], lambda x: ms.float32, bprop)


@functools.lru_cache(None)
def scale(radix: int) -> ops.Custom:
    """x (N, R * C/b, H, W, b), scale (N, R * C/b, 1, 1, b) -> sum of the R scaled runs of channels, (N, C/b, H, W, b)."""
    back = _operator("scale_backward", _like(1, 2))

    def bprop(x, factors, out, dout):
        dx, dfactors = back(dout, x, factors)
        return dx, dfactors

    def shape(x, factors):
        return [*x[:4], x[4] // radix] if x[1] == 1 else [x[0], x[1] // radix, *x[2:]]

    return _operator("scale_forward", shape, _like(0), bprop, radix)


@functools.lru_cache(None)
def scale_add() -> ops.Custom:
    """x, scale (N, C/b, 1, 1, b), other -> ReLU(x * scale + other)."""
    back = _operator("scale_backward", _like(1, 2, 1), variant="add")

    def bprop(x, factors, other, out, dout):
        dx, dfactors, dother = back(dout, x, factors, out)
        return dx, dfactors, dother

    return _operator("scale_forward", _like(0), bprop=bprop, variant="add")


@functools.lru_cache(None)
def total() -> ops.Custom:
    """a, b -> a + b; MindSpore's own takes no bfloat16. Has no gradient."""
    return _operator("sum", _like(0))


def _in_place(function: str, read: str, written: str, also_read: str) -> ops.Custom:
    """An operator that changes some of its inputs, whose names stand in this order, and has no result of use."""
    inputs = [sig.make_sig(name) for name in read.split()]
    inputs += [sig.make_sig(name, sig.sig_rw.RW_WRITE) for name in written.split()]
    inputs += [sig.make_sig(name) for name in also_read.split()]
    kind = type("InPlace", (ops.Custom,), {"__mindspore_signature__": tuple(inputs)})
    made = kind(f"{_library()}:{function}", [1], ms.float32, "aot")
    made.add_prim_attr("side_effect_mem", True)
    return made


@functools.lru_cache(None)
def momentum() -> ops.Custom:
    """config (momentum, weight decay, Nesterov's, share), learning rate, weight, velocity, gradient: a step of SGD."""
    return _in_place("momentum", "config rate", "weight velocity", "gradient")


@functools.lru_cache(None)
def adamw() -> ops.Custom:
    """config, learning rate, what the means are divided by, weight, mean, square, gradient: a step of AdamW.

    config: both betas, each followed by 1 - beta; epsilon, weight decay, share of the rate.
    """
    return _in_place("adamw", "config rate mean_share square_share", "weight mean square", "gradient")


@functools.lru_cache(None)
def average() -> ops.Custom:
    """decay, average, value: moves the average."""
    return _in_place("average", "decay", "average", "value")


@functools.lru_cache(None)
def add_share() -> ops.Custom:
    """config (batches), number of the batch from 0, int32 (), mean, gradient: begins a mean over the batches, or goes on."""
    return _in_place("add_share", "config batch", "mean", "gradient")


@functools.lru_cache(None)
def square_sum() -> ops.Custom:
    """gradient -> the sum of its squares, float32 (1,)."""
    return _operator("square_sum", lambda gradient: [1], _like(0))


@functools.lru_cache(None)
def clip() -> ops.Custom:
    """config (largest norm), norm of all gradients, both float32 (1,), gradient -> the gradient at the norm or below."""
    return _operator("clip", _like(2))
