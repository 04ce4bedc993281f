"""Names of networks and what they stand for. Needs no MindSpore, so that configurations can be checked without it."""

import difflib
from typing import Any

from ..errors import UserError
from .spec import ResNetSpec

ALIASES = {
    "resnext152": "resnext152_64x4d",
    # the ResNeSt authors' names; the letters d and e are timm's
    "resnest14": "resnest14d",
    "resnest26": "resnest26d",
    "resnest50": "resnest50d",
    "resnest101": "resnest101e",
    "resnest200": "resnest200e",
    "resnest269": "resnest269e",
    **{
        f"resnest50_fast_{variant}": f"resnest50d_{variant}"
        for variant in ("1s1x64d", "2s1x64d", "4s1x64d", "1s2x40d", "2s2x40d", "4s2x40d", "1s4x24d")
    },
}
_MODELS: dict[str, ResNetSpec] = {}


def register(name: str, spec: ResNetSpec) -> None:
    """Adds a network; a name that is taken already is a programming error."""
    if name in _MODELS or name in ALIASES:
        raise ValueError(f"network '{name}' is registered twice")
    _MODELS[name] = spec


def list_models() -> list[str]:
    """Names of all networks, in the order of their families and depths."""
    return list(_MODELS)


def canonical_name(name: str) -> str:
    """The name that a network is registered under: an alias's network, any other name as it is."""
    return ALIASES.get(name, name)


def find_model(name: str) -> ResNetSpec:
    """The description of a network. Raises UserError with the nearest names for an unknown one."""
    spec = _MODELS.get(canonical_name(name))
    if spec is None:
        near = difflib.get_close_matches(name, [*_MODELS, *ALIASES], n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "python -m src.models lists them"
        raise UserError(f"backbone: unknown network '{name}'; {hint}")
    return spec


_HE = "He et al. 2015, arXiv 1512.03385"
_XIE = "Xie et al. 2016, arXiv 1611.05431"
_STAGES = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}

register("resnet18", ResNetSpec("basic", (2, 2, 2, 2), f"{_HE}, table 1"))
register("resnet34", ResNetSpec("basic", (3, 4, 6, 3), f"{_HE}, table 1"))
for _depth, _sizes in _STAGES.items():
    register(f"resnet{_depth}", ResNetSpec("bottleneck", _sizes, f"{_HE}, table 1"))

for _depth, _groups, _width in [(50, 32, 4), (101, 32, 4), (101, 32, 8), (101, 64, 4), (152, 64, 4)]:
    register(
        f"resnext{_depth}_{_groups}x{_width}d",
        ResNetSpec("bottleneck", _STAGES[_depth], f"{_XIE}, section 5.1", groups=_groups, base_width=_width),
    )

for _depth in (50, 101):
    register(
        f"wide_resnet{_depth}_2",
        ResNetSpec("bottleneck", _STAGES[_depth], "Zagoruyko and Komodakis 2016, arXiv 1605.07146, table 8", base_width=128),
    )

_HU = "Hu et al. 2017, arXiv 1709.01507, table 2"
register("seresnet50", ResNetSpec("bottleneck", _STAGES[50], _HU, squeeze=True))
for _depth in (50, 101):
    register(
        f"seresnext{_depth}_32x4d", ResNetSpec("bottleneck", _STAGES[_depth], _HU, groups=32, base_width=4, squeeze=True)
    )

_D: dict[str, Any] = {"stem": "deep", "shortcut": "pooled"}
register("resnet50d", ResNetSpec("bottleneck", _STAGES[50], "He et al. 2018, arXiv 1812.01187, figure 2", **_D))

_ZHANG = "Zhang et al. 2020, arXiv 2004.08955"
for _name, _sizes, _stem_width, _image_size in [
    ("resnest14d", (1, 1, 1, 1), 32, 224),
    ("resnest26d", (2, 2, 2, 2), 32, 224),
    ("resnest50d", (3, 4, 6, 3), 32, 224),
    ("resnest101e", (3, 4, 23, 3), 64, 256),
    ("resnest200e", (3, 24, 36, 3), 64, 320),
    ("resnest269e", (3, 30, 48, 8), 64, 416),
]:
    register(
        _name,
        ResNetSpec("split", _sizes, f"{_ZHANG}, table 3", radix=2, stem_width=_stem_width, image_size=_image_size, **_D),
    )
for _radix, _groups, _width in [(1, 1, 64), (2, 1, 64), (4, 1, 64), (1, 2, 40), (2, 2, 40), (4, 2, 40), (1, 4, 24)]:
    register(
        f"resnest50d_{_radix}s{_groups}x{_width}d",
        ResNetSpec(
            "split",
            _STAGES[50],
            f"{_ZHANG}, table 2",
            radix=_radix,
            groups=_groups,
            base_width=_width,
            pool_first=True,
            **_D,
        ),
    )

for _depth in (20, 32, 44, 56, 110):  # 6n + 2 layers
    register(
        f"resnet{_depth}",
        ResNetSpec(
            "basic", ((_depth - 2) // 6,) * 3, f"{_HE}, section 4.2", stem="cifar", width=16, shortcut="pad", image_size=32
        ),
    )

for _groups in (8, 16):
    register(
        f"resnext29_{_groups}x64d",
        ResNetSpec("bottleneck", (3, 3, 3), f"{_XIE}, section 5.3", groups=_groups, stem="cifar", image_size=32),
    )

register(
    "resnext11_8x16d",
    ResNetSpec(
        "bottleneck",
        (1, 1, 1),
        f"after {_XIE}, section 5.3: one block per stage, a quarter of the width; for the quickstart",
        groups=8,
        base_width=16,
        stem="cifar",
        width=32,
        image_size=32,
    ),
)
