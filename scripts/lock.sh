#!/usr/bin/env bash
# Renews the lock files from pyproject.toml: one set of exact versions with hashes for every supported Python and machine.
# They hold no address, so that any mirror serves them. What pyproject.toml still allows stays as it is.
#
# Usage: bash scripts/lock.sh [--upgrade | --upgrade-package NAME ...]
set -euo pipefail

CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
bash scripts/setup_env.sh requirements-dev.txt
source scripts/lib/registry.sh
# Of additional indexes, which often hold a part of the files only, the hashes would be incomplete.
PIP_EXTRA_INDEX_URL="" PIP_FIND_LINKS="" use_pip_settings .venv/bin/python

# lock FILE OPTIONS...
lock() {
  .venv/bin/uv pip compile --quiet "${uv_options[@]}" pyproject.toml --universal --python-version 3.9 --only-binary :all: \
    --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "bash scripts/lock.sh" \
    --output-file "$@" >/dev/null
}
lock requirements.txt --extra cpp --extra digits --extra report "$@"
lock requirements-dev.txt --all-extras --constraint requirements.txt "$@"
