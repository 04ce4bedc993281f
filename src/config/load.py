"""Puts defaults, recipe and command line together: a checked `Config`, or one line that says what is wrong."""

import difflib
import re
from pathlib import Path
from typing import Optional

import yaml
from pydantic import ValidationError

from ..errors import UserError
from .command_line import ALIASES, check_key, help_text, parse_arguments
from .defaults import DEFAULTS_FILE
from .schema import Config, as_written


def load_config(arguments: list) -> Config:
    """Reads defaults, recipe and command line.

    Args:
        arguments: the command line without the program's name: `--key value` or `--key=value`, `--config_path FILE`,
            `--dry_run` (prints the resolved configuration and exits), `--help`.

    Raises:
        UserError: unknown key, wrong type, value out of range or contradicting another; names key and value.
    """
    given = parse_arguments(arguments)
    if "help" in given:
        print(help_text())
        raise SystemExit(0)
    dry_run = given.pop("dry_run", False)
    recipe_path = given.pop("config_path", None)
    recipe = _read_yaml(Path(recipe_path)) if recipe_path else {}
    config = build_config({**_canonical(recipe, recipe_path), **_canonical(given, "the command line")})
    if dry_run:
        print(to_yaml(config), end="")
        raise SystemExit(0)
    return config


def build_config(values: Optional[dict] = None) -> Config:
    """The defaults with `values` on top, checked. Raises UserError as `load_config` does."""
    values = values or {}
    defaults = _read_yaml(DEFAULTS_FILE)
    try:
        config = Config(**{**defaults, **values})
    except ValidationError as error:
        raise UserError(_describe(error, defaults)) from None
    config._given = frozenset(values)
    return config


def to_yaml(config: Config) -> str:
    """The resolved configuration as YAML that `--config_path` reads back."""
    values = {key: as_written(value) for key, value in config.model_dump().items()}
    return yaml.safe_dump(values, sort_keys=False)


def _canonical(values: dict, source: Optional[str]) -> dict:
    """Checks the keys and replaces aliases by the keys they stand for."""
    for key in values:
        check_key(str(key), str(source))
    return {ALIASES.get(key, key): value for key, value in values.items() if key != "expected"}


def _read_yaml(path: Path) -> dict:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = ", ".join(sorted(str(p) for p in Path("configs").glob("*.yaml"))) or "none in configs/"
        raise UserError(f"config_path: no such file '{path}'; recipes here: {near}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"config_path: cannot read '{path}': {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"config_path: '{path}' is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise UserError(f"config_path: '{path}' must hold 'key: value' lines")
    return values


def _describe(error: ValidationError, defaults: dict) -> str:
    """The first problem as one line: key, what is wrong, the value, the default as an example."""
    first = error.errors()[0]
    if not first["loc"]:
        return first["msg"].replace("Value error, ", "")
    key, value = str(first["loc"][0]), first["input"]
    message = first["msg"].replace("Value error, ", "")
    if first["type"] in ("missing", "too_short", "too_long", "tuple_type"):
        message = "expected as many numbers as the default has, separated by commas"
    message = message[0].lower() + message[1:]
    line = f"{key}: {message}, got {as_written(value)!r} (default {defaults.get(key)!r})"
    if first["type"] == "literal_error":
        choices = re.findall(r"'(\w+)'", first["ctx"]["expected"])
        near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.4)
        line += f"; did you mean {near[0]}?" if near else ""
    return line
