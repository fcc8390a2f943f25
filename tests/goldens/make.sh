#!/bin/sh
# Rewrites every golden of the repository, or those of the families named:
#
#   tests/goldens/make.sh [family ...]
#
# Makes a Python environment with the pinned packages on first use, in $KEEL_GOLDENS_VENV, else in
# ~/.cache/keel/goldens-venv.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${KEEL_GOLDENS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/keel/goldens-venv}

if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/requirements.txt"
fi
"$venv/bin/python" "$here/make.py" "$@"
if [ $# -eq 0 ]; then
  "$venv/bin/python" "$here/make_sampling.py"
  "$venv/bin/python" "$here/make_beams.py"
fi
