#!/bin/sh
# Run the fast unit tests, the contract tests and the demo on another Python, in an environment of its own:
#   sh dev/pythons.sh 3.14 [PYTEST ARGUMENT ...]
# The first argument is a version or the path of an interpreter. With further arguments, only pytest runs.
# A version is looked for on the PATH and among those of pyenv; on Linux, Maven can install one. Without an
# interpreter, only the syntax and the pinned packages are checked, and the exit code is 0 if they are good.
set -eu
cd "$(dirname "$0")/.."
. dev/environment.sh

wanted=${1:?usage: sh dev/pythons.sh VERSION|PATH [PYTEST ARGUMENT ...]}
shift

# The interpreter must have the version, and the modules of the standard library that are often left out.
works() {
    "$1" -c '
import bz2, ctypes, lzma, sqlite3, ssl, sys, venv
found = sys.version_info
sys.exit(not (found >= (3, 11) and sys.argv[1] in ("", f"{found.major}.{found.minor}")))' "$2" >/dev/null 2>&1
}

# CPython as a Java archive: executable, shared library and standard library.
archive_of() {
    case $1 in
        3.12) echo 3.12.1-1.5.10 ;;
        3.13) echo 3.13.5-1.5.12 ;;
        3.14) echo 3.14.3-1.5.13 ;;
    esac
}

installed_by_maven() {
    archive=$(archive_of "$1")
    home=.cache/python-$1/org/bytedeco/cpython/linux-x86_64
    if [ -z "$archive" ] || [ "$(uname -sm)" != "Linux x86_64" ]; then
        return 1
    fi
    if [ ! -x "$home/bin/python$1" ]; then
        command -v mvn >/dev/null || return 1
        mvn -q -B dependency:copy -Dartifact="org.bytedeco:cpython:$archive:jar:linux-x86_64" \
            -DoutputDirectory="$PWD/.cache" >&2 || return 1
        # Python's zipfile needs no program, but it drops the permissions.
        .venv/bin/python -m zipfile -e ".cache/cpython-$archive-linux-x86_64.jar" ".cache/python-$1"
        rm ".cache/cpython-$archive-linux-x86_64.jar"
        chmod +x "$home"/bin/*
    fi
    echo "$PWD/$home/bin/python$1"
}

find_python() {
    case $1 in
        */*) works "$1" "" && echo "$1" && return ;;
    esac
    for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        if works "$candidate" "$1"; then
            echo "$candidate"
            return
        fi
    done
    candidate=$(installed_by_maven "$1") && works "$candidate" "$1" && echo "$candidate"
}

check_without_interpreter() {
    .venv/bin/python -W error -m compileall -q -f airflow_provider_dataflow dev example_dags
    # PySpark, which is pure Python, has no wheels.
    .venv/bin/python -m uv pip compile --quiet --python-version "$1" --only-binary :all: --no-binary pyspark \
        --all-extras -c constraints.txt pyproject.toml >/dev/null
    echo "Python $1: NO INTERPRETER FOUND, so no test was run. All pinned packages have wheels for it."
}

if ! python=$(find_python "$wanted"); then
    case $wanted in
        */*) echo "$wanted: no Python 3.11 or newer with its standard library" >&2 && exit 1 ;;
    esac
    check_without_interpreter "$wanted"
    exit
fi
version=$("$python" -c 'import sys; print("{}.{}".format(*sys.version_info))')
echo "Python $("$python" -c 'import platform; print(platform.python_version())') ($python)"
make_environment ".pythons/$version" "$python" pyproject.toml constraints.txt -e '.[test]'

python=.pythons/$version/bin/python
if [ $# -gt 0 ]; then
    exec "$python" -m pytest -q -p no:cacheprovider "$@"
fi
"$python" -m dev.demo
exec "$python" -m pytest -q -n auto -p no:cacheprovider -m 'not spark and not slow' tests/unit tests/contract
