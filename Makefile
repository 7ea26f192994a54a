# Two commands for a newcomer: `make demo` and `make test`. Neither needs the other.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
comma := ,

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-faults lint clean install-demo install-test check-python

help:  ## list the targets
	@echo 'usage: make TARGET [PYTHON=python3.12]'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

demo: install-demo  ## install, then sweep embedded real data; results in demo/
	@mkdir -p demo
	$(BIN)/lrsearch sweep digits --budget 600 --confirm 3 --storage sqlite:///demo/sweep.db --out demo

test: lint  ## install, then lint, check types and run the whole test suite
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-faults: install-test  ## install, then break things with real processes (Ray, PostgreSQL)
	LRSEARCH_FAULTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults -n 2 --dist loadfile

lint: install-test  ## install, then ruff and mypy only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove .venv, demo/ (with its study), caches and builds
	rm -rf $(VENV) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find lrsearch tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

# An installation is known by a key: what the pins and the metadata say, and where it stands (the
# scripts of a virtual environment carry its path). A stamp with the same key means: nothing to do.
# A `.unfinished` file outlives an install that was killed; such an environment is made anew.
KEY = $$( { cat pyproject.toml constraints.txt lrsearch/_version.py; echo '$(CURDIR)'; } | cksum )
RUNS = $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null

# $(call install,EXTRAS,STAMPS): the first stamp is the one looked at, all are written.
define install
	@set -eu; key="$(KEY)"; \
	if [ "$$(cat $(VENV)/$(firstword $(2)) 2>/dev/null)" = "$$key" ] && $(RUNS) \
	  && [ ! -e $(VENV)/.unfinished ]; then exit 0; fi; \
	if [ -e $(VENV)/.unfinished ] || ! $(RUNS) || ! grep -qsxF '$(CURDIR)' $(VENV)/.place; then \
	  echo 'Making $(VENV) with $(PYTHON)'; \
	  rm -rf $(VENV); $(PYTHON) -m venv $(VENV); echo '$(CURDIR)' > $(VENV)/.place; \
	fi; \
	touch $(VENV)/.unfinished; \
	echo 'Installing lrsearch[$(1)] and the pinned packages (torch among them: this can take minutes)'; \
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[$(1)]'; \
	for stamp in $(2); do echo "$$key" > $(VENV)/$$stamp; done; \
	rm -f $(VENV)/.unfinished
endef

# What the tests install covers what the demo needs, so it writes both stamps.
install-demo: check-python
	$(call install,viz,.installed-viz)

install-test: check-python
	$(call install,dev$(comma)viz,.installed-dev .installed-viz)

check-python:
	@$(RUNS) || { \
	  command -v $(PYTHON) >/dev/null || { \
	    echo 'lrsearch needs Python 3.11 or newer, and there is no $(PYTHON) here.' >&2; \
	    echo 'Name one: make PYTHON=/path/to/python3.12 ...' >&2; exit 1; }; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "lrsearch needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1)." >&2; \
	    echo 'Name another one: make PYTHON=python3.12 ...' >&2; exit 1; }; }
