#!/usr/bin/env bash
# Trains on one device of this machine; the log is train.log in the run's folder (ckpt_path).
#
# Usage: bash scripts/run_standalone_train.sh DEVICE_ID DATA_PATH [CONFIG] [--key value ...]
set -euo pipefail

usage="usage: bash scripts/run_standalone_train.sh DEVICE_ID DATA_PATH [CONFIG] [--key value ...]"
(($# >= 2)) || { echo "run_standalone_train: got $# arguments; expected at least 2. $usage" >&2; exit 2; }
[[ "$1" =~ ^[0-9]+$ ]] || { echo "run_standalone_train: DEVICE_ID: got '$1'; expected a number from 0. $usage" >&2; exit 2; }
# shellcheck source=scripts/lib/commands.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/commands.sh"

arguments=(--device_id "$1" --data_dir "$(absolute "$2")")
shift 2
if (($#)) && [[ "$1" != --* ]]; then
  arguments+=(--config_path "$(absolute "$1")")
  shift
fi
run_python train.py "${arguments[@]}" "$@"
