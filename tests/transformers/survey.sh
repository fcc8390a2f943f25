#!/bin/sh
# survey.py in the goldens' Python environment, which is made on first use.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
./bazelw build //tests/transformers:check_graph >&2
python=$(tests/goldens/venv.sh)
OMP_NUM_THREADS=1 PYTHONPATH="$root/sdk/python:$root/tests/transformers${PYTHONPATH:+:$PYTHONPATH}" exec "$python" \
  tests/transformers/survey.py --check-graph "$root/bazel-bin/tests/transformers/check_graph" "$@"
