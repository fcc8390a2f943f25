#!/bin/bash
# The program as a pipe sees it: lines in, answers alone out.
set -euo pipefail
chat=$1

fail() {
  echo "$*"
  exit 1
}

answers=$(printf 'Define: river\nAnd a lake?\n' | "$chat" --model m 2>messages) || fail "failed"
[[ $answers == $'Define: river\nAnd a lake?' ]] || fail "answers: $answers"
! grep -q $'\033' messages || fail "colours in a pipe"

status=0
printf '/nonsense\n' | "$chat" --model m 2>messages || status=$?
[[ $status == 1 ]] || fail "exit code $status after a turn that failed, expected 1"

status=0
printf 'hi\n' | "$chat" --model m --no-chat-template 2>messages || status=$?
[[ $status == 1 ]] && grep -q 'm has no chat template' messages || fail "$status: $(cat messages)"

"$chat" --help >help
for word in --system --temperature --max-tokens --max-num-seqs /help; do
  grep -q -e "$word" help || fail "--help does not tell of $word"
done
