#!/bin/sh
# Build wheel and sdist into dist/, and check them as a user gets them: the wheel is installed into a new
# environment, without constraints.txt and away from the checkout. AIRFLOW=3.1.8 selects a release of Airflow
# (default: the newest). EXAMPLE=1 also runs the tests of examples/project there.
set -eu
cd "$(dirname "$0")/.."
. dev/environment.sh

root=$PWD
uv="$root/.venv/bin/python -m uv"
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

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cp "$root/dev/package_check.py" .
wheel=$(echo "$root"/dist/*.whl)
python=$work/venv/bin/python
$uv venv --quiet --python "$root/.venv/bin/python" venv
$uv pip install --quiet --python "$python" "$wheel" "apache-airflow${AIRFLOW:+==$AIRFLOW}"
$uv pip check --quiet --python "$python"
"$python" package_check.py installed
$uv pip install --quiet --python "$python" "$wheel[local]" "apache-airflow${AIRFLOW:+==$AIRFLOW}" jsonschema pytest
"$python" package_check.py installed local
"$work/venv/bin/dataflow-local" --version

if [ -n "${EXAMPLE:-}" ]; then
    cp -r "$root/examples/project" project
    cd project
    export AIRFLOW_HOME="$work/airflow" AIRFLOW__CORE__DAGS_FOLDER="$PWD/dags" AIRFLOW__CORE__LOAD_EXAMPLES=false
    "$python" -m airflow db migrate >"$work/migrate.log" 2>&1 || { cat "$work/migrate.log"; exit 1; }
    "$python" -m pytest -q -p no:cacheprovider
fi
