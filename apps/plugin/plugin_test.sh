#!/bin/bash
# keel-plugin as people run it: every command, on the tiny Llama's library and checkpoint.
set -euo pipefail
plugin=$PWD/$1
library=$PWD/$2
checkpoint=$PWD/$3
keys=$PWD/$4
dir=$(mktemp -d "${TEST_TMPDIR:-/tmp}/plugin.XXXX")
cd "$dir"
export XDG_CONFIG_HOME=$dir/config

fail() {
  echo "$*"
  exit 1
}

# run STATUS WORDS COMMAND...: the command exits so and says so.
run() {
  local expected=$1 words=$2 status=0
  shift 2
  "$plugin" "$@" >output 2>&1 || status=$?
  [[ $status == "$expected" ]] || fail "$*: exit code $status, expected $expected: $(cat output)"
  grep -q -e "$words" output || fail "$*: does not say '$words': $(cat output)"
}

cp -L "$library" libllama.so
cp -rL "$checkpoint" model
chmod -R u+w,go-w .

run 0 'export-graph' --help
run 2 "there is no command 'frobnicate'" frobnicate
run 2 'Usage:'
for command in inspect pin sign verify export-graph; do
  run 0 '--json' "$command" --help
  run 2 'PATH' "$command"
done

run 0 'id: org.keel.llama' inspect libllama.so
run 0 '"kind":"library"' inspect --json libllama.so
run 1 'graph file config.json' inspect model/config.json
run 1 'no keel_plugin.json' inspect model

run 1 'not verified: plugin libllama.so: has sha256 .* not pinned' verify libllama.so
run 0 'pinned' pin libllama.so --comment 'by the test'
run 0 'verified: sha256' verify libllama.so
grep -q 'by the test' config/keel/trust || fail 'the pin has no comment'

run 0 "signed as 'org.keel.llama" sign libllama.so --key "$keys/plain.key"
printf 'key %s org.keel.*\n' "$(tail -n 1 "$keys/plain.pub")" >keys
chmod 644 keys
run 0 'verified: sha256' verify libllama.so --trust-file keys
printf 'x' >>libllama.so
run 1 'does not fit its bytes' verify libllama.so --trust-file keys

run 0 'recorded org.keel.llama' export-graph model
run 0 'config_sha256' inspect model/keel.graph
run 0 'architecture: LlamaForCausalLM' inspect model
run 0 'functions {' inspect --text model/keel.graph
grep -q '"kind":"graph"' model/keel_plugin.json || fail 'the manifest does not name the graph'
