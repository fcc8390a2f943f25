#!/bin/bash
# Writes core/plugin/testdata/minisign with Debian's minisign (0.11): a key without a password for
# tests alone, a message, its signature.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../../core/plugin/testdata/minisign"
printf 'a plugin\n' > message.bin
minisign -G -W -f -p plain.pub -s plain.key > /dev/null
minisign -S -H -s plain.key -m message.bin -t "org.example.foo 1.0 linux-x86_64"
