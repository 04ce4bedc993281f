"""Puts defaults, recipe and command line together: a checked `Config`, or one line that says what is wrong."""

import difflib
import re
import reprlib
from collections.abc import Mapping
from typing import Any, Optional

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..errors import UserError, as_called_here
from .command_line import canonical_key, help_text, parse_arguments, refuse_mistaken
from .keys import DEFAULTS_FILE, KEYS
from .recipes import find_recipe, read_recipe
from .schema import Config
from .types import as_written


def load_config(arguments: list[str], command: str = "") -> Config:
    """Reads defaults, recipe and command line.

    Args:
        arguments: the command line without the program's name: `--key value` or `--key=value`, `--config_path FILE`,
            `--dry_run` (prints the resolved configuration and exits), `--help`.
        command: "train", "eval", "export", "preprocess" or "postprocess", whose keys alone are options; "": all are. A
            recipe may hold the keys of every command.

    Raises:
        UserError: unknown key, key of another command, wrong type, value out of range or contradicting another; names key
            and value.
    """
    given = parse_arguments(arguments, command)
    if "help" in given:
        print(as_called_here(help_text(command)))
        raise SystemExit(0)
    dry_run = given.pop("dry_run", False)
    recipe_path = given.pop("config_path", None)
    recipe = _canonical(read_recipe(find_recipe(recipe_path)), recipe_path) if recipe_path else {}
    refuse_mistaken(recipe, command)
    config = build_config({**recipe, **_canonical(given, "the command line")})
    if dry_run:
        print(to_yaml(config.resolved()), end="")
        raise SystemExit(0)
    return config


def build_config(values: Optional[Mapping[str, Any]] = None) -> Config:
    """The defaults with `values` on top, checked. Raises UserError as `load_config` does."""
    values = values or {}
    # In a checkout people change the defaults' file; they are its values then, not given ones.
    defaults = read_recipe(DEFAULTS_FILE) if DEFAULTS_FILE.is_file() else {}
    try:
        config = Config(**{**defaults, **values})
    except ValidationError as error:
        raise UserError(_describe(error)) from None
    except UnicodeEncodeError as error:  # `object` is a check's message about a text that is not UTF-8: pydantic has none
        raise UserError(error.object.encode("utf-8", "backslashreplace").decode()) from None
    config._given = frozenset(values)
    return config


def to_yaml(values: Mapping[str, Any]) -> str:
    """Keys and values as a recipe, which `--config_path` reads back."""
    return yaml.safe_dump({key: as_written(value) for key, value in values.items()}, sort_keys=False)


def given_values(config: Config) -> dict[str, Any]:
    """What recipe and command line have set: what it takes to repeat a run, with other values for some keys if need be."""
    return {key: getattr(config, key) for key in KEYS if key in config.given}


def _canonical(values: Mapping[str, Any], source: Optional[str]) -> dict[str, Any]:
    """Checks the keys and replaces aliases by the keys they stand for; `expected:` is a recipe's note to its readers."""
    return {canonical_key(key, str(source)): value for key, value in values.items() if key != "expected"}


def _describe(error: ValidationError) -> str:
    """The first problem as one line: key, what is wrong, the value, the default as an example."""
    first = error.errors()[0]
    message = first["msg"].replace("Value error, ", "")
    if not first["loc"] or isinstance(first.get("ctx", {}).get("error"), UserError):
        return message
    key, value = str(first["loc"][0]), first["input"]
    if first["type"] in ("missing", "too_short", "too_long", "tuple_type"):
        message = "expected as many numbers as the default has, separated by commas"
    message = message[0].lower() + message[1:]
    line = f"{key}: {message}, got {_short(as_written(value))} (default {KEYS[key].default!r})"
    return line + _nearest(first, value)


def _nearest(problem: ErrorDetails, value: Any) -> str:
    if problem["type"] != "literal_error":
        return ""
    choices = re.findall(r"'(\w+)'", problem["ctx"]["expected"])
    near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else ""


def _short(value: Any) -> str:
    """The value as Python writes it, cut in the middle where it is long."""
    shortener = reprlib.Repr()
    shortener.maxstring = shortener.maxother = shortener.maxlong = 80
    return shortener.repr(value)
