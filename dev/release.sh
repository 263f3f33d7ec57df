#!/bin/sh
# Run the unit tests that use Airflow on another release of it, in an environment of its own:
#   sh dev/release.sh 3.0.6
# All packages have the versions in dev/releases/airflow-RELEASE.txt.
set -eu
cd "$(dirname "$0")/.."

release=$1
constraints=dev/releases/airflow-$release.txt
venv=.cache/airflow-$release
stamp=$venv/.stamp
unset PYTHONDONTWRITEBYTECODE PYTHONPATH || true

checksum() { cat pyproject.toml "$constraints" | cksum; }

if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$(checksum)" ]; then
    rm -rf "$venv"
    .venv/bin/python -m venv --without-pip "$venv"
    .venv/bin/python -m uv pip install --quiet --python "$venv/bin/python" --compile-bytecode \
        -c "$constraints" -e '.[test]'
    checksum >"$stamp"
fi
echo "Airflow $("$venv/bin/python" -c 'from importlib.metadata import version; print(version("apache-airflow"))')"
AIRFLOW_HOME=$PWD/.cache/airflow-$release-home exec "$venv/bin/python" -m pytest -q -n auto -p no:cacheprovider \
    tests/unit/arguments tests/unit/hooks tests/unit/operators tests/unit/ownership tests/unit/sensors \
    tests/unit/triggers \
    tests/unit/test_provider_info.py tests/unit/test_redaction.py
