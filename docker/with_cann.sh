#!/usr/bin/env bash
# Runs a command in CANN's environment.
#
# Usage: bash docker/with_cann.sh COMMAND [ARGUMENT...]
set -euo pipefail

for setter in /usr/local/Ascend/cann/set_env.sh /usr/local/Ascend/ascend-toolkit/set_env.sh; do
  if [[ -f $setter ]]; then
    set +u # it reads variables that need not be there
    # shellcheck disable=SC1090
    source "$setter"
    set -u
    exec "$@"
  fi
done
echo "with_cann: got no set_env.sh in /usr/local/Ascend; expected CANN there. Build the image from one that has it." >&2
exit 1
