#!/bin/bash
# The template builds as its README says, without a warning; by the command that the docs show; and
# what comes out keeps the rules of plugins. Argument: keel-validate.
set -euo pipefail
validate=$(realpath "$1") keel=$PWD

command_of() { # the g++ command of a page or a script
  sed -n '/^g++ /,/as-needed$/p' "$1"
}
diff <(command_of docs/plugin-authoring.md) <(command_of sdk/template/build.sh)

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp sdk/template/mine.cc sdk/template/build.sh sdk/template/config.json "$copy"
cd "$copy"
g++ -std=c++20 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -I"$keel" mine.cc
KEEL=$keel ./build.sh
"$validate" libmine.so --architectures MyModelForCausalLM --config config.json
