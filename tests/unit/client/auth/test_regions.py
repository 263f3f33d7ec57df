"""Region metadata in files and variables. The SDK reads it once, so each test runs in a new process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

METADATA = {
    "realmKey": "OC99",
    "realmDomainComponent": "cloud.example",
    "regionKey": "ATL",
    "regionIdentifier": "xx-atlantis-1",
}
ENDPOINT = "https://dataflow.xx-atlantis-1.oci.cloud.example"

BOTH_CLIENTS = """
import asyncio, sys
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from tests.unit.client.auth.test_regions import Nobody

async def endpoint(access):
    async with await AsyncDataFlowClient.create(lambda: access) as client:
        return client.endpoint

region, service_endpoint = (word if word != "-" else None for word in sys.argv[1:])
try:
    print(asyncio.run(endpoint(Access(Nobody(), region, service_endpoint))))
    print(DataFlowClient(Access(Nobody(), region, service_endpoint)).sdk.base_client.endpoint)
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""

AT_THE_SAME_TIME = """
import json, threading, time, types
from airflow_provider_dataflow.client.auth.regions import endpoint_of_region
from airflow_provider_dataflow.client.sdk import oci

def slow(text):
    time.sleep(0.3)
    return json.loads(text)

oci.regions.json = types.SimpleNamespace(loads=slow)
found, start = [], threading.Barrier(4)

def look_up():
    start.wait()
    found.append(endpoint_of_region("xx-atlantis-1"))

threads = [threading.Thread(target=look_up) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(*sorted(set(found)))
"""


class Nobody:
    """Credentials without a key, for clients that send no requests."""

    def sign_in(self) -> object:
        from airflow_provider_dataflow.client.auth.credentials import sign_in_with_key
        from tests.identity_service import new_key

        return sign_in_with_key("nobody", new_key())


def run(code: str, *arguments: str, home: Path, **environment: str) -> list[str]:
    import os

    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OCI_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**inherited, "HOME": str(home), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def write(home: Path, content: str) -> None:
    (home / ".oci").mkdir()
    (home / ".oci" / "regions-config.json").write_text(content)


@pytest.mark.parametrize("source", ["file", "variable"])
@pytest.mark.parametrize("region", ["xx-atlantis-1", "atl"])
def test_both_clients_know_regions_of_metadata(tmp_path, source, region):
    environment = {}
    if source == "file":
        write(tmp_path, json.dumps([METADATA]))
    else:
        environment["OCI_REGION_METADATA"] = json.dumps(METADATA)
    found = run(BOTH_CLIENTS, region, "-", home=tmp_path, **environment)
    assert found == [ENDPOINT, f"{ENDPOINT}/20200129"]


def test_a_service_endpoint_in_a_realm_of_metadata_is_allowed(tmp_path):
    """Also before the first lookup of a region."""
    found = run(BOTH_CLIENTS, "fra", ENDPOINT, home=tmp_path, OCI_REGION_METADATA=json.dumps(METADATA))
    assert found == [ENDPOINT, f"{ENDPOINT}/20200129"]


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ("variable", "{"),
        ("file", json.dumps([METADATA, {}])),
        # Each starts a process that imports the SDK.
        *(
            pytest.param(source, content, marks=pytest.mark.slow)
            for source, content in [
                *(("variable", text) for text in ("[]", '"x"', '{"realmKey": "OC99"}')),
                ("variable", json.dumps(METADATA | {"regionKey": 1})),
                *(("file", text) for text in ("{", "{}", '["x"]', "[1]")),
            ]
        ),
    ],
)
def test_malformed_metadata_is_named(tmp_path, source, content):
    """Otherwise, the SDK would assume the commercial realm for its region."""
    environment = {}
    if source == "file":
        write(tmp_path, content)
    else:
        environment["OCI_REGION_METADATA"] = content
    (error,) = run(BOTH_CLIENTS, "yy-lemuria-1", "-", home=tmp_path, **environment)
    name = "~/.oci/regions-config.json" if source == "file" else "OCI_REGION_METADATA"
    assert error.startswith(f"InvalidConnection: {name}: ")


def test_malformed_metadata_does_not_affect_a_known_region(tmp_path):
    found = run(BOTH_CLIENTS, "fra", "-", home=tmp_path, OCI_REGION_METADATA="{")
    assert found[0] == "https://dataflow.eu-frankfurt-1.oci.oraclecloud.com"


@pytest.mark.parametrize(
    "variables",
    [
        {"OCI_DUAL_STACK_ENDPOINT_ENABLED": "true"},
        {"OCI_REALM_SPECIFIC_SERVICE_ENDPOINT_TEMPLATE_ENABLED": "true"},
        {"OCI_DEFAULT_REALM": "oraclegovcloud.com"},
    ],
    ids=lambda variables: next(iter(variables)),
)
@pytest.mark.parametrize("region", [pytest.param("eu-frankfurt-1", marks=pytest.mark.slow), "xx-atlantis-1"])
def test_both_clients_follow_the_region_variables_of_the_sdk(tmp_path, variables, region):
    asynchronous, synchronous = run(BOTH_CLIENTS, region, "-", home=tmp_path, **variables)
    assert synchronous == f"{asynchronous}/20200129"


def test_concurrent_region_lookups_agree(tmp_path):
    write(tmp_path, json.dumps([METADATA]))
    assert run(AT_THE_SAME_TIME, home=tmp_path) == [ENDPOINT]
