"""`default_config.yaml`: the one place of the defaults, the help texts, the sections and the order of the keys."""

import re
from pathlib import Path

DEFAULTS_FILE = Path(__file__).resolve().parents[2] / "default_config.yaml"


def keys_of_sections(names: tuple) -> list:
    """The keys below the headings of `default_config.yaml` that begin with one of the names."""
    return [key for section, keys in sections().items() if section.startswith(names) for key, _, _ in keys]


def sections() -> dict:
    """Heading -> (key, default, comment) of `default_config.yaml`."""
    found: dict = {}
    for line in DEFAULTS_FILE.read_text(encoding="utf-8").splitlines():
        if line.startswith("# ----"):
            keys = found.setdefault(line.strip("# -"), [])
        elif match := re.match(r"(\w+): +(\S+(?: \S+)*?) +# (.*)", line):
            keys.append(match.groups())
    return found
