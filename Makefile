# All targets run in .venv, which "setup" creates when it is missing. Needed is only Python 3.11 or newer.

SHELL := /bin/sh
PY := .venv/bin/python
FROM ?= 2013-01-01
TO ?= 2013-03-01
LOCK ?= --upgrade

# Without cached bytecode, each process of Airflow would compile all modules.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help setup demo up down backfill test test-fast matrix releases lint format docs lock clean

help:  ## show this help
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */  make \1|/' | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

setup:  ## create or update .venv
	@sh dev/setup.sh

demo: setup  ## run a Spark application from a DAG in a real Airflow, and show its progress and result
	@$(PY) -m dev.demo

up: setup  ## start Airflow and Local Data Flow and leave them running
	@$(PY) -m dev.up up

down: setup  ## stop the servers that "make up" has started
	@$(PY) -m dev.up down

backfill: setup  ## submit one Spark run per month, after "make up" (FROM=2013-01-01 TO=2013-03-01)
	@$(PY) -m dev.up backfill $(FROM) $(TO)

test: setup  ## run all tests, with real Spark and in a real Airflow, except the matrix
	@echo "About 8,000 tests; 25 minutes on two idle cores. 'make test-fast' runs the unit tests in two minutes."
	@$(PY) -m pytest tests

test-fast: setup  ## run the unit tests that start neither Spark nor Airflow, in parallel (about two minutes)
	@$(PY) -m pytest tests/unit -q -n 5 -m 'not spark and not slow'

matrix: setup  ## test each failure of tasks, Airflow and the service in a real Airflow (15 minutes)
	@DATAFLOW_TEST_MATRIX=1 $(PY) -m pytest tests/airflow/matrix tests/airflow/test_chaos.py

releases: setup  ## run the unit tests that use Airflow on older releases of it
	@sh dev/release.sh 3.0.6
	@sh dev/release.sh 3.2.2

lint: setup  ## check with ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: setup  ## fix and format the code with ruff
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

docs: setup  ## build the documentation in docs/_build/html
	@$(PY) -m sphinx -q -W -b html docs docs/_build/html

lock: setup  ## update constraints.txt (LOCK= keeps the pinned versions where possible)
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--no-header --no-annotate $(LOCK) -o constraints.txt pyproject.toml
	@! grep -nE '://|^ *-|@ ' constraints.txt

clean:  ## remove all generated files, including .venv
	@if [ -x $(PY) ]; then $(PY) -m dev.up down; fi
	@rm -rf .venv .demo .mypy_cache .pytest_cache .ruff_cache docs/_build build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
