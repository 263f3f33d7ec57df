#!/bin/sh
# Build terraform-provider-oci with the resources of Data Flow only: a build of all services takes very long.
# Usage: build_provider.sh SOURCE OUTPUT
#   SOURCE  folder with the source of oracle/terraform-provider-oci; it is not changed
#   OUTPUT  path of the binary
# Requires the version of Go that the source's go.mod names, or a later one.
set -eu

if [ $# -ne 2 ]; then
    echo "Usage: $0 SOURCE OUTPUT" >&2
    exit 2
fi
source=$(cd "$1" && pwd)
mkdir -p "$(dirname "$2")"
output=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Other services register their SDK clients and resources in files of their own. An overlay replaces these
# files in the build. The code of Data Flow and of the provider itself is built as it is, with the services
# that it needs.
needed="core dataflow functions identity identity_domains kms load_balancer provider"
echo "package client" >"$work/client.go"
for kind in Resource Datasource; do
    name=$(echo "$kind" | tr 'RD' 'rd')
    cat >"$work/register_$name.go" <<END
package provider

import "github.com/oracle/terraform-provider-oci/internal/service/dataflow"

func init() { dataflow.Register$kind() }
END
done
echo "package provider" >"$work/register_framework_datasource.go"
{
    echo '{"Replace": {'
    for file in "$source"/internal/client/*_clients.go; do
        service=$(basename "$file" _clients.go)
        case " $needed " in
        *" $service "*) ;;
        *) echo "\"$file\": \"$work/client.go\"," ;;
        esac
    done
    for name in register_resource register_framework_datasource; do
        echo "\"$source/internal/provider/$name.go\": \"$work/$name.go\","
    done
    echo "\"$source/internal/provider/register_datasource.go\": \"$work/register_datasource.go\"}}"
} >"$work/overlay.json"

cd "$source"
go build -overlay "$work/overlay.json" -ldflags="-s -w" -o "$output" .
