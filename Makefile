# Everything is set up in .venv, by itself. `make help` says what there is.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
WORKERS ?= 2

.PHONY: help demo test lint torture codex bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo     a real recorded home indexed, searched and repaired; a kill -9; a log in a storm; a sick home mended (40 s at most)"
	@echo "make test     every test"
	@echo "make lint     ruff and mypy"
	@echo "make torture  the long versions: thousands of kills, minutes of contention"
	@echo "make codex    the real Codex 0.169 (from npm, without a network) reads and goes on with what we wrote"
	@echo "make bench    every number, beside the real Codex in the same run (10 GB of generated homes)"

demo: $(READY)
	@$(BIN)/python -m demo

test: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

torture: $(READY)
	$(BIN)/python -m pytest -m torture

codex: $(READY)
	$(BIN)/python -m pytest -m codex

bench: $(READY)
	$(BIN)/python -m bench

clean:
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache

# pip 25.1 is the first that reads [dependency-groups].
$(READY): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check --upgrade 'pip >= 25.1'
	$(BIN)/python -m pip install -qq --disable-pip-version-check --editable . --group test --group lint
	@touch $@
