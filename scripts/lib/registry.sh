# shellcheck shell=bash
# Where setup_env.sh and lock.sh get packages from; to be sourced.

# use_pip_settings PYTHON: fills `uv_options` with pip's indexes, certificates and proxy; uv does not read pip's settings.
use_pip_settings() {
  local -A setting=()
  local listed section key value word
  listed=$("$1" -m pip config list 2>/dev/null) || listed=""
  for section in global install :env:; do # pip's order: what comes later wins
    while IFS='=' read -r key value; do
      [[ $key != "$section."* ]] || setting[${key##*.}]=${value:1:-1} # pip prints Python strings
    done <<<"$listed"
  done
  uv_options=(--no-python-downloads --index-strategy unsafe-best-match) # as pip: the best file of all indexes; hashes decide
  for key in "${!setting[@]}"; do
    value=${setting[$key]//\\n/ } # a list is separated by blanks or line ends
    case $key in
      index-url) uv_options+=(--default-index "$value") ;;
      extra-index-url) for word in $value; do uv_options+=(--index "$word"); done ;;
      find-links) for word in $value; do uv_options+=(--find-links "$word"); done ;;
      trusted-host) for word in $value; do uv_options+=(--allow-insecure-host "$word"); done ;;
      no-index) [[ $value =~ ^(0|false|no|off)$ ]] || uv_options+=(--no-index) ;;
      cert) export SSL_CERT_FILE=$value ;;
      proxy) export HTTP_PROXY=$value HTTPS_PROXY=$value ;;
    esac
  done
}
