# shellcheck shell=bash
# Sourced by .ci/run: installs third-party clients and a browser, for tests that are skipped without them.
# Prints what cannot be installed in time; never fails.

clients=.cache/clients
programs=.cache/programs

# Compiled while pip downloads. The tests build the programs again, from the caches of Go and Maven, which survive
# this clone.
export GOCACHE=${GOCACHE:-$HOME/.cache/go-build}
mkdir -p $programs
if command -v go >/dev/null; then
    (cd tests/clients/go && timeout 400 go build -o /dev/null .) >$programs/go.log 2>&1 &
    # shellcheck disable=SC2034  # read by its name below
    go_build=$!
fi
if command -v mvn >/dev/null; then
    rm -rf $programs/java && cp -r tests/clients/java $programs/java
    timeout 400 mvn -q -B -f $programs/java/pom.xml package >$programs/java.log 2>&1 &
    # shellcheck disable=SC2034  # read by its name below
    java_build=$!
fi

install_client() {  # variable that the tests read, name of the executable, package
    timeout 150 .venv/bin/python -m uv pip install --quiet --compile-bytecode --python $clients/bin/python "$3" \
        && export "$1=$PWD/$clients/bin/$2" || echo "$3 cannot be installed: its tests are skipped."
}

if timeout 60 .venv/bin/python -m uv venv --quiet --allow-existing --python .venv/bin/python $clients; then
    install_client DATAFLOW_CLIENTS_OCI oci oci-cli==3.95.1
    install_client DATAFLOW_CLIENTS_ADS python oracle-ads==2.16.1
fi

install_chromium() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    export DEBIAN_FRONTEND=noninteractive
    timeout 120 apt-get update -qq && timeout 300 apt-get install -qq --no-install-recommends chromium
}

command -v chromium >/dev/null || install_chromium </dev/null >/dev/null 2>&1 \
    || echo "Chromium cannot be installed: the tests in tests/browser are skipped."

for client in go java; do
    job=${client}_build
    if [ -n "${!job:-}" ] && ! wait "${!job}"; then
        echo "The client in tests/clients/$client cannot be built: $(tail -n 1 $programs/$client.log)"
    fi
done
