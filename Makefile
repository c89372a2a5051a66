# Every target is one command of `tools/local` or of cargo; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help dev db test test-faults fuzz build clean-data

# `--bin`, not `-p`: with the features of the whole build, which then does not compile this tool a second time.
LOCAL := cargo run --quiet --bin local --

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 @\2/p' $(MAKEFILE_LIST) | column -t -s @

dev: ## run the whole API on 127.0.0.1:9000 (DEV_PORT); Ctrl-C stops it
	@$(LOCAL) dev

db: ## run the database only, for a `cargo lambda watch` of your own
	@$(LOCAL) db

test: ## check formatting and lints, run the unit tests, then the whole API's tests over HTTP (TEST_PORT)
	$(LOCAL) tools
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(LOCAL) deny
	$(LOCAL) lint-template
	cargo test --workspace --exclude tests
	$(LOCAL) test -- cargo test -p tests

test-faults: ## break the database in every way under load, at length (about 15 minutes), and print what came of it
	LONG=1 $(LOCAL) test -- cargo test -p tests --test faults

fuzz: ## look for events that the functions cannot answer, for FUZZ_SECONDS (600)
	@$(LOCAL) fuzz -- -max_total_time=$${FUZZ_SECONDS:-600}

build: ## build every function for the cloud and show the sizes
	@$(LOCAL) build

clean-data: ## remove the data of `make dev`: database, certificates, keys
	@$(LOCAL) clean-data
