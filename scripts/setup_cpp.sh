#!/usr/bin/env bash
# Makes sure that what ascend310_infer is built with is there: a C++17 compiler, CMake, make, and the headers of
# libjpeg-turbo, libpng, libtiff, libwebp and nlohmann/json (MindSpore's wheel in .venv has the last one too). Installs what
# is missing with apt where that is allowed; else prints the command that does it, and exits with 1.
#
# Usage: bash scripts/setup_cpp.sh [--tests]     --tests: also doctest, which the unit tests are built with
set -euo pipefail

die() {
  printf 'setup_cpp: %s\n' "$1" >&2
  exit 1
}

# has_header NAME: whether the compiler finds it.
has_header() { printf '#include <cstdio>\n#include <%s>\n' "$1" | c++ -x c++ -fsyntax-only - 2>/dev/null; }

# Prints what is missing, one name of this script per line.
missing_tools() {
  command -v cmake >/dev/null || echo cmake
  command -v make >/dev/null || echo make
  if ! has_header filesystem; then
    printf '%s\n' compiler jpeg png tiff webp json ${tests[@]+"${tests[@]}"} # without a compiler the headers cannot be looked for
    return
  fi
  has_header jpeglib.h || echo jpeg
  has_header png.h || echo png
  has_header tiffio.h || echo tiff
  has_header webp/decode.h || echo webp
  compgen -G "$root/.venv/lib/python*/site-packages/mindspore/include/third_party/nlohmann/json.hpp" >/dev/null ||
    has_header nlohmann/json.hpp || echo json
  ((${#tests[@]} == 0)) || has_header doctest/doctest.h || echo doctest
}

# packages apt|dnf NAME...: the packages that hold them.
packages() {
  local manager=$1 name
  shift
  for name in "$@"; do
    case $manager-$name in
      *-cmake | *-make) echo "$name" ;;
      apt-compiler) echo g++ ;;
      dnf-compiler) echo gcc-c++ ;;
      apt-jpeg) echo libjpeg-dev ;;
      dnf-jpeg) echo libjpeg-turbo-devel ;;
      apt-png) echo libpng-dev ;;
      dnf-png) echo libpng-devel ;;
      apt-tiff | apt-webp) echo "lib$name-dev" ;;
      dnf-tiff | dnf-webp) echo "lib$name-devel" ;;
      apt-json) echo nlohmann-json3-dev ;;
      dnf-json) echo json-devel ;;
      apt-doctest) echo doctest-dev ;;
      dnf-doctest) echo doctest-devel ;;
    esac
  done
}

root=$(CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
case ${1:-} in
  '') tests=() ;;
  --tests) tests=(doctest) ;;
  *) die "got '$1'; expected nothing or --tests" ;;
esac
mapfile -t missing < <(missing_tools)
((${#missing[@]})) || exit 0

if command -v apt-get >/dev/null; then
  mapfile -t names < <(packages apt "${missing[@]}")
  install=(apt-get install -y --no-install-recommends "${names[@]}")
  if [[ $(id -u) == 0 ]]; then as_root=(env)
  elif sudo -n true 2>/dev/null; then as_root=(sudo -n env)
  else die "got no ${missing[*]}; expected them to build the C++ program. Run: sudo ${install[*]}"; fi
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  echo "setup_cpp: installing ${names[*]}"
  apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -y)
  if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${names[@]}"; } >"$log" 2>&1; then
    reason=$(grep -m 1 -E '^(E:|W:)' "$log") || reason="no reason given"
    die "apt-get: got '$reason'; expected to install ${names[*]}. Mend that, then run: sudo ${install[*]}"
  fi
  mapfile -t missing < <(missing_tools)
  ((${#missing[@]} == 0)) || die "got no ${missing[*]} after installing ${names[*]}; expected them. Install them by hand."
else
  mapfile -t names < <(packages dnf "${missing[@]}")
  die "got no ${missing[*]}; expected them to build the C++ program. Run: sudo dnf install -y ${names[*]}"
fi
