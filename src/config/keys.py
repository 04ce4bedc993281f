"""All keys as data: what lists, help texts, `default_config.yaml` and the page of keys are made of."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .keys_data import Augmentation, Data, Device, Network, Preprocessing
from .keys_runs import Evaluation, Export, ModelArts, Offline, Optimization, Run
from .section import Section

DEFAULTS_FILE = Path(__file__).resolve().parents[2] / "default_config.yaml"  # of a checkout; an installed package has none
SECTIONS: tuple[type[Section], ...] = (
    Network, Device, Data, Preprocessing, Augmentation, Optimization, Run, ModelArts, Evaluation, Export, Offline,
)  # fmt: skip


class Key(NamedTuple):
    """One key of the configuration.

    Attributes:
        default: as a recipe would write it.
        text: unit and allowed values.
        section: title of its section.
        commands: which use it.
        decides: whether it decides what the weights become.
        mistaken_for: command -> the key that somebody means who gives this one there.
    """

    name: str
    default: Any
    text: str
    section: str
    commands: tuple[str, ...]
    decides: bool
    mistaken_for: dict[str, str]


def _keys() -> Iterator[Key]:
    for section in SECTIONS:
        for name, field in section.model_fields.items():
            extra: Any = field.json_schema_extra or {}
            commands, decides = extra["commands"] or section.commands, extra["decides"]
            decides = section.decides if decides is None else decides
            text = str(field.description)
            yield Key(name, field.default, text, section.title, commands, decides, extra["mistaken_for"] or {})


KEYS: dict[str, Key] = {key.name: key for key in _keys()}


def default_yaml() -> str:
    """The content of `default_config.yaml`."""
    lines = [
        "# Every key with its default: the ResNeXt152 64x4d recipe on ImageNet-2012. Written by: python -m src.config",
        "# A recipe (--config_path) overrides these values, the command line (--key value) overrides both.",
        "# The comment behind a key is its help text: unit and allowed values.",
    ]
    section = ""
    for key in KEYS.values():
        if key.section != section:
            section = key.section
            lines += ["", f"# ---- {section}"]
        lines.append(f"{key.name + ': ' + written(key.default):<31} # {key.text}")
    return "\n".join(lines) + "\n"


def written(value: Any) -> str:
    """A default as YAML writes it: booleans as 0 and 1, which the flags of the command line use too."""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, str) and (not value or "," in value):
        return f"'{value}'"
    return value if isinstance(value, str) else json.dumps(value)
