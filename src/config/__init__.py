"""The configuration of a run: one flat, typed set of keys.

Precedence: `default_config.yaml` < recipe (`--config_path`) < command line (`--key value`). The keys themselves are in
`keys_data.py` and `keys_runs.py`.
"""

from .keys import DEFAULTS_FILE, KEYS
from .load import build_config, given_values, load_config, to_yaml
from .schema import Config

__all__ = ["DEFAULTS_FILE", "KEYS", "Config", "build_config", "given_values", "load_config", "to_yaml"]
