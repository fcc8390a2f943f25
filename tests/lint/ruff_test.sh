#!/bin/bash
# Python is as ruff.toml says.
set -euo pipefail
source tests/lint/files.sh
root=$(dirname "$(readlink -f WORKSPACE)")

complaints=$(python_files "$root" |
  xargs -0 "$1" check --config "$root/ruff.toml" --no-cache --quiet --output-format concise 2>&1) || {
  echo "${complaints//$root\//}"
  echo "what can be mended without you: ./bazelw run //tests/lint:format"
  exit 1
}
