"""Requests to other services than Data Flow and Object Storage, through the real SDK."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.client import compartments
from airflow_provider_dataflow.client.compartments import visible_compartments
from airflow_provider_dataflow.client.metastores import metastore_state
from airflow_provider_dataflow.client.sdk import oci
from airflow_provider_dataflow.exceptions import ServiceError
from tests.unit.client.test_sync_client import REFUSED, client, service  # noqa: F401 - fixtures

METASTORE_ID = "ocid1.datacatalogmetastore.oc1..aaaa"
TENANCY_ID = "ocid1.tenancy.oc1..aaaa"


@pytest.fixture
def on_loopback(service, monkeypatch):  # noqa: F811
    """Send the requests of a service to the fake, instead of to the region's endpoint."""

    def redirect(module: str, name: str) -> None:
        real = getattr(getattr(oci, module), name)

        def make(config, **options):
            assert config == {"region": "us-ashburn-1"}
            return real({}, service_endpoint=service.url, **options)

        monkeypatch.setattr(getattr(oci, module), name, make)

    return redirect


def test_state_of_a_metastore(client, service, on_loopback):  # noqa: F811
    on_loopback("data_catalog", "DataCatalogClient")
    service.answers.append((200, {"id": METASTORE_ID, "lifecycleState": "ACTIVE"}))
    assert metastore_state(client, METASTORE_ID) == "ACTIVE"
    ((method, path, headers),) = service.requests
    assert (method, path) == ("GET", f"/20190325/metastores/{METASTORE_ID}")
    assert headers["authorization"].startswith("Signature ")
    assert "airflow-provider-dataflow/" in headers["user-agent"]


def test_metastore_that_is_not_visible(client, service, on_loopback):  # noqa: F811
    on_loopback("data_catalog", "DataCatalogClient")
    service.answers.append((404, REFUSED))
    with pytest.raises(ServiceError) as caught:
        metastore_state(client, METASTORE_ID)
    assert (caught.value.operation, caught.value.status) == ("GetMetastore", 404)


def test_compartments_are_listed_in_pages(client, service, on_loopback, monkeypatch):  # noqa: F811
    on_loopback("identity", "IdentityClient")
    monkeypatch.setattr(compartments, "is_loopback", lambda host: False)
    service.answers.append((200, [{"id": "a"}], {"opc-next-page": "2"}))
    service.answers.append((200, [{"id": "b"}]))
    assert visible_compartments(client, TENANCY_ID) == [TENANCY_ID, "a", "b"]
    assert all("accessLevel=ACCESSIBLE" in path for _, path, _ in service.requests)
