# Everything happens in .venv; only git, make and a Python >= 3.11 with venv are needed to begin.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test check docs bench clean

help: ## show what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile

$(STAMP): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed (set PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev
	@touch $@

demo: $(STAMP) ## stage, launch and ask a Python and a Node app; stage them again elsewhere and compare
	$(BIN)/python docs/examples/demo.py build/demo

test: $(STAMP) ## the quick tests; no network is used
	$(BIN)/python -m pytest -n auto --dist worksteal -q

check: $(STAMP) ## lint, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(STAMP) ## the documentation as a site, in build/site
	$(BIN)/mkdocs build --quiet --strict --config-file .ci/mkdocs.yml

bench: $(STAMP) ## measure, beside other tools in the same run
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/flat.py

clean: ## remove what the other targets made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
