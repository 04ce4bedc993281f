# shellcheck shell=bash
# What the run_*.sh scripts share; to be sourced. The scripts work from any folder: paths are the caller's.

repository=$(CDPATH="" cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)

# absolute PATH: prints the path as seen from the caller's folder.
absolute() {
  if [[ "$1" == /* ]]; then printf '%s\n' "$1"; else printf '%s\n' "$PWD/$1"; fi
}

# The *_gpu.sh scripts set script_platform; a --platform on the command line comes later and wins.
platform_arguments=()
[[ -z "${script_platform:-}" ]] || platform_arguments=(--platform "$script_platform")

# train_arguments DATA_PATH [CONFIG] [--key value ...]: adds them to the array `arguments` as train.py's keys.
train_arguments() {
  arguments+=(--data_dir "$(absolute "$1")" "${platform_arguments[@]}")
  shift
  if (($#)) && [[ "$1" != --* ]]; then
    arguments+=(--config_path "$(absolute "$1")")
    shift
  fi
  arguments+=("$@")
}

# run_python COMMAND.py ARGUMENTS...: runs it in the repository with .venv's Python, or else the one on PATH.
run_python() {
  local python=$repository/.venv/bin/python
  [[ -x "$python" ]] || python=$(command -v python3) || {
    echo "run: got no Python; expected one with MindSpore. Run bash scripts/setup_env.sh" >&2
    return 2
  }
  cd "$repository" || return
  exec "$python" "$@"
}
