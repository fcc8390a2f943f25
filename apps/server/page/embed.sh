#!/bin/bash
# usage: embed.sh FILE...
# Writes page_files.cc: the files, as they are, as C++.
set -euo pipefail

cat <<'END'
#include "apps/server/page/page_files.h"

namespace keel::apps {
namespace {

constexpr PageFile kFiles[] = {
END
for file in "$@"; do
  tag=$(sha256sum "$file" | cut -c1-16)
  printf '{"%s", R"("%s")", R"page(' "${file##*/}" "$tag"
  cat "$file"
  echo ')page"},'
done
cat <<'END'
};

}  // namespace

std::span<const PageFile> PageFiles() { return kFiles; }

}  // namespace keel::apps
END
