# shellcheck shell=sh
# Functions for scripts that make environments. To be sourced in the root of the repository.

unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME || true

# uv installs wheels that are there instead of building them from an sdist.
mkdir -p .cache/wheels
export UV_FIND_LINKS="$PWD/.cache/wheels${UV_FIND_LINKS:+,$UV_FIND_LINKS}"

# Build what a constraints file pins and the index has no wheels of:
#   build_wheels CONSTRAINTS PYTHON
build_wheels() {
    .venv/bin/python dev/wheels.py "$1" "$("$2" -c 'import sys; print("{}.{}".format(*sys.version_info))')"
}

# Create a virtual environment, or do nothing if the files that it is made of have not changed:
#   make_environment VENV PYTHON "FILE ..." CONSTRAINTS [ARGUMENT OF uv pip install ...]
make_environment() {
    venv=$1 python=$2 files=$3 constraints=$4
    shift 4
    # shellcheck disable=SC2086 # a list of files
    sum=$(cat $files "$constraints" | cksum)
    if [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$sum" ]; then
        return
    fi
    build_wheels "$constraints" "$python"
    rm -rf "$venv"
    "$python" -m venv --without-pip "$venv"
    .venv/bin/python -m uv pip install --quiet --python "$venv/bin/python" --compile-bytecode -c "$constraints" "$@"
    echo "$sum" >"$venv/.stamp"
}
