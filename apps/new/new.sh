#!/bin/bash
# bazel run //apps:new -- NAME [DIR] [--like FAMILY]: unpacks the SDK's archive into the user's cache, where the new
# project finds it, and runs its keel-new.
set -euo pipefail
archive=$(realpath "$1")
shift
sum=$(sha256sum "$archive" | cut -c1-12)
sdk=${XDG_CACHE_HOME:-$HOME/.cache}/keel/sdk-$sum
if [[ ! -d $sdk ]]; then
  mkdir -p "$(dirname "$sdk")"
  unpacked=$(mktemp -d "$sdk.XXXXXX")
  tar --extract --gzip --file="$archive" --directory="$unpacked" --strip-components=1
  mv --no-target-directory "$unpacked" "$sdk" 2>/dev/null || rm -rf "$unpacked" # another was faster
fi
cd "${BUILD_WORKING_DIRECTORY:-.}"
exec "$sdk/bin/keel-new" "$@"
