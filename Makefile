# Everything runs in .venv, which the first target sets up itself; only Python 3.11 or newer is needed.

SHELL := /bin/sh
PY := .venv/bin/python
FROM ?= 2013-01-01
TO ?= 2013-03-01
LOCK ?= --upgrade

# Without bytecode, every process of Airflow compiles itself anew.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help setup demo up down backfill test test-fast matrix releases lint format docs lock clean

help:  ## show this
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */  make \1|/' | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

setup:  ## set up .venv, if need be
	@sh dev/setup.sh

demo: setup  ## run a Spark application from a DAG in a real Airflow, and show it
	@$(PY) -m dev.demo

up: setup  ## start Airflow and Local Data Flow and leave them running
	@$(PY) -m dev.up up

down: setup  ## stop what "make up" has started
	@$(PY) -m dev.up down

backfill: setup  ## after "make up": one Spark run per month (FROM=2013-01-01 TO=2013-03-01)
	@$(PY) -m dev.up backfill $(FROM) $(TO)

test: setup  ## unit and contract tests, real Spark, and the tests in a real Airflow
	@echo "About 2,600 tests; 20 minutes on two idle cores. 'make test-fast' runs the unit tests in two minutes."
	@$(PY) -m pytest tests

test-fast: setup  ## the unit tests that start neither Spark nor Airflow, on all cores (under two minutes)
	@$(PY) -m pytest tests/unit -q -n auto -m 'not spark'

matrix: setup  ## every way in which a task or Airflow can die, in a real Airflow (a quarter of an hour)
	@DATAFLOW_TEST_MATRIX=1 $(PY) -m pytest tests/airflow/matrix tests/airflow/test_chaos.py

releases: setup  ## what touches Airflow of the unit tests, on the oldest release and the last without on_kill
	@sh dev/release.sh 3.0.6
	@sh dev/release.sh 3.2.2

lint: setup  ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: setup  ## let ruff put things in order
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

docs: setup  ## the documentation, as docs/_build/html
	@$(PY) -m sphinx -q -W -b html docs docs/_build/html

lock: setup  ## renew constraints.txt (LOCK= keeps the versions that still fit)
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--no-header --no-annotate $(LOCK) -o constraints.txt pyproject.toml
	@! grep -nE '://|^ *-|@ ' constraints.txt

clean:  ## remove everything that can be made again, .venv included
	@if [ -x $(PY) ]; then $(PY) -m dev.up down; fi
	@rm -rf .venv .demo .mypy_cache .pytest_cache .ruff_cache docs/_build build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
