"""ResNet, ResNeXt, SE-ResNeXt, Wide ResNet and ResNeSt with MindSpore: train, evaluate, export, classify.

    import resnet_zoo as zoo

    model = zoo.load("best.ckpt")  # or .onnx, .mindir, .safetensors, .pth
    model.predict("cat.jpg")  # [Prediction(name="cat", index=3, probability=0.98), ...]

MindSpore is imported when it is first needed, after its environment is prepared (src/device.py).
"""

from typing import Any

from .errors import UserError
from .networks.registry import list_models
from .version import __version__

__all__ = ["Accuracy", "Model", "Prediction", "UserError", "__version__", "create_model", "list_models", "load"]  # noqa: F822 - __getattr__


def __getattr__(name: str) -> Any:
    """What needs MindSpore (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import device

    device.set_environment()  # before MindSpore is imported
    from . import library

    return getattr(library, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
