#!/bin/sh
# Rewrites every golden of the repository, or those of the families named:
#
#   tests/goldens/make.sh [family ...]
#
# in the Python environment that venv.sh makes.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=$("$here/venv.sh")

"$python" "$here/make.py" "$@"
"$python" "$here/make_config_defaults.py" "$@"
if [ $# -eq 0 ]; then
  "$python" "$here/make_sampling.py"
  "$python" "$here/make_beams.py"
  "$python" "$here/make_jinja.py"
  "$python" "$here/make_media.py"
fi
