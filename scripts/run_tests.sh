#!/usr/bin/env bash
# Sets the environment up, lints, then runs the tests but the slow ones. The exit code is that of the first step that fails.
#
# Usage: bash scripts/run_tests.sh [--all | pytest arguments, paths from the repository root]
#   --all: the slow ones too, as continuous integration does
set -euo pipefail

CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME # packages from outside .venv must not decide the result

bash scripts/setup_env.sh requirements-dev.txt
.venv/bin/python -m ruff check .
.venv/bin/python -m ruff format --check .
.venv/bin/python -m mypy

case "$*" in
  "") exec bash scripts/test_parts.sh -m "not slow and not exhaustive" ;;
  --all) exec bash scripts/test_parts.sh -m "not exhaustive" ;;
  *) exec .venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@" ;;
esac
