# shellcheck shell=bash
# Which interpreter can make .venv; to be sourced.
# uv's own search does not do: it fails at a shim of a Python that pyenv did not select.

readonly EXPECTED_PYTHON="64-bit CPython 3.9 - 3.12 with venv and ensurepip"
# Prints "ok 3.11", or what is wrong; any Python can run it.
readonly PROBE='
import platform, sys
version, kind, missing = platform.python_version(), platform.python_implementation(), []
for name in ("venv", "ensurepip", "ssl", "zlib"):
    try:
        __import__(name)
    except ImportError:
        missing.append(name)
if not (3, 9) <= sys.version_info[:2] <= (3, 12): print(version)
elif sys.maxsize < 2**32: print(version + ", 32-bit")
elif kind != "CPython": print(version + ", " + kind)
elif missing: print(version + ", lacks " + "+".join(missing))
else: print("ok %d.%d" % sys.version_info[:2])
'

# probe PYTHON: prints the answer of PROBE.
probe() { "$1" -c "$PROBE" 2>/dev/null </dev/null || echo "does not run"; }

# Sets `python` to the first interpreter that can, on PATH or in the usual places. Ends the script when there is none.
find_python() {
  local found="" lacking="" name answer home=${HOME:-/nonexistent}
  local places=("${PYENV_ROOT:-$home/.pyenv}"/versions/*/bin "$home"/.local/share/uv/python/*/bin
    {"$home",/opt}/{{mini,ana}conda,{mini,mamba}forge}{,3}/{,envs/*/}bin)
  for name in python3.{11,12,10,9} python3 python; do
    while read -r python; do
      answer=$(probe "$python")
      [[ $answer != ok* ]] || return 0
      found+=", $python ($answer)"
      [[ $answer != *lacks* ]] || lacking=${answer%%,*}
    done < <(PATH=$PATH$(printf ':%s' "${places[@]}") && type -aP "$name")
  done
  lacking=${lacking:+the package python${lacking%.*}-venv (or python3-venv)}
  [[ -n $found ]] || found=", none"
  die "Python: got ${found:2}; expected $EXPECTED_PYTHON. Install ${lacking:-one}, or set PYTHON to its path."
}
