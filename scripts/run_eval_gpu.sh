#!/usr/bin/env bash
# run_eval.sh on GPUs.
#
# Usage: as run_eval.sh, without a platform
# shellcheck disable=SC2034 # read by lib/commands.sh
script_platform=GPU
# shellcheck source=scripts/run_eval.sh
source "$(dirname "${BASH_SOURCE[0]}")/run_eval.sh"
