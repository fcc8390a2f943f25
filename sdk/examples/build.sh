#!/bin/bash
# Builds a plugin by the very command that docs/plugin-authoring.md shows for C or C++: build.sh PAGE KEEL SOURCE OUTPUT.
# KEEL is a copy of Keel's repository, of which only sdk/ is used.
set -euo pipefail
page=$1 keel=$(realpath "$2") source=$3 output=$4

suffix=${source##*.}
case $suffix in
  c) compiler=cc ;;
  *) compiler=g++ ;;
esac
command=$(sed -n "/^$compiler /,/^\`\`\`\$/ { /^\`\`\`\$/d; p }" "$page")
[[ -n $command ]] || {
  echo "$page shows no $compiler command" >&2
  exit 1
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$source" "$dir/mine.$suffix"
(cd "$dir" && KEEL=$keel bash -c "$command")
cp "$dir/libmine.so" "$output"
