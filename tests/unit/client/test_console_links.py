from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.console_links import bucket_page_url, run_page_url

RUN = "ocid1.dataflowrun.oc1.iad.x"


@pytest.fixture
def access(key_fields):
    def make(**fields):
        return Access(credentials=ApiKey(**key_fields), **fields)

    return make


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        ("eu-frankfurt-1", f"https://cloud.oracle.com/data-flow/runs/details/{RUN}?region=eu-frankfurt-1"),
        ("us-langley-1", f"https://console.us-langley-1.oraclegovcloud.com/data-flow/runs/details/{RUN}"),
        (
            "uk-gov-london-1",
            f"https://console.uk-gov-london-1.oraclegovcloud.uk/data-flow/runs/details/{RUN}",
        ),
    ],
)
def test_run_page_is_in_the_console_of_region_and_realm(access, region, expected):
    assert run_page_url(access(region=region), RUN) == expected


def test_run_page_of_local_data_flow(access):
    local = access(service_endpoint="http://127.0.0.1:8170")
    assert run_page_url(local, RUN) == f"http://127.0.0.1:8170/console/runs/{RUN}"


def test_bucket_page_is_in_the_console_of_region_and_realm(access):
    assert bucket_page_url(access(region="eu-frankfurt-1"), "oci://logs@ns/path/") == (
        "https://cloud.oracle.com/object-storage/buckets/ns/logs/objects?region=eu-frankfurt-1"
    )


@pytest.mark.parametrize("uri", [None, "", "logs", "oci://logs"])
def test_malformed_bucket_uri_has_no_page(access, uri):
    assert bucket_page_url(access(region="eu-frankfurt-1"), uri) is None


def test_local_data_flow_has_no_pages_of_buckets(access):
    assert bucket_page_url(access(service_endpoint="http://127.0.0.1:8170"), "oci://logs@ns/") is None
