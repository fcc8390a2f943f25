#!/bin/sh
# Builds libmine.so with a compiler and Keel's sdk/ alone. KEEL: a copy of Keel's repository.
set -eu
: "${KEEL:?set it to a copy of the repository of Keel, of which only sdk/ is used}"

g++ -std=c++20 -O2 -fPIC -shared -fvisibility=hidden -fno-gnu-unique -I"$KEEL" mine.cc -o libmine.so \
  -Wl,--version-script="$KEEL/sdk/plugin.lds" -Wl,-z,defs,-z,now,-z,relro,-z,noexecstack \
  -static-libgcc -Wl,-Bstatic -lstdc++ -Wl,-Bdynamic -Wl,--as-needed
