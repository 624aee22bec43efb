# Everything that a person and CI run. `make demo` and `make test` do all their own set-up.
# One cargo profile (dev) serves the extension, the tests and the lints, so librdkafka is compiled once.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# TLS and SASL/SCRAM come with the OpenSSL of the system, where there is one.
TLS := $(shell pkg-config --exists 'openssl >= 1.1' 2>/dev/null && echo ,tls)
FEATURES := python$(TLS)
RUST := $(shell git ls-files 'src/*.rs' Cargo.toml Cargo.lock 2>/dev/null)

.PHONY: help demo test test-extras lint format build bench bench-core bench-parsers bench-sweep bench-latency bench-serving bench-kept bench-status torture docs dist dist-check audit clean

help: ## Show what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

demo: build/extension ## Run the main job on the embedded broker and show its predictions
	@$(BIN)/millstream demo

test: .needs-java build/extension ## Lints and all tests, against real Apache Kafka too
	@PYTHON=$(PYTHON) BIN=$(BIN) FEATURES=$(FEATURES) scripts/test

test-extras: build/extension ## Run the examples that need big installs (PyTorch, aeon, XGBoost), in an environment of their own
	@PYTHON=$(PYTHON) scripts/test-extras

lint: build/extension ## Formatting, lints and types of Rust and Python
	@PYTHON=$(PYTHON) BIN=$(BIN) FEATURES=$(FEATURES) scripts/lint

format: build/venv ## Bring all code into form
	@cargo fmt
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

build: build/extension ## Build the extension into the virtual environment

bench: .needs-java build/venv ## Measure on real Apache Kafka, beside the copy job and other engines (PEERS=none: without)
	@BIN=$(BIN) FEATURES=$(FEATURES) scripts/bench

SEEDS ?= 20
torture: .needs-java build/extension ## Faults against a running group, every window checked; SEEDS=20
	@BIN=$(BIN) FEATURES=$(FEATURES) scripts/torture --seeds $(SEEDS)

bench-core: .needs-valgrind ## Count the instructions of an event in the core, beside the baseline; SAVE=1 makes a new one
	@cargo run --quiet --release --no-default-features --example bench-core -- $(if $(SAVE),--save)

bench-parsers: .needs-valgrind ## Compare JSON parsers at seeking fields: instructions, time, and what they find otherwise
	@cargo run --quiet --release --locked --manifest-path benches/parsers/Cargo.toml --target-dir target/parsers

bench-sweep: .needs-java build/venv ## Measure what the cost of an event depends on
	@BIN=$(BIN) FEATURES=$(FEATURES) scripts/bench sweep

bench-latency: .needs-java build/venv ## Measure how soon results can be read, at set rates and epochs
	@BIN=$(BIN) FEATURES=$(FEATURES) scripts/bench latency

bench-status: .needs-java build/venv ## Measure what the status page costs, looked at and attacked
	@BIN=$(BIN) FEATURES=$(FEATURES) scripts/bench status

bench-serving: build/venv ## Measure what calling models costs, on the embedded broker
	@BIN=$(BIN) FEATURES=$(FEATURES) scripts/bench-serving

MINUTES ?= 10
bench-kept: build/venv ## Measure the memory of a run whose model keeps every array it saw; MINUTES=10
	@BIN=$(BIN) FEATURES=$(FEATURES) scripts/bench-serving kept --minutes $(MINUTES)

docs: build/docs-venv ## Build the documentation site, with every link checked, into build/docs/site
	@build/docs-venv/bin/python scripts/docs

# An OpenSSL of its own: the wheel has to run where there is none, or another one.
DIST_FEATURES := python,tls-vendored
dist: build/venv ## Build the sdist and the wheel of this platform into dist/ (10 minutes the first time)
	@PYTHON=$(PYTHON) BIN=$(BIN) FEATURES=$(DIST_FEATURES) scripts/dist

dist-check: ## Check the wheel in dist/, and run the demo from it in a bare environment
	@$(PYTHON) scripts/dist-check

audit: ## Look for known vulnerabilities and for licences that do not fit; needs the network
	@PYTHON=$(PYTHON) scripts/audit

clean: ## Remove all that was built
	@rm -rf target build dist $(VENV) python/millstream/*.so

.PHONY: .needs-build .needs-java .needs-valgrind
.needs-build:
	@PYTHON=$(PYTHON) scripts/needs build
.needs-java:
	@scripts/needs java
.needs-valgrind:
	@scripts/needs valgrind

build/venv: pyproject.toml | .needs-build
	@echo "== virtual environment"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'numpy>=1.26' 'click>=8.1' 'rich>=13' --group dev
	@mkdir -p build && touch $@

build/docs-venv: pyproject.toml
	@echo "== environment of the documentation"
	@$(PYTHON) -m venv build/docs-venv
	@build/docs-venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@build/docs-venv/bin/python -m pip install --quiet --disable-pip-version-check --group docs
	@touch $@

build/extension: build/venv $(RUST)
	@echo "== extension ($(FEATURES)$(if $(TLS),,: without TLS and SASL/SCRAM, as no OpenSSL with headers was found))"
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --quiet --features $(FEATURES)
	@touch $@
