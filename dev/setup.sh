#!/bin/sh
# Create or update .venv with all packages that the project needs; do nothing if it is up to date.
# Needs only Python 3.11 or newer. PYTHON=... selects the interpreter.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp=$venv/.stamp
incomplete=$venv/.incomplete
# Airflow and Spark start three times as fast with cached bytecode, so it must be written.
. dev/environment.sh

checksum() { cat pyproject.toml constraints.txt dev/setup.sh | cksum; }

works() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(checksum)" ] && works "$venv/bin/python"; then
    exit 0
fi

# Prefer 3.11, which runs Spark 3.5 as Data Flow does. Newer versions get Spark 4.
find_python() {
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3}; do
        if works "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer with its venv module not found: put it on the PATH or set PYTHON=/path/to/python." >&2
    echo "(On Debian and Ubuntu: apt install python3-venv)" >&2
    return 1
}

install() {
    : >"$incomplete"
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt uv packaging
    build_wheels constraints.txt "$venv/bin/python"
    "$venv/bin/python" -m uv pip install --quiet --python "$venv/bin/python" --compile-bytecode \
        -c constraints.txt -e '.[dev]'
    rm "$incomplete"
}

# An interrupted installation may look complete, so remove it. A working one is only updated.
if [ -f "$incomplete" ] || ! works "$venv/bin/python"; then
    rm -rf "$venv"
fi
if [ ! -d "$venv" ]; then
    python=$(find_python)
    echo "Setting up $venv with $("$python" --version) (a minute or two, once) ..."
    mkdir "$venv" && : >"$incomplete"
    "$python" -m venv "$venv"
else
    echo "Updating $venv ..."
fi
install
checksum >"$stamp"
