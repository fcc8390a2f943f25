# The files that the format checks look at; to be sourced, with the root of the tree as $1.

files_named() { # files_named ROOT PATTERN...: NUL-separated paths below ROOT
  local root=$1 names=()
  shift
  for pattern in "$@"; do names+=(-o -name "$pattern"); done
  find "$root" \( -name '.?*' -o -name 'bazel-*' -o -name target -o -name vendor \) -prune -o \
    -type f \( "${names[@]:1}" \) -print0
}

cc_files() { files_named "$1" '*.cc' '*.h' '*.c'; }

python_files() { files_named "$1" '*.py'; }

build_files() { files_named "$1" BUILD 'BUILD.*' '*.bzl' WORKSPACE; }
