#!/bin/sh
# Run all tests except the matrix, each part with as many processes as it can use. A failed part ends none of the
# others. Arguments are passed to pytest.
cd "$(dirname "$0")/.." || exit
failed=0

part() { .venv/bin/python -m pytest "$@" || failed=1; }

part tests/unit -n auto "$@"
# They mostly wait for processes, so more of them than cores. A server serves all tests of a file.
part tests/contract tests/clients tests/browser -n 3 --dist loadfile --no-loadscope-reorder "$@"
part tests/airflow "$@"
exit $failed
