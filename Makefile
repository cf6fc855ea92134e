# Every command there is; `make` alone lists them. Nothing is installed outside .venv/, .venv-rivals/ and target/.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The interpreter that .venv is made with, once; afterwards .venv's own is used.
PYTHON ?= python3
# What `make test` adds to the pytest call, such as PYTEST_ARGS="-k countdown".
PYTEST_ARGS ?=
CHAOS_SECONDS ?= 600
# `make fleet`: calls, kills, `redis` or `rabbitmq`, and FLEET=--kill-celery.
FLEET_TASKS ?= 50000
FLEET_KILLS ?= 40
FLEET_BROKER ?= redis
FLEET ?=
# `make sim`: how many schedules, the first seed; or one schedule to replay, as a failure prints it.
SIM_SCHEDULES ?= 1000000
SIM_FIRST ?= 0
SIM_WORKFLOWS ?= 20000
REPLAY ?=
# `make mutants`: parts of names, --shard 0/4, --minutes 30, --table; without, all whose verdict is not known yet.
MUTANTS ?=
# `make mutants-wide`: files of rust/engine/src; without, all of them.
MUTANTS_FILES ?= **/*
CARGO_MUTANTS := 27.1.0
TOOLS := $(CURDIR)/target/tools
# `make bench-validate`: --short, --units 2, --table.
VALIDATE ?=
# `make fuzz`: mutations for each parser, and the seed that they come from.
FUZZ_ROUNDS ?= 1000000
FUZZ_SEED ?= 1
# `make workflows`: how many, and the seed of the first.
WORKFLOWS ?= 400
WORKFLOWS_FIRST ?= 0

# `make celery-suite`: the directory with run.sh, which fetches the suite; TESTS, PROFILE and others are its variables.
CELERY_SUITE ?= ../shared/celery-suite

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
RIVALS := $(CURDIR)/.venv-rivals
RIVAL_LOCKS := python/fastworker/bench/rivals/locks
UV ?= uv
export PATH := $(PATH):$(HOME)/.cargo/bin
export VIRTUAL_ENV := $(VENV)
export PYO3_PYTHON := $(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

RUST := Cargo.toml Cargo.lock $(wildcard .cargo/config.toml) $(shell find rust -name '*.rs' -o -name Cargo.toml -o -name '*.lua' -o -name '*.sql')
SUITE := $(BIN)/python -m tests.support.suite

.PHONY: help setup build fmt lint typecheck check test test-rust test-py test-hosted test-pools workflows celery-suite sim mutants mutants-wide loom fuzz golden chaos chaos-workflows fleet demo bench bench-validate rivals rivals-lock docs clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

# ---------------------------------------------------------------------------------------------------- environment

setup: $(STAMPS)/dev $(STAMPS)/extension  ## the environment with everything for development, and the extension

build: $(STAMPS)/demo $(STAMPS)/extension  ## the environment to run, and the extension

$(BIN)/python:
	@sh .ci/prerequisites $(PYTHON)
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/demo: requirements/demo.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/demo.txt
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/demo | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@mkdir -p $(STAMPS) && touch $@

# The lock has versions that do not all agree on redis-py (requirements/rivals-overrides.in); so no resolving.
$(RIVALS)/installed: requirements/rivals.txt | $(BIN)/python
	$(BIN)/python -m venv $(RIVALS)
	$(RIVALS)/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/rivals.txt
	@touch $@

# A checkout that lost the built module (git clean) builds it again, whatever the stamp says.
ifeq ($(wildcard python/fastworker/_core*.so),)
.PHONY: $(STAMPS)/extension
endif

# pyproject.toml is here for the entry point and the version. Cargo decides what has to be compiled again.
$(STAMPS)/extension: $(RUST) pyproject.toml $(STAMPS)/demo
	@sh .ci/prerequisites $(BIN)/python
	$(BIN)/maturin develop --release --locked
	@mkdir -p $(STAMPS) && touch $@

# ---------------------------------------------------------------------------------------------------------- checks

fmt: $(STAMPS)/dev  ## format Rust and Python
	cargo fmt --all
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --select I .

lint: $(STAMPS)/dev $(STAMPS)/extension  ## formatting, clippy, ruff, import contract, forbidden words, stale pages
	$(SUITE) lint

typecheck: $(STAMPS)/dev $(STAMPS)/extension  ## mypy --strict, and _core.pyi against the built module
	$(SUITE) typecheck

check: $(STAMPS)/dev $(STAMPS)/extension  ## lint + typecheck
	$(SUITE) lint typecheck

# ----------------------------------------------------------------------------------------------------------- tests

test: $(STAMPS)/dev $(STAMPS)/extension  ## everything, with the servers it needs, and one summary
	$(SUITE) lint typecheck rust python hosted pools-briefly -- $(PYTEST_ARGS)

test-rust: $(STAMPS)/dev  ## cargo tests, with conformance and the short simulation
	$(SUITE) rust

test-py: $(STAMPS)/dev $(STAMPS)/extension  ## pytest; PYTEST_ARGS="-k name" chooses
	$(SUITE) python -- $(PYTEST_ARGS)

test-hosted: $(STAMPS)/dev $(STAMPS)/extension  ## acceptance tests with Celery's application and client and our worker; part of `make test`
	$(SUITE) hosted -- $(PYTEST_ARGS)

test-pools: $(STAMPS)/dev $(STAMPS)/extension  ## the tests of options and faults with each pool; the most telling are part of `make test`
	$(SUITE) pools -- $(PYTEST_ARGS)

workflows: $(STAMPS)/dev $(STAMPS)/extension  ## random workflows beside Celery, long form: WORKFLOWS (400), WORKFLOWS_FIRST (0)
	FASTWORKER_WORKFLOWS=$(WORKFLOWS) FASTWORKER_WORKFLOWS_FIRST=$(WORKFLOWS_FIRST) \
		$(BIN)/python -m pytest -q tests/compat/test_random_workflows.py

celery-suite: $(STAMPS)/dev $(STAMPS)/extension  ## Celery's own integration suite against our worker (half an hour): CELERY_SUITE, its runner
	LABEL=fastworker $(CELERY_SUITE)/run.sh '$(BIN)/fastworker -A {app} worker -c 1 -n {node}'

sim:  ## the simulators, long form: 1,000,000 schedules of the engine, SIM_FIRST=seed or REPLAY=schedule; 20,000 workflows
	cargo run --quiet --release --locked -p fastworker-engine --features sim --example simulate -- \
		$(if $(REPLAY),replay $(REPLAY),$(SIM_SCHEDULES) $(SIM_FIRST))
	$(if $(REPLAY),,FASTWORKER_WORKFLOW_SCHEDULES=$(SIM_WORKFLOWS) FASTWORKER_WORKFLOW_FIRST=$(SIM_FIRST) \
		cargo test --quiet --release --locked -p fastworker-worker sim:: -- --nocapture)

mutants: $(BIN)/python  ## engines that are broken on purpose: is each one caught? MUTANTS="--minutes 30" for a part
	$(BIN)/python rust/engine/mutants/run.py $(MUTANTS)

mutants-wide: $(TOOLS)/bin/cargo-mutants  ## every small change to the engine, against its tests (an hour): MUTANTS_FILES="dispatch settle"
	PATH="$(TOOLS)/bin:$$PATH" cargo mutants --package fastworker-engine --output target --no-shuffle \
		$(foreach name,$(MUTANTS_FILES),--file 'rust/engine/src/$(name).rs')

$(TOOLS)/bin/cargo-mutants:
	cargo install --locked --version $(CARGO_MUTANTS) cargo-mutants --root $(TOOLS)

loom: $(STAMPS)/dev  ## the shared page's protocols in every interleaving; part of `make test`
	$(SUITE) loom

fuzz:  ## every parser of bytes from outside: FUZZ_ROUNDS (1,000,000) mutations of its corpus, from FUZZ_SEED (1)
	FASTWORKER_FUZZ_ROUNDS=$(FUZZ_ROUNDS) FASTWORKER_FUZZ_SEED=$(FUZZ_SEED) \
		cargo test --release --locked -p fastworker-fuzz --test briefly

golden: $(STAMPS)/dev  ## what the real Celery does in the differential scenarios, recorded anew (four minutes)
	$(BIN)/python -m tests.differential.record

chaos: $(STAMPS)/dev $(STAMPS)/extension  ## nothing lost, long form: kill -9, cuts, restarts for CHAOS_SECONDS (600)
	$(BIN)/python -m tests.stress.chaos --seconds $(CHAOS_SECONDS)

chaos-workflows: $(STAMPS)/dev $(STAMPS)/extension  ## workflows survive kills, long form: for CHAOS_SECONDS (600)
	$(BIN)/python -m tests.stress.flow_chaos --seconds $(CHAOS_SECONDS)

fleet: $(STAMPS)/dev $(STAMPS)/extension  ## workers of Celery's and of ours under fire, long form: FLEET_TASKS (50000), FLEET_BROKER
	$(BIN)/python -m tests.stress.fleet --tasks $(FLEET_TASKS) --kills $(FLEET_KILLS) --broker $(FLEET_BROKER) $(FLEET)

# ----------------------------------------------------------------------------------------------------------- to see

demo: build  ## crawl Python's own documentation on the embedded queue; no server needed
	$(BIN)/python examples/crawl/crawl.py

bench: $(STAMPS)/dev $(STAMPS)/extension rivals  ## side by side with Celery and others; results under benches/results/
	$(BIN)/python -m benches.run

bench-validate: $(STAMPS)/dev $(STAMPS)/extension  ## is the plan right? 35 minutes on a quiet machine, resumable; VALIDATE=--short tries it
	$(BIN)/python -m benches.validate $(VALIDATE)

rivals: $(RIVALS)/installed  ## the environment of the benches that need gevent, aiohttp and other task queues

rivals-lock:  ## the lock files of `fastworker bench rivals` with the newest versions; UV=path of uv
	for wanted in $(RIVAL_LOCKS)/*.in; do $(UV) pip compile --quiet --universal --upgrade --generate-hashes --no-header \
		--no-annotate --python-version "$$(sed -n 's/^# Python //p' $$wanted)" $$wanted -o "$${wanted%.in}.txt" || exit 1; done

docs: $(STAMPS)/dev $(STAMPS)/extension  ## generated reference pages under docs/reference/
	$(BIN)/python -m docs.generate

clean:  ## remove what was built: .venv/, .venv-rivals/, target/, caches
	rm -rf .venv .venv-rivals target .servers .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f python/fastworker/_core*.so
