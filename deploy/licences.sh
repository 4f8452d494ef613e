#!/usr/bin/env bash
# Checks licences, bans, sources and advisories of all dependencies against deny.toml.
set -euo pipefail

if ! command -v cargo-deny >/dev/null; then
  echo "check: installing cargo-deny"
  # Not into the project's target directory: its features differ from ours.
  CARGO_TARGET_DIR="${CARGO_TARGET_DIR}-tools" cargo install --quiet --locked cargo-deny
fi
cargo deny --log-level error check licenses bans sources

# The advisory database is a repository; without a way to it, an older copy is used, and its absence is said.
if ! cargo deny --log-level error check advisories 2>/tmp/coffer-advisories.$$; then
  if grep -qiE 'fetch|connect|resolve|clone|network' /tmp/coffer-advisories.$$; then
    echo "check: advisories NOT checked: the advisory database cannot be reached from here" >&2
  else
    cat /tmp/coffer-advisories.$$ >&2
    rm -f /tmp/coffer-advisories.$$
    exit 1
  fi
fi
rm -f /tmp/coffer-advisories.$$
