# All targets run in .venv, which "setup" creates when it is missing. Needed is only Python 3.11 or newer.

SHELL := /bin/sh
PY := .venv/bin/python
FROM ?= 2013-01-01
TO ?= 2013-03-01
LOCK ?= --upgrade
# Release of Airflow for airflow-tests, matrix and smoke: one of dev/releases, or that of constraints.txt.
AIRFLOW ?=
# Set, "package" also runs the tests of examples/project, which run a DAG on Local Data Flow.
EXAMPLE ?=
RELEASES := 3.0.6 3.1.8 3.2.2
# Of the next release, if there is one yet.
PRERELEASE := 3.4.0b2
# Unit tests that depend on Airflow, of which only these are run on older releases.
AIRFLOW_UNIT_TESTS := tests/unit/arguments tests/unit/decorators tests/unit/hooks tests/unit/operators tests/unit/ownership \
	tests/unit/sensors tests/unit/triggers tests/unit/test_compat.py tests/unit/test_provider_info.py \
	tests/unit/test_redaction.py

# Without cached bytecode, each process of Airflow would compile all modules.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH

.DEFAULT_GOAL := help
.PHONY: help setup demo up down backfill test test-fast airflow-tests matrix smoke releases ci-full release-table \
	pythons lowest lint lint-files format docs lock lock-releases clean package

help:  ## show this help
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## */  make \1|/' | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

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
	@echo "About 9,000 tests; 15 minutes on two idle cores. 'make test-fast' runs the unit tests in two minutes."
	@sh dev/test.sh

test-fast: setup  ## run the unit tests that start neither Spark nor Airflow, in parallel (about two minutes)
	@$(PY) -m pytest tests/unit -q -n 4 --dist worksteal -m 'not spark and not slow and not every_argument'

airflow-tests: setup  ## run tests/airflow in a real Airflow, also an older one (AIRFLOW=3.0.6)
	@sh dev/release.sh "$(AIRFLOW)" tests/airflow

matrix: setup  ## test each failure of tasks, Airflow and the service in a real Airflow (15 minutes; AIRFLOW=3.0.6)
	@DATAFLOW_TEST_MATRIX=1 sh dev/release.sh "$(AIRFLOW)" tests/airflow/matrix tests/airflow/test_chaos.py

smoke: setup  ## test the short cases of the matrix (two minutes; AIRFLOW=3.0.6)
	@DATAFLOW_TEST_MATRIX=1 sh dev/release.sh "$(AIRFLOW)" tests/airflow/matrix -m smoke

releases: setup  ## run the smoke tests on all older releases, and unit tests that use Airflow on the oldest and on 3.2
	@for release in $(RELEASES); do $(MAKE) smoke AIRFLOW=$$release || exit; done
	@sh dev/release.sh 3.0.6 -q -n auto -m 'not slow and not every_argument' $(AIRFLOW_UNIT_TESTS)
	@sh dev/release.sh 3.2.2 -q -n auto -m 'not slow and not every_argument' $(AIRFLOW_UNIT_TESTS)

ci-full: setup  ## run .ci/run, then everything on all releases and Pythons (hours), and update the table of results
	@.ci/run
	@DATAFLOW_KILLS=100 $(PY) -m pytest tests/contract/test_spark_kills.py tests/contract/test_real_spark_kills.py
	@for release in $(RELEASES) $(PRERELEASE) ""; do \
		DATAFLOW_TEST_MATRIX=1 DATAFLOW_TEST_RESULTS=tests/airflow/results \
			sh dev/release.sh "$$release" tests/airflow || failed="$$failed $$release"; \
	done; $(PY) -m dev.release_table; test -z "$$failed" || { echo "Failed:$$failed"; exit 1; }
	@$(MAKE) lowest pythons

release-table: setup  ## write the results in tests/airflow/results into docs/reliability.md
	@$(PY) -m dev.release_table

pythons: setup  ## run unit tests, contract tests and the demo on other Pythons (PYTHON=3.14, or all from 3.12 on)
	@for python in $(or $(PYTHON),3.12 3.13 3.14); do sh dev/pythons.sh $$python || exit; done

lowest: setup  ## run unit and contract tests with the lowest versions of all dependencies
	@sh dev/lowest.sh

lint: setup  ## check with ruff, mypy and codespell
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m codespell_lib *.md docs airflow_provider_dataflow dev example_dags examples

lint-files: setup  ## check shell scripts, the Dockerfile and workflows, with the tools that can be installed
	@sh dev/lint_files.sh

format: setup  ## fix and format the code with ruff
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

# With -a, since an update of some pages would lose what others have added to the search index with {index}.
docs: setup  ## build the documentation in docs/_build/html
	@$(PY) -m sphinx -q -W -a -b html docs docs/_build/html

lock: setup  ## update constraints.txt (LOCK= keeps the pinned versions where possible)
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--no-header --no-annotate $(LOCK) -o constraints.txt pyproject.toml
	@! grep -nE '://|^ *-|@ ' constraints.txt
	@date -u +%Y-%m-%d >dev/package_date.txt

lock-releases: setup  ## update dev/releases (LOCK= keeps the pinned versions where possible)
	@for release in $(RELEASES) $(PRERELEASE); do \
		$(PY) -m uv pip compile --quiet --python-version 3.11 --extra test --no-header --no-annotate $(LOCK) \
			-c dev/releases/airflow-$$release.in -o dev/releases/airflow-$$release.txt pyproject.toml || exit; \
	done
	@! grep -nE '://|^ *-|@ ' dev/releases/*.txt

clean:  ## remove all generated files, including .venv and what is cached in the home directory
	@if [ -x $(PY) ]; then $(PY) -m dev.up down; fi
	@rm -rf "$${XDG_CACHE_HOME:-$$HOME/.cache}/airflow-provider-dataflow" .cache .pythons
	@rm -rf .venv .demo .mypy_cache .pytest_cache .ruff_cache docs/_build build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

package: setup  ## build wheel and sdist, check them, and install the wheel alone (AIRFLOW="newest 3.0.6", EXAMPLE=1)
	@AIRFLOW="$(AIRFLOW)" EXAMPLE="$(EXAMPLE)" sh dev/package_check.sh
