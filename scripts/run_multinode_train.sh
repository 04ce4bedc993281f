#!/usr/bin/env bash
# Trains on several servers: the same command on each, apart from --node_rank and --local_addr.
# The servers need a secret in common: make it once with (umask 077; openssl rand -hex 32 > FILE) and copy it to each.
# With --rank_table this server is found in the table, and only --data_path is needed besides.
# Options: those of python -m src.launch (--timeout, --max_restarts, ...) and every key of train.py.
#
# Usage: bash scripts/run_multinode_train.sh --data_path=DIR --nnodes=N --node_rank=K --master_addr=IP
#          [--secret_file=FILE] [--master_port=8118] [--local_addr=IP] [--device-list=0-7] [--batch_size=ALL]
#          [--rank_table=FILE] [--key=value ...]
set -euo pipefail

# shellcheck source=scripts/lib/commands.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/commands.sh"

arguments=()
data=
while (($#)); do
  case "$1" in
    --data_path | --rank_table | --config_path | --secret_file)
      (($# >= 2)) || { echo "run_multinode_train: $1: got no value; write $1=PATH" >&2; exit 2; }
      set -- "$1=$2" "${@:3}"
      continue
      ;;
    --data_path=*) data=1 && arguments+=(--data_dir "$(absolute "${1#*=}")") ;;
    --rank_table=* | --config_path=* | --secret_file=*) arguments+=("${1%%=*}" "$(absolute "${1#*=}")") ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
[[ -n "$data" ]] || {
  echo "run_multinode_train: --data_path: got no value; usage: bash scripts/run_multinode_train.sh" \
    "--data_path=DIR --nnodes=N --node_rank=K --master_addr=IP [--rank_table=FILE] [--key=value ...]" >&2
  exit 2
}
run_python -m src.launch train.py "${arguments[@]}"
