#!/usr/bin/env bash
# Trains on the devices of this server that a rank table lists, or on DEVICE_NUM devices of this server alone.
# It stays in the foreground and watches the ranks; python -m src.launch --help lists its own options.
#
# Usage: bash scripts/run_distribute_train.sh RANK_TABLE_FILE|DEVICE_NUM DATA_PATH [CONFIG] [--key value ...]
set -euo pipefail

name=$(basename "$0" .sh)
usage="usage: bash scripts/$name.sh RANK_TABLE_FILE|DEVICE_NUM DATA_PATH [CONFIG] [--key value ...]"
(($# >= 2)) || { echo "$name: got $# arguments; expected at least 2. $usage" >&2; exit 2; }
[[ "$1" != --* && "$2" != --* ]] || { echo "$name: got an option first; expected two arguments. $usage" >&2; exit 2; }
# shellcheck source=scripts/lib/commands.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/commands.sh"

if [[ "$1" =~ ^[0-9]+$ ]]; then
  arguments=(--device_num "$1")
else
  arguments=(--rank_table "$(absolute "$1")")
fi
shift
train_arguments "$@"
run_python -m src.launch train.py "${arguments[@]}"
