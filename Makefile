# Everything runs in .venv, which is made from requirements/ when first needed, and again when they change.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NEWEST := .venv-newest
SEARCH_SECONDS ?= 120
CHAOS_SECONDS ?= 570

.PHONY: help demo test search chaos check bench golden format lock newest clean
.DEFAULT_GOAL := help

help: ## Say what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml requirements/development.txt
	@$(PYTHON) -c 'import sys; sys.exit("mizzen needs Python 3.11 or later, and %s is %s: say PYTHON=python3.11 make ..." % (sys.executable, sys.version.split()[0]) if sys.version_info < (3, 11) else 0)'
	@sh requirements/install.sh $(PYTHON) $(VENV)
	@touch $@

demo: $(STAMP) ## A whole mesh on this machine; Ctrl-C ends it
	@$(BIN)/mizzen demo

test: $(STAMP) ## All tests, the real Envoy among them
	$(BIN)/python -m pytest -n auto --dist loadscope

search: $(STAMP) ## Test properties with new examples, for SEARCH_SECONDS (120)
	$(BIN)/python -m pytest -n auto --dist worksteal -m "hypothesis or search" \
		--hypothesis-profile=search --search-seconds=$(SEARCH_SECONDS)

chaos: $(STAMP) ## As root: attack a running mesh in namespaces of its own, for CHAOS_SECONDS (570)
	$(BIN)/python -m tests.chaos --seconds $(CHAOS_SECONDS) $(CHAOS)

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

lock: $(STAMP) ## Lock the newest versions of all dependencies
	@sh requirements/lock.sh $(BIN)/uv

newest: ## The tests with the newest version of everything, whatever is locked
	@$(PYTHON) -m venv --clear $(NEWEST)
	@$(NEWEST)/bin/python -m pip install --disable-pip-version-check --quiet --editable '.[dev]'
	$(NEWEST)/bin/python -m pip freeze --exclude-editable | diff --suppress-common-lines requirements/development.txt - | grep '^>' | grep -v hash || true
	$(NEWEST)/bin/mypy
	$(NEWEST)/bin/python -m pytest -n auto --dist loadscope

clean: ## Remove what make made
	rm -rf $(VENV) $(NEWEST) .pytest_cache .mypy_cache .ruff_cache
