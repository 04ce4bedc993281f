#!/usr/bin/env bash
# Classifies a folder of images in C++; builds the program first when needed. The model's ending chooses the backend:
# .onnx OpenVINO, .om AscendCL, .mindir MindSpore Lite. The current folder gets result_Files, time_Result, acc.log (where
# class folders or --label_file give the labels) and failed.txt (where images could not be read: exit code 3).
#
# Usage: bash scripts/run_infer_310.sh MODEL_PATH DATA_PATH [DEVICE_ID] [--build_dir FOLDER] [--flag value ...]
#   The flags are those of ascend310_infer/build/infer_images --help.
set -euo pipefail

usage="usage: bash scripts/run_infer_310.sh MODEL_PATH DATA_PATH [DEVICE_ID] [--build_dir FOLDER] [--flag value ...]"
die() {
  printf 'run_infer_310: %s\n' "$1" >&2
  exit 2
}
[[ $# -ge 2 && "$1" != --* && "$2" != --* ]] || die "got $# arguments; expected MODEL_PATH and DATA_PATH. $usage"
# shellcheck source=scripts/lib/commands.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib/commands.sh"

arguments=(--model_path "$1" --dataset_path "$2")
shift 2
if (($#)) && [[ "$1" != --* ]]; then
  [[ "$1" =~ ^[0-9]+$ ]] || die "DEVICE_ID: got '$1'; expected a number from 0. $usage"
  arguments+=(--device_id "$1")
  shift
fi
build=$repository/ascend310_infer/build
while (($#)); do
  case $1 in
    --build_dir | --build_dir=*)
      if [[ "$1" == *=* ]]; then folder=${1#*=}; else
        folder=${2:-}
        (($# < 2)) || shift
      fi
      [[ -n "$folder" ]] || die "--build_dir: got no value; expected a folder. $usage"
      build=$(absolute "$folder")
      ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
bash "$repository/scripts/build_infer.sh" "$build"
exec "$build/infer_images" "${arguments[@]}"
