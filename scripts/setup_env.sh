#!/usr/bin/env bash
# Makes .venv in the repository root with exactly the packages of a lock file, and builds the CPU kernels where a compiler is;
# returns at once when it has the packages.
#
# Usage: bash scripts/setup_env.sh [lock file, from the repository root; default requirements.txt]
#   PYTHON=/path/to/python   take this interpreter instead of searching for CPython 3.9 - 3.12
#   MINDSPORE=installed      use the MindSpore that this interpreter (else python3) has, as containers with CANN do; it stays
#                            where and as it is, and only the other packages come into .venv
#   MINDSPORE=2.8.0          install this version instead of that of the lock file
#   MINDSPORE=locked         go back to that of the lock file; without a word, .venv keeps what it was made with
#
# pip brings uv into .venv, checked by its hash, and uv all the rest. Both ask the package registry that pip is set to.
set -euo pipefail

readonly FREE_MB=4096 # 3.3 GB and a reserve

die() {
  printf 'setup_env: %s\n' "$1" >&2
  exit "${2:-1}"
}

# is_usable: .venv has uv, and a Python of the wanted version.
is_usable() { [[ $(probe "$venv/bin/python") == "ok ${wanted:-3.}"* ]] && "$uv" --version &>/dev/null; }

# halves: prints the packages whose installation was interrupted; uv writes INSTALLER last.
halves() {
  local info
  for info in "$venv"/lib/python*/site-packages/*.dist-info; do
    [[ ! -d $info || -e $info/INSTALLER ]] || printf '%s\n' "$info"
  done
}

is_current() {
  is_usable && [[ -z $(halves) && $(chosen) == "$mindspore" ]] &&
    "$uv" pip install --check --offline --no-cache --no-deps --python "$venv/bin/python" -r "$(wanted_packages)" &>/dev/null
}

# chosen: prints where the MindSpore of .venv comes from.
chosen() { cat "$venv/mindspore" 2>/dev/null || echo locked; }

# wanted_packages: prints the name of the lock file, or of what is left of it without MindSpore.
wanted_packages() {
  [[ $mindspore != locked ]] || { echo "$lock" && return; }
  awk '/^[^ #]/ { skip = /^mindspore==/ } !skip' "$lock" >"$venv/others.txt"
  echo "$venv/others.txt"
}

# folder_of_mindspore: prints where the interpreter finds it.
folder_of_mindspore() {
  (cd / && "$python" -c 'import importlib.util as u, os; print(os.path.dirname(os.path.dirname(u.find_spec("mindspore").origin)))' 2>/dev/null)
}

# attempt WHAT COMMAND...: ends the script with the first and the last reason that a failed command gives.
attempt() {
  local status=0 reason
  "${@:2}" </dev/null >"$log" 2>&1 || status=$?
  ((status)) || return 0
  reason=$(grep -iE '^ *(error|cause|warning: retrying)' "$log" |
    sed -E '1!{$!d}; s/^ +//; s/ \(Retry\([^)]*\)\)//; s/<[^>]*>: //' | cut -c 1-250 | paste -s -d ';') || true
  die "$1: got exit code $status (${reason:-see the log}); expected 0. If that is the network, mend pip's index and proxy \
settings; if the disk, free $FREE_MB MB; then run this again. Log: $log"
}

# 1. Nothing of the caller's Python, pip or uv settings may redirect the installation.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_PYTHON PIP_DRY_RUN PIP_NO_DEPS PIP_REQUIREMENT
for name in "${!UV_@}"; do [[ $name =~ ^UV_(CACHE_DIR|LINK_MODE)$ ]] || unset "$name"; done
python=${PYTHON:-}
[[ $python != */* || $python == /* ]] || python=$PWD/$python
CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
source scripts/lib/find_python.sh
source scripts/lib/registry.sh
venv=$PWD/.venv uv=$PWD/.venv/bin/uv log=$PWD/.venv/setup_env.log lock=${1:-requirements.txt} wanted=""
PATH=":$PATH:" PATH=${PATH//":$venv/bin:"/:} PATH=${PATH//":${VIRTUAL_ENV:-$venv}/bin:"/:}
PATH=${PATH#:} PATH=${PATH%:}
[[ -f $lock && -r $lock ]] ||
  die "requirements file: got '$lock'; expected a readable file. Give its path from the repository root."
[[ -z $python ]] || wanted=$(probe "$python")
[[ $wanted == ok* || -z $wanted ]] ||
  die "PYTHON: got '$python' ($wanted); expected $EXPECTED_PYTHON. Correct it, or unset it to search for one."
wanted=${wanted#ok }
mindspore=${MINDSPORE:-$(chosen)} # locked, a version, or the folder of an installed one
case ${MINDSPORE:-locked} in
  locked | [0-9]*.[0-9]*) ;;
  installed)
    python=${python:-$(type -P python3)} wanted=$(probe "$python") wanted=${wanted#ok }
    mindspore=$(folder_of_mindspore) ||
      die "MINDSPORE: got 'installed'; expected it in '$python', which has none. Set PYTHON to the interpreter that has it."
    ;;
  *) die "MINDSPORE: got '$mindspore'; expected installed, locked or a version such as 2.8.0. Correct it, or unset it." ;;
esac
if is_current; then exit 0; fi

# 2. One set-up at a time: a second one waits, then finds the environment current.
[[ -w . && (! -e $venv || -w $venv) ]] ||
  die "folder: got '$PWD', which is not writable; expected a place for .venv. Change its permissions or copy the repository."
{ exec 9>.venv.lock; } 2>/dev/null ||
  die "lock: got '$PWD/.venv.lock', which is not writable; expected a lock file of this user. Remove it."
flock -n 9 || { echo "setup_env: waiting for another set-up of $venv" && flock 9; }
if is_current; then exit 0; fi
trap 'die "set-up: got interrupted; expected to finish. Run it again to go on." 130' INT TERM

# 3. An environment with uv in it.
if ! is_usable; then
  [[ -n $python ]] || find_python
  rm -rf "$venv" 2>/dev/null || die "folder: got '$venv', which cannot be removed; expected to remake it. Remove it."
  free=$(df -Pm . | awk 'NR == 2 { print $4 }')
  ((${free:-FREE_MB} >= FREE_MB)) ||
    die "disk space: got $free MB in $PWD; expected at least $FREE_MB MB. Free some, then run this again."
  mkdir "$venv"
  attempt "$python -m venv" "$python" -m venv "$venv"
  sed -n '/^uv==/,/[^\\]$/p' requirements-dev.txt >"$venv/uv.txt"
  attempt "pip install uv" "$venv/bin/python" -m pip install --no-deps --require-hashes --only-binary :all: \
    --timeout 15 --retries 2 -r "$venv/uv.txt"
fi

# 4. The packages; half ones again. A MindSpore that is not that of the lock file comes last: sync removes what it does not know.
while read -r info; do rm -rf "$info"; done < <(halves)
export UV_HTTP_TIMEOUT=15 UV_HTTP_RETRIES=2 # as pip above: without a network, an end within a minute
use_pip_settings "$venv/bin/python"
[[ -n ${UV_CACHE_DIR:-} ]] || mkdir -p "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/uv" 2>/dev/null ||
  export UV_CACHE_DIR=$venv/cache
version=$(probe "$venv/bin/python")
echo "setup_env: installing $lock for Python ${version#ok } into .venv: about 3 GB the first time, which takes minutes"
attempt "uv pip sync" "$uv" pip sync "${uv_options[@]}" --python "$venv/bin/python" \
  --require-hashes --no-build --compile-bytecode "$(wanted_packages)"
link=$(echo "$venv"/lib/python3.*)/site-packages/installed_mindspore.pth
rm -f "$link" "$venv/mindspore"
case $mindspore in
  locked) ;;
  /*) echo "$mindspore" >"$link" ;; # behind .venv's own packages in Python's search
  *)
    attempt "uv pip install mindspore==$mindspore" "$uv" pip install "${uv_options[@]}" --python "$venv/bin/python" \
      --no-deps --no-build "mindspore==$mindspore"
    ;;
esac
echo "$mindspore" >"$venv/mindspore"

# 5. The kernels for training and evaluation on a CPU; without a compiler MindSpore's own serve.
[[ ! -f src/cpu/__main__.py ]] || "$venv/bin/python" -m src.cpu || true
