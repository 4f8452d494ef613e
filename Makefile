# Coffer's commands. `make demo` and `make test` need a Rust toolchain and a C/C++ compiler; the rest they install or name.

# Outside the checkout, so that RocksDB is compiled once, however many checkouts there are.
export CARGO_TARGET_DIR ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/coffer/target
export CARGO_INCREMENTAL ?= 1
ARGS ?=

.PHONY: help demo dev test sim jepsen smoke check bench fmt setup stop

help: ## What can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: setup ## Two clusters of three nodes, one replicating to the other, and a walk through the guide (ARGS=--once stops them)
	@deploy/demo.sh $(ARGS)

dev: setup ## One node for development, whose data goes with it (ARGS="-dev-root-token-id=root")
	cargo run --quiet -- server -dev $(ARGS)

stop: ## Stop the clusters that `make demo` left running
	@deploy/demo.sh --stop

test: setup ## All tests
	@cargo build --quiet
	cargo test $(ARGS)

# Our own code optimized as well: some minutes to compile, and each seed takes a seventh of the time.
sim: export CARGO_PROFILE_DEV_OPT_LEVEL = $(if $(FAST),2,0)
sim: setup ## Simulated clusters that are broken by seed (SEEDS=1..20 ARGS=--twice, or SEED=7 ARGS=--trace=FILE; FAST=1 for hundreds)
	@cargo build --quiet --features sim --test sim
	cargo test --quiet --features sim --test sim -- $(if $(SEED),--seed=$(SEED),--seeds=$(or $(SEEDS),1..20)) $(ARGS)

jepsen: setup ## Break real clusters, judge histories (ARGS="run --topo 3 --workload register,set --nemesis partition,kill", ARGS=--help; as root)
	@cargo build --quiet
	@cargo build --quiet --manifest-path jepsen/Cargo.toml
	@$(CARGO_TARGET_DIR)/debug/jepsen $(ARGS)

smoke: setup ## A few minutes of all that breaks Coffer on purpose
	@cargo build --quiet
	@cargo build --quiet --manifest-path jepsen/Cargo.toml
	@SMOKE_REAL=$(or $(SMOKE_REAL),1) jepsen/smoke.sh

bench: setup ## Compare with OpenBao and etcd (ARGS="--only kv-write --quick", --help)
	@deploy/peers.sh
	@. deploy/rocksdb.sh && cargo bench --bench scoreboard -- $(ARGS)

check: setup ## Format, lints, docs, licences and advisories, house rules
	cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items --quiet
	@deploy/licences.sh
	cargo test --quiet --test tidy

fmt: ## Rewrite the code in the house's format
	cargo fmt

setup:
	@deploy/setup.sh
