#!/bin/sh
# Build wheel and sdist into dist/, and check them as a user gets them: the wheel is installed into a new
# environment, without constraints.txt and away from the checkout, and each of its modules is imported there.
#   AIRFLOW="newest 3.0.6"   releases of Airflow, an environment for each (default: the newest)
#   EXAMPLE=1                also run a DAG on Local Data Flow there: the tests of examples/project
#   UNTIL=2026-11-29         ignore packages that were published later (default: dev/package_date.txt, which
#                            "make lock" updates, so that nothing that is published tomorrow breaks CI)
#   UNTIL=                   the newest packages
set -eu
cd "$(dirname "$0")/.."
. dev/environment.sh

root=$PWD
uv="$root/.venv/bin/python -m uv"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

UNTIL=${UNTIL-$(cat dev/package_date.txt)}
if [ -n "$UNTIL" ]; then
    export UV_EXCLUDE_NEWER="$UNTIL"
    if ! echo packaging | $uv pip compile --quiet --no-header - >/dev/null 2>&1; then
        unset UV_EXCLUDE_NEWER
        echo "The index does not tell when packages were published, so the newest ones are used."
    fi
fi

# The newest PySpark may be newer than the pinned one; then uv builds it.
build_wheels constraints.txt .venv/bin/python
rm -rf dist
$uv build --quiet --out-dir dist
.venv/bin/python dev/package_check.py archives dist

# No dependency of this project: its own check of the metadata is enough where twine cannot be installed.
if $uv tool run --quiet twine --version >/dev/null 2>&1; then
    $uv tool run --quiet twine check --strict dist/*
else
    echo "twine cannot be installed: its check is skipped."
fi

cp dev/package_check.py "$work"
wheel=$(echo "$root"/dist/*.whl)

check() {
    release=$1
    # What the release itself should have asked for; without it, its own tasks fail.
    limits=$root/dev/releases/airflow-$release.in
    [ -f "$limits" ] || limits=/dev/null
    [ "$release" = newest ] && airflow=apache-airflow || airflow=apache-airflow==$release
    folder=$work/$release
    python=$folder/venv/bin/python
    mkdir "$folder"
    cd "$folder"
    $uv venv --quiet --python "$root/.venv/bin/python" venv
    $uv pip install --quiet --python "$python" -c "$limits" "$wheel" "$airflow"
    $uv pip check --quiet --python "$python"
    "$python" "$work/package_check.py" installed
    $uv pip install --quiet --python "$python" -c "$limits" "${wheel}[local]" "$airflow" \
        apache-airflow-providers-openlineage pytest
    "$python" "$work/package_check.py" installed local
    "$folder/venv/bin/dataflow-local" --version
    if [ -n "${EXAMPLE:-}" ]; then
        cp -r "$root/examples/project" project
        cd project
        export AIRFLOW_HOME="$folder/airflow" AIRFLOW__CORE__DAGS_FOLDER="$PWD/dags" AIRFLOW__CORE__LOAD_EXAMPLES=false
        "$python" -m airflow db migrate >"$folder/migrate.log" 2>&1 || { cat "$folder/migrate.log"; exit 1; }
        "$python" -m pytest -q -p no:cacheprovider
    fi
}

for release in ${AIRFLOW:-newest}; do
    (check "$release")  # in a subshell, since each release has settings of its own
done
