"""The configuration of a run: one flat, typed set of keys.

Precedence: `default_config.yaml` < recipe (`--config_path`) < command line (`--key value`).
"""

from .command_line import help_text
from .defaults import DEFAULTS_FILE, keys_of_sections
from .load import build_config, load_config, to_yaml
from .schema import Config

__all__ = ["DEFAULTS_FILE", "Config", "build_config", "help_text", "keys_of_sections", "load_config", "to_yaml"]
