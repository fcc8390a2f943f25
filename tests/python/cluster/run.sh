#!/bin/bash
# usage: ./bazelw run //tests/python/cluster:run -- ray_test|spark_test|routers_test ...
# Runs tests of the Python package on local clusters, in an environment of its own that holds ray,
# pyspark and the routers (about 2 GB, made on first use in ~/.cache/keel/cluster-venv). They are no
# part of `bazel test //...` for that size. Spark needs a Java on PATH.
set -euo pipefail

here=tests/python/cluster
venv=${XDG_CACHE_HOME:-$HOME/.cache}/keel/cluster-venv
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/requirements.txt"
fi
PATH=$venv/bin:$PATH
export PATH PYTHONPATH=$PWD/sdk/python:$PWD PYSPARK_PYTHON=$venv/bin/python
(($#)) || set -- ray_test spark_test routers_test
for test in "$@"; do
  python "$here/$test.py"
done
