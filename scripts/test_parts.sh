#!/usr/bin/env bash
# Runs all test files with the Python of .venv, some files at a time: a process that has compiled many networks compiles
# the next ones more slowly. The last line sums up; the exit code is 0 if every test passed.
#
# Usage: bash scripts/test_parts.sh [pytest options]
set -euo pipefail

CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
shopt -s globstar
log=$(mktemp)
trap 'rm -f "$log"' EXIT

files=(tests/**/test_*.py) result=0
for ((first = 0; first < ${#files[@]}; first += 26)); do
  code=0
  .venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@" "${files[@]:first:26}" |
    tee -a "$log" || code=$?
  ((code == 0 || code == 5)) || result=1 # 5: none of these tests was asked for
done
sed -n 's/^=* \(.*\) in [0-9.]*s.*=$/\1/p' "$log" | tr ',' '\n' |
  awk -v seconds="$SECONDS" '{ counts[$2 ~ /^warning/ ? "warnings" : $2] += $1 } END { for (kind in counts) printf "%d %s, ", counts[kind], kind; print seconds " s" }'
exit "$result"
