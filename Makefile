# Everything a newcomer types. A bare machine needs only make and Python 3.11 or later; the rest comes into .venv.

# The first of these that really runs, is new enough and can make an environment. (A name may be a launcher that only says what is missing.)
CANDIDATES := python3.13 python3.12 python3.11 python3.14 python3 python /usr/bin/python3
SUITS := import sys, importlib.util as u; sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 14) and (u.find_spec("ensurepip") or u.find_spec("pip"))))
PYTHON ?= $(shell for name in $(CANDIDATES); do if $$name -c '$(SUITS)' >/dev/null 2>&1; then echo $$name; break; fi; done)

# Containers like to forbid bytecode; every command would then compile all it imports again. It stays in ignored folders.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PORT ?= 4318
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup setup-runtime test lint style bench docs demo lock format clean python

help: ## this list of targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

python:
	@if [ -z "$(PYTHON)" ]; then \
	  echo "error: no Python from 3.11 to 3.14 that can make a virtual environment was found (looked for: $(CANDIDATES))" >&2; \
	  echo "  try: apt-get install python3 python3-venv, or make PYTHON=/path/to/python3.13" >&2; exit 1; fi

setup: python ## everything for development into .venv, hash-pinned; done once, then only when a pin changes
	@$(PYTHON) tools/bootstrap.py dev

setup-runtime: python
	@$(PYTHON) tools/bootstrap.py runtime

demo: setup-runtime ## a believable company in a fresh home, sent through the OTLP door and served on PORT (4318)
	$(BIN)/outlay demo --port $(PORT) $(ARGS)

# The types take a minute of one core and are looked at while the tests run; what they found is said last. A worker takes
# a stretch of the tests, so that what a file shares is made once, and helps another when its own are done.
test: setup style ## lint, import rules, every test in parallel and the types beside them (ARGS="-k money" picks)
	@$(BIN)/pyright >.venv/types.txt 2>&1 & types=$$!; trap 'kill $$types 2>/dev/null' INT TERM; \
	$(BIN)/pytest -n auto --dist worksteal $(ARGS); tests=$$?; \
	wait $$types; wrong=$$?; cat .venv/types.txt; \
	[ $$tests = 0 ] && [ $$wrong = 0 ]

lint: setup style ## ruff, formatting, the import contracts of the river, pyright strict on src
	$(BIN)/pyright

style: setup
	$(BIN)/ruff check --quiet
	$(BIN)/ruff format --check --quiet || { echo "some files are not formatted; try: make format" >&2; exit 1; }
	$(BIN)/lint-imports --no-logo

format: setup ## ruff's formatter and its safe repairs over everything
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format --quiet

bench: setup ## the figures of docs/benchmarks.md, measured here (ARGS="ingest --peer phoenix" picks)
	$(BIN)/python bench/run.py $(ARGS)

docs: setup ## writes the pages of docs/ that are made from the code
	$(BIN)/python tools/docs.py

lock: setup ## compiles requirements/*.txt again from pyproject.toml (UPGRADE=1 for the newest releases)
	$(BIN)/python tools/lock.py $(if $(UPGRADE),--upgrade)

clean: ## removes .venv and every cache, never a home with books
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
