# Two commands do everything on a fresh machine with Python 3.11 or later:
#   make run    environment, installation, then a digit classifier becomes a ticket
#   make test   the same installation, then lint, types, docs and all tests
# Both work a second time without network.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: run test lint types docs tests test-browser sweep truth tamper fuzz durability pythons oldest format install clean

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

# Nor is this: all solvers on a million adversarial rows, judged in exact arithmetic; some
# seven minutes on two cores that have nothing else to do.
truth: install
	OMP_NUM_THREADS=1 $(BIN)/python tests/solvers/truth.py 1000000

# Nor is this: a thousand changes to a certified run, made at random, each of which check must find.
tamper: install
	OMP_NUM_THREADS=1 MILP_LTH_TAMPERINGS=1000 $(BIN)/python -m pytest -q -n auto tests/milp_lth/test_tampering.py

# Nor this: changes to files of all kinds, made at random, which each reader takes or refuses in one
# line; make fuzz CHANGES=100000 makes more.
CHANGES ?= 20000
fuzz: install
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/fuzzing.py $(CHANGES)

# Nor this: commands killed at 150 random instants, and at every change to a file, then
# continued; Ctrl-C at other instants; every solver at its time limit. About an hour.
durability: install
	OMP_NUM_THREADS=1 $(BIN)/python tests/durability/disturbing.py --each 15
	OMP_NUM_THREADS=1 $(BIN)/python tests/durability/disturbing.py --steps
	OMP_NUM_THREADS=1 $(BIN)/python tests/durability/disturbing.py --each 8 --how "Ctrl-C,Ctrl-C twice"
	OMP_NUM_THREADS=1 $(BIN)/python tests/durability/disturbing.py --each 5 --cold --jobs run,rivals,compare
	OMP_NUM_THREADS=1 $(BIN)/python tests/durability/disturbing.py --each 3 --jobs planted
	MILP_LTH_DURABILITY=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/durability

# Nor these: the two lower floors without torch, on later Pythons; and with the oldest versions that
# setup.cfg allows, these and the command line. Each in an environment of its own, a quarter of an hour.
LOWER := tests/instances tests/solvers
OLDER := $(LOWER) tests/milp_lth/test_cli.py tests/milp_lth/test_report.py tests/milp_lth/test_reduction.py
FROM_HERE := PYTHONPATH=$(CURDIR) OMP_NUM_THREADS=1

pythons: $(VENV)-3.12/installed $(VENV)-3.13/installed
	$(FROM_HERE) $(VENV)-3.12/bin/python -m pytest -q -n auto $(LOWER)
	$(FROM_HERE) $(VENV)-3.13/bin/python -m pytest -q -n auto $(LOWER)

oldest: $(VENV)-oldest/installed
	$(FROM_HERE) $(VENV)-oldest/bin/python -m pytest -q -n auto $(OLDER)

$(VENV)-3.%/installed: constraints.txt
	python3.$* -m venv $(@D)
	$(@D)/bin/python -m pip install -q -c constraints.txt \
		hypothesis numba numpy ortools pulp pytest pytest-xdist scipy
	@touch $@

$(VENV)-oldest/installed: constraints-oldest.txt
	python3.11 -m venv $(@D)
	$(@D)/bin/python -m pip install -q -r constraints-oldest.txt hypothesis pytest pytest-xdist
	@touch $@

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
	rm -rf $(VENV) $(VENV)-* build dist *.egg-info docs/_build .mypy_cache .ruff_cache .pytest_cache
