#!/usr/bin/env bash
# Two clusters of three nodes on loopback, one replicating to the other: the guide, walked with the command line.
#
#   deploy/demo.sh          start, walk, leave running
#   deploy/demo.sh --once   start, walk, stop
#   deploy/demo.sh --stop   stop what an earlier run left
set -euo pipefail
cd "$(dirname "$0")/.."

# The Makefile's place, also without make: elsewhere RocksDB would be compiled anew.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/coffer/target}
target=$CARGO_TARGET_DIR
coffer=$target/debug/coffer
home=${COFFER_DEMO_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/coffer/demo}
primary_ports=(8200 8210 8220)
secondary_ports=(8300 8310 8320)
once=no

bold=$(tput bold 2>/dev/null || true); plain=$(tput sgr0 2>/dev/null || true)
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
# Runs and shows a command; the first argument names where it is sent.
say() { local where=$1; shift; printf '\n%s[%s]%s $ %s\n' "$bold" "$where" "$plain" "$*"; }
on() { local addr=$1 where=$2; shift 2; say "$where" "coffer $*"; VAULT_ADDR=http://127.0.0.1:$addr "$coffer" "$@"; }
quiet() { local addr=$1; shift; VAULT_ADDR=http://127.0.0.1:$addr "$coffer" "$@"; }

running_pids() { # pids of demo nodes that are still ours
  local file pid
  for file in "$home"/*/*.pid; do
    [ -e "$file" ] || continue
    pid=$(cat "$file")
    if cat "/proc/$pid/cmdline" 2>/dev/null | tr '\0' ' ' | grep -q "server -config=$home/"; then echo "$pid"; fi
  done
}
stop_all() {
  local pids pid n
  pids=$(running_pids)
  [ -n "$pids" ] || return 0
  # shellcheck disable=SC2086
  kill $pids 2>/dev/null || true
  for pid in $pids; do
    for n in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  done
}

case ${1:-} in
  --stop) stop_all; echo "demo: stopped"; exit 0 ;;
  --once) once=yes ;;
  '') ;;
  *) die "unknown argument $1; use --once, --stop, or none" ;;
esac

title "Building (the first build compiles RocksDB: about twelve minutes on two cores)"
[ -n "${COFFER_NO_BUILD:-}" ] || cargo build
[ -x "$coffer" ] || die "no binary at $coffer"

if [ -n "$(running_pids)" ]; then echo "demo: an earlier demo is still running; stopping it"; stop_all; fi
for port in "${primary_ports[@]}" "${secondary_ports[@]}"; do
  for p in "$port" $((port + 1)); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$p") 2>/dev/null; then die "port $p is in use by another program; stop it and run this again"; fi
  done
done
rm -rf "$home"; mkdir -p "$home"
[ "$once" = no ] || trap stop_all EXIT
unset VAULT_TOKEN VAULT_ADDR VAULT_NAMESPACE VAULT_FORMAT COFFER_ADDR COFFER_TOKEN 2>/dev/null || true

write_config() { # cluster, number, port, ports of its cluster
  local cluster=$1 n=$2 port=$3; shift 3
  mkdir -p "$home/$cluster/data$n"
  {
    printf 'cluster_name = "%s"\napi_addr = "http://127.0.0.1:%s"\ncluster_addr = "https://127.0.0.1:%s"\ndisable_mlock = true\nlog_level = "info"\n' \
      "$cluster" "$port" $((port + 1))
    printf 'listener "tcp" {\n  address = "127.0.0.1:%s"\n  cluster_address = "127.0.0.1:%s"\n  tls_disable = true\n}\n' "$port" $((port + 1))
    printf 'storage "raft" {\n  path = "%s"\n  node_id = "%s-%s"\n' "$home/$cluster/data$n" "$cluster" "$n"
    local other
    for other in "$@"; do
      [ "$other" = "$port" ] || printf '  retry_join {\n    leader_api_addr = "http://127.0.0.1:%s"\n  }\n' "$other"
    done
    printf '}\n'
  } >"$home/$cluster/node$n.hcl"
}
start_node() { # cluster, number
  "$coffer" server -config="$home/$1/node$2.hcl" >>"$home/$1/node$2.log" 2>&1 &
  echo $! >"$home/$1/node$2.pid"
}
wait_for() { # seconds, what, command...
  local seconds=$1 what=$2 n; shift 2
  for n in $(seq $((seconds * 10))); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    [ $((n % 10)) -ne 0 ] || printf '.'
    sleep 0.1
  done
  printf '\n'
  for log in "$home"/*/*.log; do echo "--- $log"; tail -n 12 "$log"; done >&2
  die "waited $seconds s for $what; the logs are in $home"
}
# As the command line tells it, so that nothing else is needed: the status code of sys/health; nothing if there is no answer.
health() {
  local said
  if said=$(VAULT_CLIENT_TIMEOUT=2 quiet "$1" read sys/health 2>&1); then echo 200; else sed -n 's/^Code: \([0-9]*\).*/\1/p' <<<"$said"; fi
}
answers() { [ -n "$(health "$1")" ]; }
is_active() { [ "$(health "$1")" = 200 ]; }
is_standby() { [ "$(health "$1")" = 429 ]; }
serves() { is_active "$1" || is_standby "$1"; }
active_of() { local port; for port in "$@"; do if is_active "$port"; then echo "$port"; return; fi; done; return 1; }
other_of() { local down=$1 port; shift; for port in "$@"; do [ "$port" = "$down" ] || { echo "$port"; return; }; done; }
number_of() { local wanted=$1 n=0 port; shift; for port in "$@"; do n=$((n + 1)); [ "$port" != "$wanted" ] || { echo $n; return; }; done; }

# Unseals a node with the keys in a file; twice, in case it joined only after the first time.
unseal() { # port, keys file
  local key
  while read -r key; do quiet "$1" operator unseal "$key" >/dev/null 2>&1 || true; done <"$2"
}
unseal_until_it_serves() {
  local n
  for n in $(seq 60); do
    if serves "$1"; then return 0; fi
    unseal "$1" "$2"; sleep 0.5
  done
  wait_for 1 "node at port $1 to serve" serves "$1"
}
boot_cluster() { # cluster, ports...
  local cluster=$1 n=0 port; shift
  for port in "$@"; do n=$((n + 1)); write_config "$cluster" "$n" "$port" "$@"; start_node "$cluster" "$n"; done
  for port in "$@"; do wait_for 20 "node at port $port to answer" answers "$port"; done
  on "$1" "$cluster" operator init -key-shares=3 -key-threshold=2 -format=json >"$home/$cluster/init.json"
  sed -n '/"unseal_keys_b64"/,/]/p' "$home/$cluster/init.json" | grep -oE '"[A-Za-z0-9+/=]{40,}"' | tr -d '"' | head -2 >"$home/$cluster/keys"
  grep -oE '"root_token": *"[^"]+"' "$home/$cluster/init.json" | cut -d'"' -f4 >"$home/$cluster/root"
  [ -s "$home/$cluster/keys" ] && [ -s "$home/$cluster/root" ] || die "init gave no keys: $(cat "$home/$cluster/init.json")"
  echo "three unseal keys, two of which are needed, and a root token: kept in $home/$cluster"
  for port in "$@"; do unseal_until_it_serves "$port" "$home/$cluster/keys"; done
}

title "The primary cluster: three nodes"
boot_cluster primary "${primary_ports[@]}"
P=${primary_ports[0]}
export VAULT_TOKEN; VAULT_TOKEN=$(cat "$home/primary/root")
on "$P" primary operator raft list-peers

title "The secondary cluster: three nodes of its own, still on its own"
VAULT_TOKEN=$(cat "$home/secondary/root" 2>/dev/null || true)
boot_cluster secondary "${secondary_ports[@]}"
S=${secondary_ports[0]}

title "On the primary: a policy, an auth method, a user, and secrets"
VAULT_TOKEN=$(cat "$home/primary/root")
say primary "coffer policy write superuser - <<< 'path \"*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\", \"sudo\"] }'"
quiet "$P" policy write superuser - <<< 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'
on "$P" primary auth enable userpass
on "$P" primary write auth/userpass/users/tester password=changeme policies=superuser
on "$P" primary secrets enable -path=secret kv-v2
on "$P" primary kv put secret/app db=postgres://db1 pool=8
on "$P" primary secrets enable -local -path=here-only kv
on "$P" primary kv put here-only/note where=primary

title "Replication: enable the primary, make an activation token, hand it to the secondary"
on "$P" primary write -f sys/replication/performance/primary/enable
wait_for 30 "the primary to serve again" active_of "${primary_ports[@]}"
say primary "coffer write -field=wrapping_token sys/replication/performance/primary/secondary-token id=eu-west"
token=$(quiet "$P" write -field=wrapping_token sys/replication/performance/primary/secondary-token id=eu-west)
echo "${token:0:48}…"
VAULT_TOKEN=$(cat "$home/secondary/root")
say secondary "coffer write sys/replication/performance/secondary/enable token=…"
quiet "$S" write sys/replication/performance/secondary/enable token="$token"
unset VAULT_TOKEN
streams() { quiet "$S" read -field=state sys/replication/performance/status 2>/dev/null | grep -q stream-wals; }
printf 'waiting for the first fill '; wait_for 60 "the secondary to stream" streams; echo
for port in "${secondary_ports[@]}"; do wait_for 60 "the secondary's node at port $port to serve without being unsealed by hand" serves "$port"; done
echo "all three nodes of the secondary serve: nobody had to unseal them with the primary's keys"

title "Log in on the secondary as the primary's user; read what the primary wrote"
say secondary "coffer login -method=userpass username=tester password=…"
tester=$(quiet "$S" login -token-only -no-store -method=userpass username=tester password=changeme)
echo "a token of the secondary: ${tester:0:9}…"
export VAULT_TOKEN=$tester
on "$S" secondary kv get secret/app

title "Write on the secondary: it runs on the primary, and is readable here when the call returns"
on "$S" secondary kv put secret/from-secondary written=there
on "$S" secondary kv get -field=written secret/from-secondary; echo
root=$(cat "$home/primary/root")
VAULT_TOKEN=$root on "$P" primary kv get -field=written secret/from-secondary; echo

title "What stayed behind: the local mount, and every token"
if on "$S" secondary kv get here-only/note; then die "the local mount crossed"; fi
echo "(as it should be: the local mount is not here)"
if VAULT_TOKEN=$root on "$S" secondary token lookup; then die "the primary's token is valid on the secondary"; fi
echo "(as it should be: the primary's root token is unknown here)"
if VAULT_TOKEN=$tester on "$P" primary token lookup; then die "the secondary's token is valid on the primary"; fi
echo "(as it should be: the secondary's token is unknown there)"

title "How far behind is it?"
on "$S" secondary read sys/replication/performance/status
on "$S" secondary replication status

arrives() { [ "$(quiet "$1" kv get -field=n secret/"$2" 2>/dev/null)" = "$3" ]; }

title "kill -9 the primary's active node; write again; see it arrive"
active=$(active_of "${primary_ports[@]}"); n=$(number_of "$active" "${primary_ports[@]}")
say primary "kill -9 $(cat "$home/primary/node$n.pid")   # the node at port $active"
kill -9 "$(cat "$home/primary/node$n.pid")"
P=$(other_of "$active" "${primary_ports[@]}")
wait_for 30 "another node to become active" active_of "${primary_ports[@]}"
VAULT_TOKEN=$root on "$P" primary kv put secret/after-kill n=1
wait_for 30 "the write to arrive" arrives "$S" after-kill 1
on "$S" secondary kv get -field=n secret/after-kill; echo
echo "starting the killed node again, and unsealing it"
start_node primary "$n"; wait_for 20 "node $n to answer" answers "$active"; unseal_until_it_serves "$active" "$home/primary/keys"

title "kill -9 the secondary's active node; write again; see it arrive"
active=$(active_of "${secondary_ports[@]}"); n=$(number_of "$active" "${secondary_ports[@]}")
say secondary "kill -9 $(cat "$home/secondary/node$n.pid")   # the node at port $active"
kill -9 "$(cat "$home/secondary/node$n.pid")"
S=$(other_of "$active" "${secondary_ports[@]}")
wait_for 30 "another node to become active" active_of "${secondary_ports[@]}"
VAULT_TOKEN=$root on "$P" primary kv put secret/after-second-kill n=2
wait_for 30 "the write to arrive" arrives "$S" after-second-kill 2
on "$S" secondary kv get -field=n secret/after-second-kill; echo
echo "starting the killed node again; it is unsealed with the primary's keys now"
start_node secondary "$n"; wait_for 20 "node $n to answer" answers "$active"; unseal_until_it_serves "$active" "$home/primary/keys"
VAULT_TOKEN=$tester on "$S" secondary operator raft list-peers

title "Done"
if [ "$once" = yes ]; then
  echo "stopping both clusters"
else
  cat <<END
Both clusters are running. To look around:

  export PATH=$(cd "$(dirname "$coffer")" && pwd):\$PATH
  export VAULT_ADDR=http://127.0.0.1:$P VAULT_TOKEN=$root          # the primary
  export VAULT_ADDR=http://127.0.0.1:$S VAULT_TOKEN=$tester   # the secondary
  coffer status

Configuration, data, logs and keys are in $home. Stop them with: make stop
END
fi
