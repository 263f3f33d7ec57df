# shellcheck shell=bash
# Sourced by .ci/run: clients of other people and a browser, for the tests that skip without them. Whatever
# cannot be had, or not soon, is left out and named; nothing here fails.

clients=.cache/clients

client() {  # its variable for the tests, its file, its package
    timeout 150 .venv/bin/python -m uv pip install --quiet --compile-bytecode --python $clients/bin/python "$3" \
        && export "$1=$PWD/$clients/bin/$2" || echo "No $3: its tests are skipped."
}

if timeout 60 .venv/bin/python -m uv venv --quiet --allow-existing --python .venv/bin/python $clients; then
    client DATAFLOW_CLIENTS_OCI oci oci-cli==3.95.1
    client DATAFLOW_CLIENTS_ADS python oracle-ads==2.16.1
fi

install_chromium() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    export DEBIAN_FRONTEND=noninteractive
    timeout 120 apt-get update -qq && timeout 300 apt-get install -qq --no-install-recommends chromium
}

command -v chromium >/dev/null || install_chromium </dev/null >/dev/null 2>&1 \
    || echo "No Chromium, and it cannot be installed: the tests in tests/browser are skipped."
