#!/usr/bin/env bash
# run_distribute_train.sh on GPUs.
#
# Usage: as run_distribute_train.sh, without a platform
# shellcheck disable=SC2034 # read by lib/commands.sh
script_platform=GPU
# shellcheck source=scripts/run_distribute_train.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_distribute_train.sh"
