#!/usr/bin/env bash
# Evaluates a checkpoint or an export.
#
# Usage: bash scripts/run_eval.sh DEVICE_ID DATA_PATH MODEL [PLATFORM] [--key value ...]
set -euo pipefail

name=$(basename "$0" .sh)
usage="usage: bash scripts/$name.sh DEVICE_ID DATA_PATH MODEL [PLATFORM] [--key value ...]"
(($# >= 3)) || { echo "$name: got $# arguments; expected at least 3. $usage" >&2; exit 2; }
[[ "$1" =~ ^[0-9]+$ ]] || { echo "$name: DEVICE_ID: got '$1'; expected a number from 0. $usage" >&2; exit 2; }
# shellcheck source=scripts/lib/commands.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/commands.sh"

arguments=(--device_id "$1" --data_dir "$(absolute "$2")" --pretrained "$(absolute "$3")" "${platform_arguments[@]}")
shift 3
if (($#)) && [[ "$1" != --* ]]; then
  arguments+=(--platform "$1")
  shift
fi
run_python eval.py "${arguments[@]}" "$@"
