#!/usr/bin/env bash
# A flame graph of all running coffer servers, for docs/performance.md: run it while `make bench` or another load measures them.
#
#   benches/flame.sh benches/results/kv-write.svg 5     five seconds of samples, 199 a second for each thread that runs
#
# Needs perf (Debian: linux-perf) and inferno (cargo install inferno). The release profile keeps what unwinding needs.
set -euo pipefail
out=${1:?where the graph goes, an .svg}
seconds=${2:-5}
for tool in perf inferno-collapse-perf inferno-flamegraph; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed" >&2; exit 1; }
done
pids=$(pgrep -d, -f 'coffer[^ ]* server') || { echo "no coffer server runs" >&2; exit 1; }
samples=$(mktemp)
trap 'rm -f "$samples"' EXIT
perf record --quiet -F 199 --call-graph dwarf,16384 -p "$pids" -o "$samples" -- sleep "$seconds"
perf script -i "$samples" --max-stack 96 2>/dev/null | inferno-collapse-perf |
  inferno-flamegraph --title "coffer, $(git rev-parse --short HEAD)" --minwidth 0.2 >"$out"
echo "$out: $(grep -o '<title>' "$out" | wc -l) frames"
