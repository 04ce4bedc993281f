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

run() {
  .venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
}

if (($#)); then
  run "$@"
  exit
fi
# A process that has compiled many networks compiles the next ones more slowly: after some files, new processes go on.
shopt -s globstar
files=(tests/**/test_*.py)
result=0
for ((first = 0; first < ${#files[@]}; first += 26)); do
  run "${files[@]:first:26}" || result=$?
done
exit "$result"
