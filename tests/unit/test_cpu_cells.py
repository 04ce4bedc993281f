"""The blocked cells against MindSpore's own: results, all gradients, running statistics.

ReLU's inputs are kept clear of 0, where two correct implementations may fall on either side.
"""

import mindspore as ms
import numpy as np
import pytest
from exact import in_float64
from mindspore import nn, ops

from src.cpu import cells, libraries
from src.models import blocked, layers
from src.models.layers import Layers
from src.networks.spec import ResNetSpec

LIMIT = 1e-5
SPEC = ResNetSpec("bottleneck", (1, 1, 1, 1), "")
SAME = ResNetSpec("bottleneck", (1, 1, 1, 1), "", padding="same")
rng = np.random.default_rng()


@pytest.fixture(autouse=True)
def seeded(request):
    """Numbers of each test's own, whichever tests run before it."""
    rng.bit_generator.state = np.random.default_rng(list(request.node.name.encode())).bit_generator.state
    ms.set_seed(1)


@pytest.fixture(scope="module", autouse=True)
def built():
    """Builds what is not current; PyNative mode, as nothing here needs compiling."""
    try:
        libraries.build()
        libraries.check()
    except libraries.UnavailableError as error:
        pytest.skip(f"no blocked kernels: {error}")
    mode = ms.get_context("mode")
    ms.set_context(mode=ms.PYNATIVE_MODE)
    yield
    ms.set_context(mode=mode)


FORM = {"channels_last": False}


@pytest.fixture(params=[False, True], ids=["blocked", "channels_last"])
def form(request, monkeypatch):
    """Both forms of activations. Channels last is for bfloat16 with AMX, but float32 tells mistakes from rounding."""
    monkeypatch.setitem(FORM, "channels_last", request.param)


def block(plain):
    n, c, h, w = plain.shape
    b = c if FORM["channels_last"] else libraries.find().block
    return np.ascontiguousarray(plain.reshape(n, c // b, b, h, w).transpose(0, 1, 3, 4, 2))


def plain(blocked):
    n, blocks, h, w, b = blocked.shape
    return blocked.transpose(0, 1, 4, 2, 3).reshape(n, blocks * b, h, w)


def image(*shape):
    return rng.standard_normal(shape, dtype=np.float32)


def difference(found, expected, floor=1e-30):
    """Relative, by root mean squares."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    return float(np.sqrt(np.mean((found - expected) ** 2)) / max(np.sqrt(np.mean(expected**2)), floor))


def run(cell, inputs, dy):
    """Result, gradients of inputs and of parameters, values of the parameters afterwards."""
    weights = cell.trainable_params()
    tensors = [ms.Tensor(value) for value in inputs]

    def loss(*inputs):
        y = cell(*inputs)
        return (y * ms.Tensor(dy)).sum(), y

    step = ms.value_and_grad(loss, tuple(range(len(inputs))), weights or None, has_aux=True)
    (_, y), gradients = step(*tensors)
    of_inputs, of_weights = gradients if weights else (gradients, ())
    of_inputs = (of_inputs,) if isinstance(of_inputs, ms.Tensor) else of_inputs
    parameters = [parameter.asnumpy().copy() for parameter in cell.get_parameters()]
    return y.asnumpy(), [g.asnumpy() for g in of_inputs], [g.asnumpy() for g in of_weights], parameters


def share_weights(stock, ours):
    for theirs, mine in zip(stock.get_parameters(), ours.get_parameters()):
        assert theirs.shape == mine.shape
        mine.set_data(ms.Tensor(theirs.asnumpy().copy()))


def compare(stock, ours, inputs, output_shape, image_in=False, training=True, dw_limit=LIMIT):
    share_weights(stock, ours)
    for _, cell in ours.cells_and_names():
        if hasattr(cell, "give"):
            cell.give(ms.float32, FORM["channels_last"])
    stock.set_train(training)
    ours.set_train(training)
    dy = image(*output_shape)
    y, dx, dw, state = run(stock, inputs, dy)
    their_inputs = inputs if image_in else [block(value) for value in inputs]
    by, bdx, bdw, bstate = run(ours, their_inputs, block(dy))
    found = {"y": difference(plain(by), y)}
    if not image_in:
        found["dx"] = max(difference(plain(a), b) for a, b in zip(bdx, dx))
    found["dw"] = max(weight_differences(bdw, dw), default=0)
    found["parameters"] = max((difference(a, b) for a, b in zip(bstate, state)), default=0)
    assert found.pop("dw") <= dw_limit and max(found.values()) <= LIMIT, found


def weight_differences(found, expected):
    """Of each gradient. One that is 0 but for rounding, as of what a batch norm takes away, is measured by the others."""
    floor = 0.2 * max((np.sqrt(np.mean(values**2)) for values in expected), default=0)
    return [difference(a, b, floor) for a, b in zip(found, expected)]


def compare_rounding(stock, ours, exact, draw, output_shape, draws=4):
    """Holds gradients of weights of blocked and stock cells against float64, as root mean squares over random inputs.

    For gradients that are differences of large numbers, where rounding takes two correct float32 kernels far apart: ours
    must be about as close to the true ones as the stock ones are.
    """
    share_weights(stock, ours)
    share_weights(stock, exact)
    exact = in_float64(exact)
    errors = []
    for _ in range(draws):
        x, dy = draw(), image(*output_shape)
        true = run(exact.set_train(), [x.astype(np.float64)], dy.astype(np.float64))[2]
        assert {values.dtype for values in true} == {np.dtype(np.float64)}
        found = run(stock.set_train(), [x], dy)[2], run(ours.set_train(), [block(x)], block(dy))[2]
        errors.append([weight_differences(values, true) for values in found])
    theirs, mine = np.sqrt(np.mean(np.square(errors), 0))
    assert (mine <= np.maximum(LIMIT, 4 * theirs)).all(), (mine, theirs)


@pytest.mark.parametrize(
    ("channels", "out", "size", "kernel", "stride", "groups", "same"),
    [
        (3, 64, 17, 7, 2, 1, False), (3, 32, 16, 3, 2, 1, True), (3, 16, 8, 3, 1, 1, False), (32, 64, 9, 1, 1, 1, False),
        (32, 64, 9, 1, 2, 1, False), (32, 32, 9, 3, 1, 1, False), (32, 32, 10, 3, 2, 1, False), (32, 32, 10, 3, 2, 1, True),
        (64, 64, 9, 3, 2, 16, False), (128, 128, 8, 3, 1, 32, False), (128, 128, 7, 3, 2, 16, True),
        (80, 160, 6, 3, 1, 4, False), (32, 64, 6, 3, 1, 2, False), (96, 96, 7, 3, 1, 4, False),
        (1, 64, 17, 7, 2, 1, False), (1, 16, 8, 3, 1, 1, False),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("form")
def test_convolution(channels, out, size, kernel, stride, groups, same):
    spec = SAME if same else SPEC
    stock = Layers(spec).conv(channels, out, kernel, stride, groups)
    ours = blocked.BlockedLayers(spec).conv(channels, out, kernel, stride, groups)
    side = -(-size // stride)
    compare(stock, ours, [image(2, channels, size, size + 1)], (2, out, side, -(-(size + 1) // stride)), channels < 8)


class Ended(nn.Cell):
    """Batch norm, the sum with another tensor if there is one, ReLU."""

    def __init__(self, norm, relu):
        super().__init__()
        self.norm, self.relu = norm, nn.ReLU() if relu else nn.Identity()

    def construct(self, x, other=None):
        return self.relu(self.norm(x) if other is None else self.norm(x) + other)


def norm_of(channels):
    """Outputs of half the channels lie above 0, of the others below."""
    norm = layers.batch_norm(channels)
    values = {"gamma": (0.3, 0.6), "moving_mean": (-1, 1), "moving_variance": (0.5, 2)}
    for name, (low, high) in values.items():
        getattr(norm, name).set_data(ms.Tensor(rng.uniform(low, high, channels).astype(np.float32)))
    norm.beta.set_data(ms.Tensor(np.where(np.arange(channels) % 3, 8, -8).astype(np.float32)))
    return norm


def our_norm(channels, relu):
    norm = layers.batch_norm(channels, kind=cells.BatchNorm2d)
    norm.fuse_relu(relu)
    return norm


@pytest.mark.parametrize("images", [1, 2, 7])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("add", [False, True])
@pytest.mark.usefixtures("form")
def test_batch_norm(images, training, relu, add):
    x = image(images, 48, 9, 8) * 3 + 2
    compare(Ended(norm_of(48), relu), our_norm(48, relu), [x, image(*x.shape)][: 1 + add], x.shape, training=training)


def test_a_frozen_batch_norm_keeps_its_statistics():
    stock, ours = norm_of(16), our_norm(16, False)
    stock.use_batch_statistics = ours.use_batch_statistics = False
    x = image(2, 16, 5, 5)
    compare(stock, ours, [x], x.shape)


@pytest.mark.parametrize("size", [14, 15])
@pytest.mark.parametrize("spec", [SPEC, SAME], ids=["symmetric", "same"])
@pytest.mark.usefixtures("form")
def test_pools(size, spec):
    stock, ours, x, half = Layers(spec), blocked.BlockedLayers(spec), image(2, 32, size, size + 1), -(-size // 2)
    shape = (2, 32, half, size // 2 + 1 if size % 2 == 0 else (size + 1) // 2)
    shape = (2, 32, half, -(-(size + 1) // 2))
    compare(stock.max_pool(), ours.max_pool(), [x], shape)
    compare(stock.average_pool(2), ours.average_pool(2), [x], shape)
    compare(stock.average_pool(1), ours.average_pool(1), [x], x.shape)
    compare(stock.halving_pool(), ours.halving_pool(), [x], shape)


class Weighed(nn.Cell):
    """ReLU of the activations, times the factors that a cell gives, plus another tensor."""

    def __init__(self, factors):
        super().__init__()
        self.factors = factors

    def construct(self, x, other):
        return blocked.operators.scale_add()(x, self.factors(x), other)


class WeighedByStock(Weighed):
    def construct(self, x, other):
        return ops.relu(self.factors(x) + other)


@pytest.mark.usefixtures("form")
def test_squeeze_excitation():
    x = image(2, 64, 6, 5)
    other = np.where(rng.random((1, 64, 1, 1)) < 0.5, 30, -30) + image(*x.shape)
    stock, ours = layers.SqueezeExcitation(64), blocked.SqueezeExcitation(64)
    compare(WeighedByStock(stock), Weighed(ours), [x, other.astype(np.float32)], x.shape)


@pytest.mark.parametrize(("radix", "groups"), [(1, 1), (2, 1), (2, 2), (4, 2)])
@pytest.mark.usefixtures("form")
def test_split_attention(radix, groups):
    spec = ResNetSpec("split", (1,), "", radix=radix, groups=groups)
    stock, ours, exact = (kind(spec).split_attention(32, 0.0) for kind in (Layers, blocked.BlockedLayers, Layers))
    channels = 32 * radix
    stock.bn0.beta.set_data(ms.Tensor(np.where(np.arange(channels) % 3, 8, -8).astype(np.float32)))

    def draw():
        return image(6, 32, 6, 6) * 0.2 + image(6, 32, 1, 1)

    x = draw()
    compare(stock, ours, [x], x.shape, dw_limit=1e-4)
    if groups < radix and not FORM["channels_last"]:  # two of the four: float64 takes seconds
        compare_rounding(stock, ours, exact, draw, x.shape)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.usefixtures("form")
def test_parameter_free_shortcut(stride):
    x = image(2, 16, 7, 6)
    stock, ours = layers.PadShortcut(16, 32, stride), cells.PadShortcut(16, 32, stride)
    compare(stock, ours, [x], (2, 32, -(-7 // stride), -(-6 // stride)))


@pytest.mark.usefixtures("form")
def test_random_layers_have_the_stock_masks():
    spec = ResNetSpec("split", (1,), "")
    x = np.abs(image(6, 32, 8, 8)) + 1
    for name in ("drop_block", "drop_path"):
        stock, ours = getattr(Layers(spec), name)(0.4), getattr(blocked.BlockedLayers(spec), name)(0.4)
        stock.set_train(), ours.set_train()
        expected = stock(ms.Tensor(x)).asnumpy()
        assert (expected == 0).any()
        found = ours(ms.Tensor(block(x))).asnumpy()
        found = plain(found) if name == "drop_block" else plain(np.broadcast_to(found, block(x).shape)) * x
        assert difference(found, expected) < 1e-6


def test_results_repeat_bit_for_bit():
    """Whatever the threads' timing."""
    layers_of = blocked.BlockedLayers(SPEC)
    cell = nn.SequentialCell(
        layers_of.conv(64, 64, 3), layers_of.batch_norm(64, relu=True), layers_of.max_pool()
    ).set_train()
    x, dy = block(image(5, 64, 13, 13)), block(image(5, 64, 7, 7))
    first = run(cell, [x], dy)
    for _ in range(20):
        again = run(cell, [x], dy)
        for found, expected in zip(again[:3], first[:3]):
            for one, other in zip(found, expected):
                np.testing.assert_array_equal(one, other)
