#!/bin/bash
# usage: make_env.sh LOCK LINK
# Makes LINK a link to a virtual environment with the packages of LOCK. Environments are kept in
# ~/.cache/keel by the lock's content, so that every checkout with the same lock shares one.
set -euo pipefail

lock=$1 link=$2
sum=$( (python3 --version && cat "$lock") | sha256sum | cut -c1-12)
env=${XDG_CACHE_HOME:-$HOME/.cache}/keel/python-$sum

if [[ ! -e $env/complete ]]; then
  mkdir -p "${env%/*}"
  exec 9>"$env.lock"
  flock 9 # another checkout may be making it
fi
if [[ ! -e $env/complete ]]; then
  rm -rf "$env"
  echo "Making the Python environment of $(basename "$lock")" >&2
  python3 -m venv "$env" || {
    echo "python3 -m venv failed; apt install python3-venv" >&2
    exit 1
  }
  "$env/bin/python3" -m pip install --disable-pip-version-check --no-cache-dir --no-deps --quiet \
    --only-binary=:all: --require-hashes --requirement "$lock" >&2 || {
    echo "pip could not install the packages of $lock, it says why above" >&2
    exit 1
  }
  touch "$env/complete"
fi
ln -sfn "$env" "$link"
