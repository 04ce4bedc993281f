"""The types of configuration values, as recipes and command lines write them."""

import math
import re
from typing import Annotated, Any, Optional

from pydantic import AfterValidator, BeforeValidator, Field


def key(
    default: Any,
    text: str,
    commands: Optional[tuple[str, ...]] = None,
    decides: Optional[bool] = None,
    mistaken_for: Optional[dict[str, str]] = None,
) -> Any:
    """A key of a section; the arguments are those of `keys.Key`, None: what the section says."""
    extra: Any = {"commands": commands, "decides": decides, "mistaken_for": mistaken_for}
    return Field(default=default, description=text, json_schema_extra=extra)


def as_written(value: Any) -> Any:
    """Tuples as the comma-separated text that users write, everything else as it is."""
    return ",".join(str(item) for item in value) if isinstance(value, (tuple, list)) else value


def items(value: Any) -> Any:
    """'224,224' or [224, 224] -> a list; pydantic then checks the items."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(",")] if value.strip() else []
    return value


def check_class_weights(value: str) -> str:
    """Raises ValueError for what is no rule of class weights and no list of numbers from 0."""
    name, _, beta = value.partition(":")
    try:
        numbers = [float(beta)] if name == "effective" and beta else []
        if name not in ("none", "balanced", "effective") or (beta and not numbers):
            numbers = [float(number) for number in value.split(",")]
            is_right = all(0 <= number < math.inf for number in numbers) and sum(numbers) > 0
        else:
            is_right = all(0 < number < 1 for number in numbers)
    except ValueError:
        is_right = False
    if not is_right:
        raise ValueError("expected none, balanced, effective, effective:0.99 or one number from 0 per class, as in 1,2.5,1")
    return value


def sizes_by_epoch(text: str) -> dict[int, int]:
    """'160@0,224@30' -> {0: 160, 30: 224}, the first epoch, from 0, of each size in pixels; '160' is '160@0', '' none.

    Raises:
        ValueError: anything else.
    """
    found = [re.fullmatch(r"([1-9]\d{0,4})(?:@(\d{1,6}))?", item.strip()) for item in text.split(",")] if text else []
    sizes = [(int(size[2] or 0), int(size[1])) for size in found if size]
    epochs = [epoch for epoch, _ in sizes]
    if len(sizes) < len(found) or epochs != sorted(set(epochs)) or min(epochs, default=0):
        raise ValueError("expected a size, as in 160, or sizes by epoch from 0, as in 160@0,192@30,224@60")
    return dict(sizes)


def _sizes(value: Any) -> Any:
    text = str(value) if type(value) is int else value
    if isinstance(text, str):
        sizes_by_epoch(text)
    return text


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def _number_or_numbers(value: Any) -> Any:
    return [value] if isinstance(value, (int, float)) else items(value)


def _one_or_three(channels: int) -> int:
    if channels not in (1, 3):
        raise ValueError("expected 1 (gray) or 3 (red, green, blue), which images are read as")
    return channels


def per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """One value per channel: three become their mean for gray, one holds for red, green and blue alike.

    Raises:
        ValueError: neither one nor three.
    """
    if len(values) not in (1, 3):
        raise ValueError("expected one number, or three separated by commas")
    if len(values) == channels:
        return values
    return (math.fsum(values) / 3,) if channels == 1 else values * 3


Integer = Annotated[int, BeforeValidator(_number)]
Count = Annotated[Integer, Field(ge=0)]
PositiveCount = Annotated[Integer, Field(ge=1)]
Real = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
NonNegative = Annotated[Real, Field(ge=0)]
Positive = Annotated[Real, Field(gt=0)]
Fraction = Annotated[Real, Field(ge=0, le=1)]
Channels = Annotated[Integer, AfterValidator(_one_or_three)]
BatchSizes = Annotated[tuple[Count, ...], Field(min_length=1), BeforeValidator(_number_or_numbers)]
ImageSize = Annotated[tuple[PositiveCount, PositiveCount], BeforeValidator(items)]
Sizes = Annotated[str, BeforeValidator(_sizes)]
Range = Annotated[tuple[Positive, Positive], BeforeValidator(items)]
Names = Annotated[tuple[str, ...], BeforeValidator(items)]
PerChannel = Annotated[tuple[Real, ...], BeforeValidator(_number_or_numbers)]
