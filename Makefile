# Every target is one command of `cargo xtask` or of cargo; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help dev db sam-local test test-faults drill test-upgrade test-sam bench bench-lists bench-page pictures fuzz build clean-data
.PHONY: deploy rollback remove smoke secrets rotate-keys remove-secrets monitor sweep end-sessions costs
.PHONY: restore restored backup-key backup restore-backup

XTASK := cargo xtask
# `sam` and a `cargo lambda` that cross-compiles, on the PATH of what follows.
RELEASE := $(XTASK) release --
OPERATE := cargo run --quiet --bin operate --

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: ## run the whole API on 127.0.0.1:9000 (DEV_PORT); Ctrl-C stops it
	@$(XTASK) dev

db: ## run the database only, for a `cargo lambda watch` of your own
	@$(XTASK) db

sam-local: ## run the same in containers, as `sam local start-api` does it; needs a Docker engine
	@$(XTASK) sam-local

# With `--workspace`: selected otherwise, the dependencies have other features and compile anew.
test: ## check formatting and lints, run the unit tests, then the whole API's tests over HTTP (TEST_PORT)
	$(XTASK) tools
	$(XTASK) check
	cargo test --workspace --lib --bins
	cargo test --workspace --doc
	$(XTASK) test -- cargo test --workspace --test '*'

test-faults: ## break the database in every way under load, at length (some minutes), and print what came of it
	LONG=1 $(XTASK) test -- cargo test --workspace --test faults -- --skip drill::

drill: ## play the specification's disasters, and the way back from each; writes docs/drill.md
	LONG=1 $(XTASK) run -- cargo test --workspace --test faults -- drill::

test-upgrade: ## rehearse the upgrade from 0.1.0 under load, with UPGRADE_TASKS (200000) tasks; writes docs/upgrade.md
	$(XTASK) run -- cargo test --workspace --bench upgrade

bench: ## measure release builds beside floors and peers, in BENCH_ROUNDS (5) rounds; writes docs/performance.md
	$(XTASK) test -- cargo test --workspace --bench performance

bench-lists: ## measure what lists cost the database on BENCH_TASKS (10000000) tasks; writes docs/lists.md
	$(XTASK) run -- cargo test --workspace --bench bench

bench-page: ## measure how long the page takes on a slow network, and with thousands of tasks; writes docs/page.md
	$(XTASK) test -- cargo test --workspace --bench page

pictures: ## take the README's pictures of the page anew
	$(XTASK) test -- cargo test --workspace --test browser views
	cp .local/test/screenshots/tasks-light-desktop.png .local/test/screenshots/tasks-dark-phone.png functions/web/pictures/

test-sam: ## build with `sam build`, look at what was built, and run the main tests on it in containers (TEST_PORT)
	@$(XTASK) test-sam

fuzz: ## look for events that the functions cannot answer, for FUZZ_SECONDS (600)
	@$(XTASK) fuzz -- -max_total_time=$${FUZZ_SECONDS:-600}

build: ## build every function for the cloud and show the sizes
	@$(XTASK) build

clean-data: ## remove the data of `make dev`: database, certificates, keys
	@$(XTASK) clean-data

# Variables on make's command line, such as STAGE, are in the environment of what it runs.

secrets: ## store the secrets of STAGE; asks for the database's address as its owner, and before it overwrites
	@$(OPERATE) secrets set $(if $(YES),--yes) $(if $(RENEW),--renew)

rotate-keys: ## take a STEP (accept, sign, drop) of a rotation of the keys of STAGE
	@$(OPERATE) secrets rotate $(if $(NOW),--now)

remove-secrets: ## remove the secrets of STAGE
	@$(OPERATE) secrets remove $(if $(YES),--yes)

deploy: ## check, build, migrate, deploy and smoke-test STAGE; DRY_RUN=1 shows what would change; CONTRACT=now, ALARMS=ignore
	@$(RELEASE) $(OPERATE) deploy $(if $(DRY_RUN),--dry-run) $(if $(YES),--yes) $(if $(CONTRACT),--contract) \
		$(if $(filter ignore,$(ALARMS)),--ignore-alarms)

rollback: ## make the deployment before the live one of STAGE live again, or that of the commit in TO
	@$(OPERATE) rollback

remove: ## remove the stack of STAGE; its secrets and its database stay
	@$(RELEASE) $(OPERATE) remove $(if $(YES),--yes)

smoke: ## try out the API at API_URL, and leave nothing behind
	@$(OPERATE) smoke

monitor: ## show what the database of STAGE, or at DATABASE_URL_UNPOOLED, tells about itself
	@$(OPERATE) monitor

sweep: ## delete the tags that no task of STAGE, or of the database at DATABASE_URL_UNPOOLED, has any more
	@$(OPERATE) sweep

end-sessions: ## end every session of STAGE, or of the database at DATABASE_URL_UNPOOLED; asks first
	@$(OPERATE) end-sessions $(if $(YES),--yes)

restore: ## bring back ACCOUNT from the database at FROM to that of STAGE, or TASKS of it alone (all, or ids); asks first
	@$(OPERATE) restore $(if $(YES),--yes)

restored: ## once a whole database was set back: end every session, and list what there is to migrate; asks first
	@$(OPERATE) restored $(if $(YES),--yes)

backup-key: ## make a pair of keys for backups
	@$(OPERATE) backup-key

backup: ## back up the database of STAGE for BACKUP_KEY, to a file or to s3://BUCKET/PREFIX (TO), and try the backup out
	@$(OPERATE) backup

restore-backup: ## restore the backup at FROM, with its secret BACKUP_KEY, to an empty database
	@$(OPERATE) restore-backup

costs: ## measure what a million requests cost, on a stack of its own
	@$(XTASK) run -- $(OPERATE) costs
