# Two commands do everything on a fresh machine with Python 3.11 or later:
#   make run    environment, installation, then a digit classifier becomes a ticket
#   make test   the same installation, then lint, types, docs and all tests
# Both work a second time without network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test lint types docs tests test-browser sweep tamper format install clean

run: install
	$(BIN)/milp-lth run

test: install lint types docs tests test-browser

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

docs: install
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs: open docs/_build/html/index.html"

# A worker a core: threads of torch's own would wait for each other.
tests: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal --doctest-modules --ignore=tests/browser tests instances solvers milp_lth

# The playground in chromium; without it, or without playwright, these are skipped and say so.
test-browser: install
	$(BIN)/python -m pytest -q -rs tests/browser

# Not part of test: a million rows against all of their subsets, some minutes.
sweep: install
	$(BIN)/python docs/measurements/false_claims.py

# Nor is this: a thousand changes to a certified run, made at random, each of which check must find.
tamper: install
	OMP_NUM_THREADS=1 MILP_LTH_TAMPERINGS=1000 $(BIN)/python -m pytest -q -n auto tests/milp_lth/test_tampering.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

install: $(VENV)/installed

# An editable installation links every module: it is renewed when one is added or removed, too.
$(VENV)/modules: FORCE | $(VENV)/tools
	@find instances solvers milp_lth -not -path '*/__pycache__*' -type f | sort > $@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(VENV)/installed: setup.cfg pyproject.toml $(VENV)/modules | $(VENV)/tools
	$(BIN)/python -m pip install -q --no-build-isolation -c constraints.txt \
		--config-settings editable_mode=strict -e '.[test,docs]'
	@touch $@

# The build tools go into the environment itself, so that a later installation needs no network.
$(VENV)/tools: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("milp_lth needs Python 3.11 or later: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt setuptools wheel
	@touch $@

FORCE:

clean:
	rm -rf $(VENV) build dist *.egg-info docs/_build .mypy_cache .ruff_cache .pytest_cache
