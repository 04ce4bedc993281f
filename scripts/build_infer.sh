#!/usr/bin/env bash
# Builds ascend310_infer (infer_images and infer_bin); returns at once when they are current.
#
# Usage: bash scripts/build_infer.sh [BUILD_FOLDER [CMAKE_OPTION...]]     default: ascend310_infer/build
# Backends: OpenVINO from .venv or the system; AscendCL from ASCEND_TOOLKIT_HOME; MindSpore Lite from LITE_HOME.
set -euo pipefail

# shellcheck source=scripts/lib/commands.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/commands.sh"
build=$(absolute "${1:-$repository/ascend310_infer/build}")
cd "$repository"

die() {
  printf 'build_infer: %s\n' "$1" >&2
  exit 1
}

# Changes when a rebuild is needed: sources, Python environment with OpenVINO's version, SDK folders.
fingerprint() {
  {
    sha256sum ascend310_infer/CMakeLists.txt ascend310_infer/{inc,src}/*
    printf '%s\n' "$repository" .venv/lib/python*/site-packages/openvino-*.dist-info
    printf '%s\n' "${ASCEND_TOOLKIT_HOME:-}" "${LITE_HOME:-}" "${OpenVINO_DIR:-}"
  } | sha256sum
}

stamp=$(fingerprint)
# Whether the programs are those of these sources and still find their libraries.
is_current() {
  [[ -x "$build/infer_images" && -x "$build/infer_bin" && -f "$build/.stamp" && $(<"$build/.stamp") == "$stamp" ]] &&
    ! ldd "$build/infer_images" 2>/dev/null | grep -q ' not found'
}
! is_current || exit 0
mkdir -p "$build" 2>/dev/null || true
[[ -d "$build" && -w "$build" ]] ||
  die "folder: got '$build', which cannot be written; expected a place for the programs. Name another one: build_infer.sh FOLDER, or run_infer_310.sh ... --build_dir FOLDER"
bash scripts/setup_cpp.sh
if command -v flock >/dev/null; then
  exec 9>"$build/.lock"
  flock 9 # a second build waits, then finds the programs current
  ! is_current || exit 0
fi
rm -rf "$build/.stamp" "$build/CMakeCache.txt" # what an earlier configuration found may be gone
echo "build_infer: building the C++ programs in $build"
options=("${@:2}")
[[ ! -x .venv/bin/python ]] || options+=("-DPython3_EXECUTABLE=$PWD/.venv/bin/python")
log=$build/build.log
if ! { cmake -S ascend310_infer -B "$build" ${options[@]+"${options[@]}"} &&
  cmake --build "$build" --parallel "$(nproc)"; } >"$log" 2>&1; then
  reason=$(grep -m 1 -E 'error:|Error|\*\*\*' "$log") || reason="no reason given"
  die "cmake: got '$reason'; expected to build. Read the log: $log"
fi
printf '%s\n' "$stamp" >"$build/.stamp"
