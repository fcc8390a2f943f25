#!/bin/sh
# compare.py in the goldens' Python environment, which is made on first use. Arguments: the program
# trace, compare.py, then those of compare.py; relative paths are the caller's.
set -eu
trace=$PWD/$1 script=$PWD/$2
shift 2
python=$("$BUILD_WORKSPACE_DIRECTORY/tests/goldens/venv.sh")
cd "$BUILD_WORKING_DIRECTORY"
exec "$python" "$script" --trace "$trace" "$@"
