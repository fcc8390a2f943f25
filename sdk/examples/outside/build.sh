#!/bin/bash
# Builds a plugin with a compiler alone: build.sh KEEL SOURCE OUTPUT. KEEL is a copy of Keel's repository, of which only
# sdk/ is used.
set -euo pipefail
keel=$1 source=$2 output=$3
g++ -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -fno-gnu-unique -I"$keel" "$source" -o "$output" \
  -Wl,--version-script="$keel/sdk/plugin.lds" -Wl,-z,defs,-z,now,-z,relro,-z,noexecstack \
  -static-libgcc -Wl,-Bstatic -lstdc++ -Wl,-Bdynamic -Wl,--as-needed
