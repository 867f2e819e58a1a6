# Everything runs in .venv, which is made when first needed and again when pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test search check bench golden format clean
.DEFAULT_GOAL := help

help: ## Say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml
	@echo "Making the environment in $(VENV) (once; a minute or two)..."
	@$(PYTHON) -c 'import sys; sys.exit("mizzen needs Python 3.11 or later, and %s is %s: say PYTHON=python3.11 make ..." % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $(VENV) || { echo "Debian keeps venv in a package of its own: apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	@touch $@

demo: $(STAMP) ## A whole mesh on this machine; Ctrl-C ends it
	@$(BIN)/mizzen demo

test: $(STAMP) ## All tests, the real Envoy among them
	$(BIN)/python -m pytest -n auto --dist worksteal

search: $(STAMP) ## Test properties with examples that were never tried
	$(BIN)/python -m pytest -n auto --dist worksteal --hypothesis-profile=search -m "not envoy and not docker and not root"

check: $(STAMP) ## ruff, mypy and the rules of who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP) ## Cost, as ratios measured side by side in one run
	$(BIN)/python -m benchmarks

golden: $(STAMP) ## Write the golden files anew; read the diff as code
	$(BIN)/python -m pytest tests/golden --rewrite-golden -q

format: $(STAMP) ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what make made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
