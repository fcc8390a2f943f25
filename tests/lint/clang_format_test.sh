#!/bin/bash
# C and C++ sources are formatted as .clang-format says.
set -euo pipefail
source tests/lint/files.sh
root=$(dirname "$(readlink -f WORKSPACE)")

if ! complaints=$(cc_files "$root" |
  xargs -0 --max-procs=2 --max-args=16 clang-format-14 --dry-run --Werror 2>&1); then
  sed -n "s|^$root/\([^:]*\):[0-9].*|not formatted: \1|p" <<<"$complaints" | sort -u
  echo "to format all: ./bazelw run //tests/lint:format"
  exit 1
fi
