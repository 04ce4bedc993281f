#!/usr/bin/env bash
# From nothing to a trained, evaluated and exported network on a CPU: set-up, data, train, eval, export, predict, infer in C++.
# Everything is written under outputs/quickstart; each command is printed, to be repeated by hand.
#
# Usage: bash scripts/quickstart.sh
set -euo pipefail

CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME  # packages from outside .venv must not decide the result

readonly PY=.venv/bin/python
readonly CONFIG=configs/quickstart.yaml
readonly OUT=outputs/quickstart
readonly CKPT=$OUT/run/last.ckpt

# step <name> <command...>: prints and runs the command; ends the script with its exit code when it fails.
step() {
  local name=$1 status=0
  shift
  printf '$'
  printf ' %q' "$@"
  printf '\n'
  "$@" || status=$?
  ((status == 0)) || {
    echo "quickstart: $name: got exit code $status; expected 0. The lines above say why." >&2
    exit "$status"
  }
}

# One quickstart at a time: the lock is held by this script and all that it starts, and goes when they have ended.
mkdir -p "${OUT%/*}"
exec 9<>"$OUT.lock"
! command -v flock >/dev/null || flock --nonblock 9 || {
  echo "error: $OUT is in use by $(head -n 1 "$OUT.lock"); wait for the end of that quickstart" >&2
  exit 2
}
echo "process $$ on $(uname -n) since $(date '+%F %T')" >"$OUT.lock"

step "set-up" bash scripts/setup_env.sh
"$PY" -m src.cpu || echo "quickstart: CPU kernels: going on with MindSpore's own, for the reason above" >&2
step "clean" rm -rf "$OUT" # nothing of an earlier run may end up in summary.json
step "data" "$PY" -m src.data.tools.digits --output "$OUT/data"
step "train" "$PY" train.py --config_path "$CONFIG"
step "eval ckpt" "$PY" eval.py --config_path "$CONFIG" --pretrained "$CKPT" --report 0 --result_json "$OUT/eval_ckpt.json"

for format in MINDIR ONNX; do
  kind=${format,,}
  file=$OUT/resnext.$kind
  step "export $kind" "$PY" export.py --config_path "$CONFIG" --ckpt_file "$CKPT" \
    --file_format "$format" --file_name "$file"
  step "eval $kind" "$PY" eval.py --config_path "$CONFIG" --pretrained "$file" --report 0 \
    --result_json "$OUT/eval_$kind.json"
done

# One image from each of the first three class folders.
predicted=0
for folder in "$OUT"/data/val/*/; do
  images=("$folder"*)
  [[ -f "${images[0]}" ]] || continue
  step "predict" "$PY" eval.py --predict "${images[0]}" --pretrained "$OUT/resnext.onnx"
  predicted=$((predicted + 1))
  ((predicted < 3)) || break
done
((predicted == 3)) || {
  echo "quickstart: predict: got images of $predicted classes in $OUT/data/val; expected 3. See the data step above." >&2
  exit 1
}

# The C++ program is the last link of the chain; without a compiler (or OpenVINO, on ARM) the others still count.
if ! bash scripts/build_infer.sh; then
  echo "quickstart: infer: going on without the C++ program, for the reason above" >&2
elif ! ascend310_infer/build/infer_images --help | grep -q "OpenVINO: built in"; then
  echo "quickstart: infer: going on without the C++ program, because OpenVINO was not found for it" >&2
else
  step "infer" bash scripts/run_infer_310.sh "$OUT/resnext.onnx" "$OUT/data/val" --output "$OUT/infer"
fi

step "summary" "$PY" -m scripts.quickstart_summary
step "report" "$PY" -m src.report "$OUT/run" # training wrote it too, before there were exports
