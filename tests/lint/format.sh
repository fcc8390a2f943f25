#!/bin/bash
# Formats C, C++ and BUILD files in place, and mends of Python what needs no thought.
set -euo pipefail
source tests/lint/files.sh
root=$BUILD_WORKSPACE_DIRECTORY

cc_files "$root" | xargs -0 --max-procs=2 --max-args=32 clang-format-14 -i
build_files "$root" | xargs -0 "$1" -mode=fix -lint=off
python_files "$root" | xargs -0 "$2" check --config "$root/ruff.toml" --no-cache --fix-only --quiet
