"""The operators of kernels/ as MindSpore primitives: shapes, types and gradients.

Activations x, y are (N, C/b, H, W, b), float32 or bfloat16; weights, scales and statistics are float32. What an operator is
configured with is a small constant tensor, `config`. Where a gradient is named that nobody asks for (of a configuration, of
running statistics) it is the input itself, whose shape and type fit: tensors of zeros there take seconds to compile.
"""

import ctypes
import functools
from typing import Any

import mindspore as ms
from mindspore import ops

from ..device import kernel_threads
from .libraries import find

f32 = ms.float32


@functools.lru_cache(None)
def _library() -> str:
    """The path of the operators of this process, which get their threads."""
    path = str(find().path)
    ctypes.CDLL(path).blocked_set_threads(kernel_threads())
    return path


def _operator(function: str, shape: Any, dtype: Any, bprop: Any = None, variant: Any = "") -> ops.Custom:
    """`variant` tells apart operators of one function with other results: PyNative mode knows them by their attributes."""
    made = ops.Custom(f"{_library()}:{function}", shape, dtype, "aot", bprop=bprop)
    made.add_prim_attr("variant", str(variant))
    return made


def _like(index: int) -> Any:
    """Shape or type of the input `index`."""
    return lambda *inputs: inputs[index]


@functools.lru_cache(None)
def convolution(stride: int, same: bool, out_type: Any) -> ops.Custom:
    """x (or an image), weights (C_out, C_in / groups, K, K), config -> y, of `out_type` or else of x's type."""
    to_data = _operator("convolution_backward_data", _like(2), _like(2))
    to_weights = _operator("convolution_backward_weights", _like(2), _like(2))

    def bprop(x, weights, config, out, dout):
        return to_data(dout, weights, x, config), to_weights(dout, x, weights, config), config

    return _operator(
        "convolution_forward", _convolved(stride, same), lambda x, *_: out_type or x, bprop, (stride, same, out_type)
    )


@functools.lru_cache(None)
def folded_convolution(stride: int, same: bool, add: bool) -> ops.Custom:
    """x (or an image), weights, bias, config[, other] -> convolution + bias[ + other], through ReLU if config says so."""
    name = "convolution_inference_add" if add else "convolution_inference"
    return _operator(name, _convolved(stride, same), _like(0), variant=(stride, same))


def _convolved(stride: int, same: bool) -> Any:
    block = find().block

    def shape(x, weights, *_):
        return [x[0], weights[0] // block, *(windows(size, weights[2], stride, same) for size in x[2:4]), block]

    return shape


def windows(size: int, kernel: int, stride: int, same: bool) -> int:
    """How many windows there are along `size` pixels."""
    return -(-size // stride) if same else (size + 2 * ((kernel - 1) // 2) - kernel) // stride + 1


@functools.lru_cache(None)
def pool(kernel: int, stride: int, same: bool) -> ops.Custom:
    """x, config -> y, where the maxima lie."""

    def shape(x, config):
        made = [*x[:2], *(windows(size, kernel, stride, same) for size in x[2:4]), x[4]]
        return made, made

    back = _operator("pool_backward", _like(2), _like(2))

    def bprop(x, config, out, dout):
        return back(dout[0], out[1], x, config), config

    return _operator("pool_forward", shape, lambda x, config: (x, ms.uint8), bprop, (kernel, stride, same))


@functools.lru_cache(None)
def norm() -> ops.Custom:
    """x, gamma, beta, running mean, running variance, config -> y, mean, 1 / deviation, the new running statistics."""
    back = _operator("norm_backward", lambda dy, x, g, *_: (x, g, g), lambda dy, x, *_: (x, f32, f32))

    def bprop(x, gamma, beta, mean, variance, config, out, dout):
        dx, dgamma, dbeta = back(dout[0], x, gamma, beta, out[1], out[2], config)
        return dx, dgamma, dbeta, mean, variance, config

    return _operator("norm_forward", lambda x, g, *_: (x, g, g, g, g), lambda x, *_: (x, f32, f32, f32, f32), bprop)


@functools.lru_cache(None)
def norm_add() -> ops.Custom:
    """The same with another tensor, as the last input, that is added before ReLU."""
    back = _operator("norm_backward_add", lambda dy, x, g, *_: (x, g, g, x), lambda dy, x, *_: (x, f32, f32, x))

    def bprop(x, gamma, beta, mean, variance, config, other, out, dout):
        dx, dgamma, dbeta, dother = back(dout[0], x, gamma, beta, out[1], out[2], config, out[0])
        return dx, dgamma, dbeta, mean, variance, config, dother

    return _operator("norm_forward_add", lambda x, g, *_: (x, g, g, g, g), lambda x, *_: (x, f32, f32, f32, f32), bprop)


@functools.lru_cache(None)
def mean() -> ops.Custom:
    """x -> its mean over the pixels, float32 (N, C/b, 1, 1, b), which lies in memory like (N, C)."""
    back = _operator("mean_backward", _like(1), _like(1))

    def bprop(x, out, dout):
        return (back(dout, x),)

    return _operator("mean_forward", lambda x: [*x[:2], 1, 1, x[4]], lambda x: f32, bprop)


@functools.lru_cache(None)
def scale(radix: int) -> ops.Custom:
    """x (N, R * C/b, H, W, b), scale (N, R * C/b, 1, 1, b) -> sum of the R scaled runs of channels, (N, C/b, H, W, b)."""
    back = _operator("scale_backward", lambda dy, x, s: (x, s), lambda dy, x, s: (x, f32))

    def bprop(x, factors, out, dout):
        dx, dfactors = back(dout, x, factors)
        return dx, dfactors

    return _operator("scale_forward", lambda x, s: [x[0], x[1] // radix, *x[2:]], _like(0), bprop, radix)


@functools.lru_cache(None)
def scale_add() -> ops.Custom:
    """x, scale (N, C/b, 1, 1, b), other -> ReLU(x * scale + other)."""
    back = _operator("scale_backward_add", lambda dy, x, s, y: (x, s, x), lambda dy, x, s, y: (x, f32, x))

    def bprop(x, factors, other, out, dout):
        dx, dfactors, dother = back(dout, x, factors, out)
        return dx, dfactors, dother

    return _operator("scale_forward_add", _like(0), _like(0), bprop)


@functools.lru_cache(None)
def total() -> ops.Custom:
    """a, b -> a + b; MindSpore's own takes no bfloat16. Has no gradient."""
    return _operator("sum", _like(0), _like(0))


@functools.lru_cache(None)
def shortcut(added: int, stride: int) -> ops.Custom:
    """x, config -> every `stride`-th pixel of x, with `added` more channels of zeros."""

    def shape(x, config):
        return [x[0], x[1] + added // x[4], *(windows(size, 1, stride, False) for size in x[2:4]), x[4]]

    back = _operator("shortcut_backward", _like(1), _like(1))

    def bprop(x, config, out, dout):
        return back(dout, x, config), config

    return _operator("shortcut_forward", shape, _like(0), bprop, (added, stride))
