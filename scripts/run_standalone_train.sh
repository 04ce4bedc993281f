#!/usr/bin/env bash
# Trains on one device of this machine; the log is train_<DEVICE_ID>.log in the run's folder (ckpt_path).
#
# Usage: bash scripts/run_standalone_train.sh DEVICE_ID DATA_PATH [CONFIG] [--key value ...]
set -euo pipefail

name=$(basename "$0" .sh)
usage="usage: bash scripts/$name.sh DEVICE_ID DATA_PATH [CONFIG] [--key value ...]"
(($# >= 2)) || { echo "$name: got $# arguments; expected at least 2. $usage" >&2; exit 2; }
[[ "$1" =~ ^[0-9]+$ ]] || { echo "$name: DEVICE_ID: got '$1'; expected a number from 0. $usage" >&2; exit 2; }
# shellcheck source=scripts/lib/commands.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/commands.sh"

arguments=(--device_id "$1")
shift
train_arguments "$@"
run_python train.py "${arguments[@]}"
