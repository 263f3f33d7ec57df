#!/bin/sh
# Run tests with the lowest version of each direct dependency that pyproject.toml allows, in an environment of
# its own. Airflow has its pinned version (dev/release.sh runs the tests on older ones), and packages that
# pyproject.toml does not name have the newest ones.
set -eu
cd "$(dirname "$0")/.."
. dev/environment.sh

venv=.cache/lowest
grep '^apache-airflow==' constraints.txt >.cache/lowest-constraints.txt
make_environment "$venv" .venv/bin/python pyproject.toml .cache/lowest-constraints.txt \
    --resolution lowest-direct -e '.[test]'
.venv/bin/python -m uv pip list --python "$venv/bin/python" 2>/dev/null |
    grep -E '^(apache-airflow|oci|aiohttp|asgiref|pendulum|tenacity|cryptography|pyjwt|uvicorn|psutil|pyspark) '
exec "$venv/bin/python" -m pytest -q -n auto -p no:cacheprovider -m 'not spark and not slow' \
    tests/unit/client tests/unit/models tests/unit/operators tests/contract
