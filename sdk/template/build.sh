#!/bin/sh
# Builds libmine.so with a compiler and Keel's SDK alone.
set -eu
KEEL=${KEEL:-/path/to/keel-sdk}
cd "$(dirname "$0")"

g++ -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -fno-gnu-unique -I"$KEEL" mine.cc -o libmine.so \
  -Wl,--version-script="$KEEL/sdk/plugin.lds" -Wl,-z,defs,-z,now,-z,relro,-z,noexecstack \
  -static-libgcc -Wl,-Bstatic -lstdc++ -Wl,-Bdynamic -Wl,--as-needed
