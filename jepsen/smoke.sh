#!/usr/bin/env bash
# A few minutes of everything that breaks Coffer on purpose: the checkers' own proofs, simulated clusters, real clusters, and two planted
# bugs that must be found. Ends in "N passed, N failed"; a verdict of "unknown" is a failure. `make smoke` builds what it needs.
#
# SMOKE_SEEDS=1..4      seeds of the simulator
# SMOKE_BUGS="8:1 26:1"  planted bugs with the seeds that find them; two others each day otherwise
# SMOKE_SEED=1           seed of the real runs
# SMOKE_REAL=auto        real clusters where this machine can break them, but neither the toy that stands for one nor a browser
# SMOKE_REAL=0           no real clusters either: only what comes out the same on any machine
set -uo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:?where cargo builds}
jepsen="$target/debug/jepsen"
runs=$(mktemp -d)
# Simulating builds the program anew, with what the simulator needs: real clusters run the one that users get.
cp "$target/debug/coffer" "$runs/coffer"
passed=0 failed=0

# step NAME COMMAND...: runs it, shows what it said only if it failed.
step() {
  local name=$1 began=$SECONDS
  shift
  if "$@" >"$runs/said" 2>&1; then
    passed=$((passed + 1))
    echo "  ok      $name ($((SECONDS - began)) s)"
  else
    failed=$((failed + 1))
    echo "  FAILED  $name ($((SECONDS - began)) s): $*"
    tail -n 60 "$runs/said" | sed 's/^/          /'
  fi
}

real() { # NAME TOPOLOGY WORKLOADS NEMESES SECONDS
  step "real $2: $3 under $4" "$jepsen" run --coffer "$runs/coffer" --topo "$2" --workload "$3" --nemesis "$4" --time "$5" \
    --seed "${SMOKE_SEED:-1}" --out "$runs/$1"
}

echo "smoke: checkers"
which=()
[ "${SMOKE_REAL:=1}" = 1 ] || which=(--lib --test fixtures --test cli)
step "fixtures and proofs" cargo test --quiet --manifest-path jepsen/Cargo.toml "${which[@]}"

echo "smoke: simulated clusters"
step "seeds ${SMOKE_SEEDS:=1..4}" make --no-print-directory sim SEEDS="$SMOKE_SEEDS"
step "two seeds run twice give equal traces" make --no-print-directory sim SEEDS=1..2 ARGS=--twice

echo "smoke: real clusters"
if [ "$SMOKE_REAL" = 0 ]; then
  echo "  left out"
elif [ "$(id -u)" = 0 ] && [ -c /dev/net/tun ] && command -v ip >/dev/null && "$jepsen" probe >/dev/null 2>&1; then
  real three 3 register,set partition,kill,pause 40
  real pair P3+S3 set,prefix,canary,crossing,converge partition,kill 40
else
  echo "  skipped: needs root, /dev/net/tun, the program ip (Debian: iproute2), and all that \`jepsen probe\` calls needed"
fi

echo "smoke: planted bugs"
# Number and the seed that finds it (TRACK-RECORD.md); without a bug these seeds were green just now.
found=(1:1 8:1 14:1 16:1 21:1 27:1 28:1 29:1 32:1 35:1 48:1 49:1 54:1 59:1 63:1 68:1 72:1 76:1 77:1 85:1 89:1 93:1 107:1 126:1 130:1 133:1 135:1 168:1 169:1 174:1 3:2 7:2 9:2 15:2 17:2 19:2 23:2 31:2 33:2 37:2 42:2 45:2 52:2 55:2 61:2 65:2 67:2 69:2 70:2 71:2 74:2 91:2 94:2 95:2 100:2 101:2 102:2 104:2 105:2 109:2 117:2 118:2 119:2 121:2 123:2 124:2 132:2 134:2 136:2 137:2 148:2 167:2 12:3 26:3 56:3 90:3 103:3 131:3 18:4 40:4 57:4 58:4 75:4 80:4 81:4 83:4 122:4 125:4 127:4 129:4 138:4 114:12)
day=$(($(date +%s) / 86400))
bugs=${SMOKE_BUGS:-${found[$((2 * day % ${#found[@]}))]} ${found[$(((2 * day + 1) % ${#found[@]}))]}}
turns_red() { # NUMBER SEED
  COFFER_BUG=$1 make --no-print-directory sim SEEDS="$2..$2" >"$runs/bug" 2>&1
  cat "$runs/bug"
  grep -q '^0 passed, 1 failed' "$runs/bug"
}
for bug in $bugs; do
  step "bug ${bug%:*} is found by seed ${bug#*:}" turns_red "${bug%:*}" "${bug#*:}"
done

echo "$passed passed, $failed failed"
if [ "$failed" = 0 ]; then
  rm -rf "$runs"
else
  echo "what was recorded: $runs"
  exit 1
fi
