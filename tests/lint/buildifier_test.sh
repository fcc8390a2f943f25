#!/bin/bash
# BUILD and .bzl files are formatted as buildifier does it.
set -euo pipefail
source tests/lint/files.sh
root=$(dirname "$(readlink -f WORKSPACE)")

unformatted=$(build_files "$root" | xargs -0 "$1" -mode=check -lint=off 2>&1) || {
  echo "$unformatted"
  echo "to format: ./bazelw run //tests/lint:format"
  exit 1
}
