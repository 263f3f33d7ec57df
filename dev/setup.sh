#!/bin/sh
# Sets up .venv with everything that the project needs, or does nothing if that has been done already.
# Needs nothing but Python 3.11 or newer. PYTHON=... chooses which one.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.stamp
incomplete=$venv/.incomplete
# Airflow and Spark start three times as fast with bytecode: let nothing keep it from being written.
unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME || true

wanted() { cat pyproject.toml constraints.txt dev/setup.sh | cksum; }

works() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(wanted)" ] && works "$venv/bin/python"; then
    exit 0
fi

# 3.11 first: Data Flow's Spark 3.5 runs on it, and so does the local one there. Newer ones get Spark 4.
find_python() {
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
        if works "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Needed: Python 3.11 or newer with its venv module, on the PATH or as PYTHON=/path/to/python." >&2
    echo "(On Debian and Ubuntu: apt install python3-venv)" >&2
    return 1
}

install() {
    : >"$incomplete"
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
    "$venv/bin/python" -m uv pip install --quiet --python "$venv/bin/python" --compile-bytecode \
        -c constraints.txt -e '.[dev]'
    rm "$incomplete"
}

# What was interrupted half-way may look whole: start over. What works is only brought up to date.
if [ -f "$incomplete" ] || ! works "$venv/bin/python"; then
    rm -rf "$venv"
fi
if [ ! -d "$venv" ]; then
    python=$(find_python)
    echo "Setting up $venv with $("$python" --version) (a minute or two, once) ..."
    mkdir "$venv" && : >"$incomplete"
    "$python" -m venv "$venv"
else
    echo "Bringing $venv up to date ..."
fi
install
wanted >"$stamp"
