# Functions for scripts that test in an environment of their own. To be sourced in the root of the repository.

unset PYTHONDONTWRITEBYTECODE PYTHONPATH PYTHONHOME || true

# Create a virtual environment, or do nothing if the files that it is made of have not changed:
#   make_environment VENV PYTHON "FILE ..." [ARGUMENT OF uv pip install ...]
make_environment() {
    venv=$1 python=$2 files=$3
    shift 3
    # shellcheck disable=SC2086 # a list of files
    sum=$(cat $files | cksum)
    if [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$sum" ]; then
        return
    fi
    rm -rf "$venv"
    "$python" -m venv --without-pip "$venv"
    .venv/bin/python -m uv pip install --quiet --python "$venv/bin/python" --compile-bytecode "$@"
    echo "$sum" >"$venv/.stamp"
}
