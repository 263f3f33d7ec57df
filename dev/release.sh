#!/bin/sh
# Run pytest on a release of Airflow, in an environment of its own:
#   sh dev/release.sh 3.0.6 tests/airflow/matrix -m smoke
# The packages have the versions in dev/releases/airflow-RELEASE.txt. The release of constraints.txt, and an empty
# one, mean .venv.
set -eu
cd "$(dirname "$0")/.."

release=$1
shift
. dev/environment.sh

if [ -z "$release" ] || grep -qx "apache-airflow==$release" constraints.txt; then
    exec .venv/bin/python -m pytest "$@"
fi

constraints=dev/releases/airflow-$release.txt
venv=.cache/airflow-$release

if [ ! -f "$constraints" ]; then
    echo "Airflow $release: there is no $constraints. There is:" dev/releases/*.txt >&2
    exit 2
fi

make_environment "$venv" .venv/bin/python "pyproject.toml dev/release.sh" "$constraints" -e '.[test]'
echo "Airflow $("$venv/bin/python" -c 'from importlib.metadata import version; print(version("apache-airflow"))')"
# A configuration of the user's own would be that of another release. Older releases call what they deprecate.
AIRFLOW_HOME=$PWD/.cache/airflow-$release-home exec "$venv/bin/python" -m pytest -p no:cacheprovider \
    -W default::DeprecationWarning -W default::PendingDeprecationWarning -W default::FutureWarning "$@"
