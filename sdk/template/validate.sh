#!/bin/sh
# The test of this project: the plugin keeps its contract. validate.sh [LIBRARY] [FLAG...]; the flags are keel-validate's:
# --config /models/mine looks at a checkpoint too.
set -eu
KEEL=${KEEL:-/path/to/keel-sdk}
here=$(cd "$(dirname "$0")" && pwd)
library=$here/libmine.so
case "${1:-}" in *.so) library=$1 && shift ;; esac
exec "$KEEL/bin/keel-validate" "$library" --config "$here/config.json" "$@"
