"""Reads recipes: YAML files of `key: value` lines, whoever wrote them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
RECIPES = _PACKAGE / "configs"  # ours, in the installed package; in a checkout they lie beside it
if not RECIPES.is_dir():
    RECIPES = _PACKAGE.parent / "configs"
LARGEST_FILE = 1 << 20  # bytes; every key with its default is 12 KB
DEEPEST = 8  # levels of lists and mappings; `expected:` has two
LONGEST_NUMBER = 400  # digits; the largest float64 has 309


def find_recipe(name: str) -> Path:
    """The file that `config_path` names, or else the one of our recipes: `configs/quickstart.yaml`, `quickstart`."""
    path = Path(name)
    ours = RECIPES / f"{path.stem}.yaml"
    short = path.parent in (Path(), Path("configs")) and path.suffix in ("", ".yaml")
    return ours if short and not path.exists() and ours.is_file() else path


def read_recipe(path: Path) -> dict[str, Any]:
    """The keys and values of a recipe.

    Raises:
        UserError: the file cannot be read or is too large, is no YAML or no mapping, has a key twice, or uses what no recipe
            needs and a hostile one would (anchors, tags, deep nesting, numbers of thousands of digits).
    """
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        ours = ", ".join(sorted(f"configs/{recipe.name}" for recipe in RECIPES.glob("*.yaml")))
        raise UserError(f"config_path: no such file '{path}'; recipes here: {ours}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"config_path: cannot read '{path}': {error}") from None
    if len(content) > LARGEST_FILE:
        raise UserError(f"config_path: '{path}' has more than {LARGEST_FILE >> 20} MiB; expected 'key: value' lines")
    try:
        for problem in _oddities(text):
            raise UserError(f"config_path: '{path}': {problem}")
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"config_path: '{path}' is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(values, dict):
        raise UserError(f"config_path: '{path}' must hold 'key: value' lines")
    return {str(key): value for key, value in values.items()}


def _oddities(text: str) -> Iterator[str]:
    """What is refused, from the parser's events: nothing is built from them yet."""
    keys: set[str] = set()
    depth, expects_key = 0, True
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
    for event in events:
        where = f"line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            yield f"{where}: anchors and aliases are not supported; write the value out"
        if getattr(event, "tag", None) not in (None, "!"):
            yield f"{where}: the tag {event.tag} is not supported; leave it out"
        if isinstance(event, yaml.ScalarEvent):
            if not event.style and len(event.value) > LONGEST_NUMBER and event.value.strip("+-._").isdigit():
                yield f"{where}: a number of {len(event.value)} digits; expected fewer than {LONGEST_NUMBER}"
            if depth == 1 and expects_key and event.value in keys:
                yield f"{where}: the key '{event.value}' stands twice; leave one of them out"
            if depth == 1 and expects_key:
                keys.add(event.value)
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        # Below the top mapping, keys and values take turns; a whole list or mapping counts as one value.
        if depth == 1 and isinstance(event, (yaml.ScalarEvent, yaml.CollectionEndEvent)):
            expects_key = not expects_key
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                yield f"{where}: lists and mappings nested more than {DEEPEST} deep"
