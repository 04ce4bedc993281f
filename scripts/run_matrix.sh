#!/usr/bin/env bash
# Runs the tests with several versions of MindSpore, each in a copy of this checkout with an environment of its own
# (3 GB each), one after the other. Prints a line for each; the exit code is 1 where a test failed.
#
# Usage: bash scripts/run_matrix.sh [VERSION ...] [-- pytest options]
#   Without versions: 2.7.2, 2.8.0, 2.9.0 and 2.10.0. Copies and logs are in outputs/matrix.
set -euo pipefail

CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME # packages from outside .venv must not decide the result

versions=()
while (($#)) && [[ $1 != -- ]]; do versions+=("$1") && shift; done
(($# == 0)) || shift
((${#versions[@]})) || versions=(2.7.2 2.8.0 2.9.0 2.10.0)

status=0
for version in "${versions[@]}"; do
  copy=$PWD/outputs/matrix/$version log=$PWD/outputs/matrix/$version.log
  mkdir -p "$copy"
  # What an earlier run left goes, but for the environment and compiled programs.
  find "$copy" -mindepth 1 -maxdepth 1 ! -name .venv ! -name ascend310_infer -exec rm -rf {} +
  git ls-files -z --cached --others --exclude-standard | tar --create --null --ignore-failed-read --files-from - | tar --extract --directory "$copy"
  (
    cd "$copy"
    MINDSPORE=$version bash scripts/setup_env.sh requirements-dev.txt && bash scripts/test_parts.sh "$@"
  ) >"$log" 2>&1 || status=1
  printf 'MindSpore %s: %s (log: %s)\n' "$version" "$(tail -n 1 "$log")" "$log"
done
exit "$status"
