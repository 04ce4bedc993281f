#!/usr/bin/env bash
# Sets the environment up, lints, then runs the tests. The exit code is that of the first step that fails.
#
# Usage: bash scripts/run_tests.sh [pytest arguments, paths from the repository root]
set -euo pipefail

CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME  # packages from outside .venv must not decide the result

bash scripts/setup_env.sh requirements-dev.txt
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m mypy
.venv/bin/python -m pytest --numprocesses 2 --dist loadfile "$@"
