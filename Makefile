# What CI runs, in parts and whole. `make quick` takes seconds and belongs before each commit.

PYTHON ?= python3
BIN := .venv/bin
BASE ?= main
# The rooms of the tests for what differs from BASE: msixtool/stream/… and tests/stream/… mean tests/stream.
# Tests of a live QEMU and of the fuzzer have targets of their own.
TOUCHED = $(filter-out tests/live tests/fuzz, $(sort $(wildcard $(shell { git diff --name-only $(BASE) --; \
	git ls-files --others --exclude-standard; } | sed -nE 's#^(msixtool|tests)/([a-z_]+)/.*#tests/\2#p'))))

help:
	@echo 'make quick   what lint says, and the tests of the rooms that differ from main (BASE=…): seconds'
	@echo 'make lint    ruff, mypy, import-linter'
	@echo 'make test    every test; of a live QEMU as far as one is installed'
	@echo 'make floors  the command line with the lowest versions of its dependencies'
	@echo 'make docs    what is made of the code: the reference of docs/library.md'
	@echo 'make ci      all that CI does, as root on Debian: installs what it needs'

$(BIN)/msixtool: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e '.[dev]'
	@touch $@

quick: lint
	$(if $(TOUCHED),$(BIN)/pytest -q -n auto $(TOUCHED),@echo 'no room differs from $(BASE)')

lint: $(BIN)/msixtool
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(BIN)/msixtool
	$(BIN)/pytest -q -n auto

floors:
	.ci/floors

docs: $(BIN)/msixtool
	$(BIN)/python -m tests.library.reference

ci:
	.ci/run

.PHONY: help quick lint test floors docs ci
