#!/bin/sh
# Writes src/abi.rs from sdk/abi/plugin.h with bindgen 0.73 (cargo install bindgen-cli; it needs libclang).
set -eu
cd "$(dirname "$0")"
bindgen ../abi/plugin.h --use-core --no-doc-comments --with-derive-default --allowlist-type 'keel_.*' \
  --allowlist-var 'KEEL_.*' --blocklist-function keel_plugin_entry_v1 \
  --raw-line '#![allow(non_camel_case_types)]' --output src/abi.rs
