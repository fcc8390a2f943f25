#!/bin/sh
# The test of this project: the plugin keeps its contract. validate.sh [LIBRARY]
set -eu
KEEL=${KEEL:-/path/to/keel-sdk}
here=$(cd "$(dirname "$0")" && pwd)
exec "$KEEL/bin/keel-validate" "${1:-$here/libmine.so}" --config "$here/config.json"
