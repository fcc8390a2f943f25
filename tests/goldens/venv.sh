#!/bin/sh
# Prints the Python of the environment with the packages of requirements.txt. Makes it on first use,
# in $KEEL_GOLDENS_VENV, else in ~/.cache/keel/goldens-venv.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=${KEEL_GOLDENS_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/keel/goldens-venv}

if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
  python3 -m venv "$venv" >&2
  "$venv/bin/pip" install -r "$here/requirements.txt" >&2
  cp "$here/requirements.txt" "$venv/requirements.txt"
fi
echo "$venv/bin/python"
