#!/usr/bin/env bash
# Makes .venv in the repository root with the pinned packages; returns at once when it is current.
#
# Usage: bash scripts/setup_env.sh [requirements file, from the repository root; default requirements.txt]
#   PYTHON=/path/to/python   take this interpreter instead of searching for CPython 3.9 - 3.12
#
# .venv/.installed-<requirements file> is a stamp: the hash of that file (and of those it pulls in with -r)
# and the Python version. It is written after a complete installation only.
set -euo pipefail

readonly PIP_OPTIONS=(--no-input --disable-pip-version-check --progress-bar off --no-user
  --only-binary :all: --timeout 15 --retries 2)  # without a network pip gives up within a minute
readonly FRESH_MB=6144                           # 3 GB installed + the downloaded wheels + reserve
readonly UPDATE_MB=1024                          # least reserve to complete or update an environment
readonly PYTHON_NAMES=(python3.11 python3.12 python3.10 python3.9 python3 python)
readonly NO_SPACE='No space left|Errno 28|Disk quota exceeded'
readonly NO_NETWORK='Failed to (establish|resolve|connect)|name resolution|Name or service not known|Network is unreachable'\
'|Max retries exceeded|timed out|Connection (refused|reset|broken|aborted)|Connect(ion)?(Timeout)?Error|ConnectTimeout'\
'|ProxyError|SSLError|HTTP error|(Client|Server) Error|Could not (connect|fetch URL)'
readonly EXPECTED_PYTHON="64-bit CPython 3.9 - 3.12 with venv and ensurepip"

die() {
  printf 'setup_env: %s\n' "$1" >&2
  exit "${2:-1}"
}

# Prints a requirements file and, recursively, those that it pulls in with -r.
requirement_files() {
  local files=("$1") seen="|$1|" i file line path
  for ((i = 0; i < ${#files[@]}; i++)); do
    file=${files[i]}
    [[ -f "$file" && -r "$file" ]] ||
      die "requirements file: got '$file'; expected a readable file. Give its path from the repository root."
    while IFS= read -r line; do
      [[ "$line" =~ ^[[:space:]]*(-r|--requirement)[[:space:]=]*([^[:space:]#]+) ]] || continue
      path=${BASH_REMATCH[2]}
      [[ "$path" == /* || "$file" != */* ]] || path="${file%/*}/$path"
      [[ "$seen" == *"|$path|"* ]] || { files+=("$path"); seen+="$path|"; }
    done <<<"$(<"$file")"
  done
  printf '%s\n' "${files[@]}"
}

# Prints what the stamp of a requirements file must contain.
stamp_of() {
  local files text
  files=$(requirement_files "$1")
  text=$(while IFS= read -r file; do cat "$file"; done <<<"$files")
  printf '%s Python %s\n' "$(sha256sum <<<"$text" | cut -d ' ' -f 1)" "$2"
}

# Prints "3.11" for the interpreter of .venv, nothing when it does not run.
venv_version() {
  [[ -x "$venv/bin/python" ]] || return 0
  "$venv/bin/python" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

is_current() {
  local version stamp="$venv/.installed-${1##*/}"
  [[ -f "$stamp" ]] || return 1
  version=$(venv_version)
  [[ -n "$version" && (-z "$wanted" || "$wanted" == "$version") ]] || return 1
  [[ "$(<"$stamp")" == "$(stamp_of "$1" "$version")" ]]
}

# Looks at one interpreter: sets `version` and `problem` ("" = usable). Runs it, because a file of that name
# proves nothing: a pyenv shim exists for versions that are not selected.
inspect_python() {
  local answer bits kind missing
  answer=$("$1" -c '
import platform, sys
missing = ""
for name in ("venv", "ensurepip", "ssl", "zlib"):
    try:
        __import__(name)
    except ImportError:
        missing += "+" + name
bits = 64 if sys.maxsize > 2**32 else 32
print("%s %d %s %s" % (platform.python_version(), bits, platform.python_implementation(), missing))
' 2>/dev/null </dev/null) || answer=""
  read -r version bits kind missing <<<"$answer" || true
  if [[ -z "$kind" ]]; then version="" problem="does not run"
  elif [[ ! "$version" =~ ^3\.(9|10|11|12)\. ]]; then problem="$version"
  elif [[ "$bits" != 64 ]]; then problem="$version, $bits-bit"
  elif [[ "$kind" != CPython ]]; then problem="$version, $kind"
  elif [[ -n "$missing" ]]; then problem="$version, lacks ${missing#+}"
  else problem=""; fi
}

# Prints every interpreter on PATH, then those in the usual places, the preferred version first.
candidates() {
  local name place home=${HOME:-/nonexistent}
  local places=(/usr/bin /usr/local/bin "${PYENV_ROOT:-$home/.pyenv}"/versions/*/bin
    {"$home",/opt}/{mini,ana,}conda{,3}/{,envs/*/}bin {"$home",/opt}/{mamba,mini}forge{,3}/{,envs/*/}bin)
  for name in "${PYTHON_NAMES[@]}"; do type -aP "$name" || true; done
  for name in "${PYTHON_NAMES[@]}"; do
    for place in "${places[@]}"; do
      [[ ! -x "$place/$name" ]] || printf '%s\n' "$place/$name"
    done
  done
}

# Sets `python` and `version` to the first usable interpreter.
find_python() {
  local found="" incomplete="" seen="|" file
  while IFS= read -r python; do
    [[ -n "$python" ]] || continue
    file=$(readlink -f "$python") || file=$python
    # A pyenv shim is one script under many names: only its name tells which Python it starts.
    [[ "$file" != */shims/* ]] || file=$python
    [[ "$seen" != *"|$file|"* ]] || continue
    seen+="$file|"
    inspect_python "$python"
    [[ -n "$problem" ]] || return 0
    found+=", $python ($problem)"
    [[ "$problem" != *lacks* || -n "$incomplete" ]] || incomplete="python${version%.*}-venv"
  done <<<"$(candidates)"
  [[ -n "$found" ]] || found=", none"
  [[ -z "$incomplete" ]] ||
    die "Python: got ${found#, }; expected $EXPECTED_PYTHON. Install the package $incomplete (or python3-venv)."
  die "Python: got ${found#, }; expected $EXPECTED_PYTHON. Install one, or set PYTHON to its path."
}

# Exits with the reason of a failed command, read from its log.
explain() {
  local what=$1 status=$2 reason
  if grep -q -i -E "$NO_SPACE" "$log"; then
    die "disk space: got 'no space left' in $root; expected at least $FRESH_MB MB. Free some, then run this again. Log: $log"
  elif grep -q -i -E "$NO_NETWORK" "$log"; then
    die "network: got no answer from the package registry; expected one. Check the connection and pip's index and proxy settings, then run this again. Log: $log"
  fi
  reason=$(grep -E '^ *(ERROR|Error)' "$log" | tail -n 1 | cut -c 1-200) || reason=""
  die "$what: got exit code $status${reason:+ ($reason)}; expected 0. Read the log: $log"
}

check_writable() {
  [[ -w "$root" && (! -e "$venv" || -w "$venv") ]] ||
    die "folder: got '$root', which is not writable; expected a place for .venv. Change its permissions or copy the repository."
}

check_disk() {
  local used=0 needed free
  [[ ! -d "$venv" ]] || used=$(du -sm "$venv" 2>/dev/null | cut -f 1) || used=0
  needed=$((FRESH_MB - ${used:-0} > UPDATE_MB ? FRESH_MB - ${used:-0} : UPDATE_MB))
  free=$(df -Pm "$root" 2>/dev/null | awk 'NR == 2 { print $4 }') || free=""
  [[ ! "$free" =~ ^[0-9]+$ ]] || ((free >= needed)) ||
    die "disk space: got $free MB in $root; expected at least $needed MB. Free some, then run this again."
}

# Makes .venv unless a working one (of the wanted version) is there; an interrupted installation is kept.
make_venv() {
  local status=0 info
  rm -rf "$venv/tmp"
  version=$(venv_version)
  for info in "$venv"/lib/python*/site-packages/*.dist-info; do
    # pip writes RECORD last: forget a package without it, so that pip installs it again.
    [[ ! -d "$info" || -f "$info/RECORD" ]] || rm -rf "$info"
  done
  if [[ "$version" =~ ^3\.(9|10|11|12)$ && (-z "$wanted" || "$wanted" == "$version") ]] &&
    "$venv/bin/python" -I -c 'import importlib.metadata as m, pip; m.version("pip")' 2>/dev/null; then
    check_disk
    return
  fi
  [[ -n "${PYTHON:-}" ]] || find_python
  rm -rf "$venv" 2>/dev/null || die "folder: got '$venv', which cannot be removed; expected to remake it. Remove it."
  check_disk
  mkdir "$venv"
  "$python" -m venv "$venv" >"$log" 2>&1 || status=$?
  ((status == 0)) || explain "$python -m venv" "$status"
  version=$(venv_version)
}

install() {
  local status=0 file
  rm -f "$venv"/.installed-*
  mkdir -p "$venv/tmp"
  echo "setup_env: installing $requirements for Python $version into .venv: about 3 GB the first time, which takes minutes"
  # The downloads go to .venv too: /tmp is often a small memory disk.
  TMPDIR="$venv/tmp" "$venv/bin/python" -m pip install "${PIP_OPTIONS[@]}" -r "$requirements" >"$log" 2>&1 || status=$?
  rm -rf "$venv/tmp"
  ((status == 0)) || explain "pip install -r $requirements" "$status"
  # A file that was pulled in is installed too: requirements-dev.txt satisfies requirements.txt.
  while IFS= read -r file; do
    stamp_of "$file" "$version" >"$venv/.installed-${file##*/}"
  done <<<"$(requirement_files "$requirements")"
}

# 1. Nothing of the caller's Python or pip settings may redirect the installation.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_PYTHON PIP_DRY_RUN PIP_NO_DEPS PIP_REQUIREMENT
case ${PYTHON:-} in
  /* | "") ;;
  */*) PYTHON=$PWD/${PYTHON#./} ;;
esac
CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
root=$PWD venv=$PWD/.venv log=$PWD/.venv/setup_env.log
PATH=":$PATH:" PATH=${PATH//":$venv/bin:"/:}
[[ -z "${VIRTUAL_ENV:-}" ]] || PATH=${PATH//":$VIRTUAL_ENV/bin:"/:}
PATH=${PATH#:} PATH=${PATH%:}
unset VIRTUAL_ENV
requirements=${1:-requirements.txt}
requirement_files "$requirements" >/dev/null

# 2. $PYTHON, when given, is the only choice; `wanted` is its version.
wanted=""
if [[ -n "${PYTHON:-}" ]]; then
  python=$PYTHON
  inspect_python "$python"
  [[ -z "$problem" ]] ||
    die "PYTHON: got '$PYTHON' ($problem); expected $EXPECTED_PYTHON. Correct it, or unset it to search for one."
  wanted=${version%.*}
fi
if is_current "$requirements"; then exit 0; fi

# 3. One set-up at a time: a second one waits, then finds the environment current.
check_writable
if command -v flock >/dev/null; then
  { exec 9>"$root/.venv.lock"; } 2>/dev/null ||
    die "lock: got '$root/.venv.lock', which is not writable; expected a lock file of this user. Remove it."
  flock -n 9 || { echo "setup_env: waiting for another set-up of $venv" && flock 9; }
  if is_current "$requirements"; then exit 0; fi
fi
trap 'die "set-up: got interrupted; expected to finish. Run it again to go on." 130' INT TERM
make_venv
install
