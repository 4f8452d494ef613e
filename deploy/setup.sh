#!/usr/bin/env bash
# Installs what building needs, or says what is missing. Quick when all is there.
set -euo pipefail

command -v cargo >/dev/null || { echo "setup: no Rust toolchain found; install one from https://rustup.rs and run this again" >&2; exit 1; }

missing=()
command -v cc >/dev/null && command -v c++ >/dev/null || missing+=(build-essential)
# RocksDB's bindings are generated with libclang.
has_libclang() {
  local folder
  for folder in ${LIBCLANG_PATH:-} /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 /usr/lib; do
    # Not libclang-cpp, which is another library and may be there alone.
    compgen -G "$folder/libclang.so*" >/dev/null && return
    compgen -G "$folder/libclang-[0-9]*.so*" >/dev/null && return
  done
  return 1
}
has_libclang || missing+=(libclang-dev)
[ ${#missing[@]} -eq 0 ] && exit 0

if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "setup: installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
else
  echo "setup: missing ${missing[*]}; on Debian: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
