"""The command line: `--key value` or `--key=value`, `--config_path FILE`, `--dry_run`, `--help`."""

import difflib

from ..errors import UserError
from .defaults import sections
from .schema import Config

ALIASES = {"device_target": "platform"}


def help_text() -> str:
    """`--help`: every key with the comment that stands behind it in `default_config.yaml`."""
    lines = ["Options (defaults in brackets); --config_path FILE reads a recipe, --dry_run shows the result and stops.", ""]
    for section, keys in sections().items():
        lines += ["", section.capitalize()]
        lines += [f"  --{key:<22} {text} [{default}]" for key, default, text in keys]
    return "\n".join(lines)


def parse_arguments(arguments: list) -> dict:
    """Key -> text as it was given; "help", "dry_run" and "config_path" where those were.

    Raises:
        UserError: not an option, an unknown key, or no value.
    """
    given: dict = {}
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
            check_key(key, "the command line")
        if not separator:
            if position < len(arguments) and not arguments[position].startswith("--"):
                value = arguments[position]
                position += 1
            elif key in Config.model_fields and Config.model_fields[key].annotation is bool:
                value = "true"
            else:
                raise UserError(f"--{key}: a value is missing; write --{key} VALUE")
        given[key] = value
    return given


def check_key(key: str, source: str) -> None:
    """Raises UserError with the nearest key for one that there is not; `source` says where it was read."""
    known = [*Config.model_fields, *ALIASES]
    if key in known or key == "expected":  # `expected:` is a recipe's note of what it should reach
        return
    near = difflib.get_close_matches(key, [*known, "config_path", "dry_run"], n=1)
    hint = f"did you mean {near[0]}?" if near else "default_config.yaml lists every key"
    raise UserError(f"{key}: unknown key in {source}; {hint}")
