"""The command line: `--key value` or `--key=value`, `--config_path FILE`, `--dry_run`, `--help`."""

import difflib
from collections.abc import Iterable
from typing import Any

from ..errors import UserError
from .keys import KEYS, written

ALIASES = {"device_target": "platform"}


def help_text(command: str = "") -> str:
    """`--help`: every key of a command, or of all, with its help and its default."""
    lines = ["Options (defaults in brackets); --config_path FILE reads a recipe, --dry_run shows the result and stops."]
    section = ""
    for key in KEYS.values():
        if command and command not in key.commands:
            continue
        if key.section != section:
            section = key.section
            lines += ["", section[0].upper() + section[1:]]
        lines.append(f"  --{key.name:<22} {key.text} [{written(key.default)}]")
    return "\n".join(lines)


def parse_arguments(arguments: list[str], command: str = "") -> dict[str, Any]:
    """Key -> text as it was given; "help", "dry_run" and "config_path" where those were.

    Raises:
        UserError: not an option, an unknown key, a key of another command, or no value.
    """
    given: dict[str, Any] = {}
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        if argument in ("-h", "--help"):
            return {"help": True}
        if argument == "--dry_run":
            given["dry_run"] = True
            continue
        if not argument.startswith("--"):
            raise UserError(f"'{argument}': not an option; options are written --key value")
        key, separator, value = argument[2:].partition("=")
        if key != "config_path":
            _check_command(canonical_key(key, "the command line"), command)
        if not separator:
            if position < len(arguments) and not arguments[position].startswith("--"):
                value = arguments[position]
                position += 1
            elif key in KEYS and isinstance(KEYS[key].default, bool):
                value = "true"
            else:
                raise UserError(f"--{key}: a value is missing; write --{key} VALUE")
        given[key] = value
    return given


def canonical_key(key: str, source: str) -> str:
    """The key that an alias stands for, any other key as it is.

    Raises:
        UserError: with the nearest key for one that there is not; `source` says where it was read.
    """
    key = ALIASES.get(key, key)
    if key in KEYS:
        return key
    near = difflib.get_close_matches(key, [*KEYS, *ALIASES, "config_path", "dry_run"], n=1)
    hint = f"did you mean {near[0]}?" if near else "default_config.yaml lists every key"
    raise UserError(f"{key[:80]}: unknown key in {source}; {hint}")


def refuse_mistaken(keys: Iterable[str], command: str) -> None:
    """Raises UserError for a key that a command does not use, but which people give it when they mean another one."""
    for key in keys:
        if meant := KEYS[key].mistaken_for.get(command):
            raise UserError(f"{key}: belongs to {_programs(key)}, not {command}.py; did you mean --{meant}?")


def _check_command(key: str, command: str) -> None:
    refuse_mistaken([key], command)
    if command and command not in KEYS[key].commands:
        raise UserError(f"{key}: belongs to {_programs(key)}, not {command}.py; leave it out")


def _programs(key: str) -> str:
    return ", ".join(f"{command}.py" for command in KEYS[key].commands)
