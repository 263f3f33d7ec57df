from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.access import Access, checked_endpoint
from airflow_provider_dataflow.client.credentials import ApiKey
from airflow_provider_dataflow.exceptions import InvalidConnection


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8170", "http://127.0.0.1:8170"),
        ("http://localhost:8170/", "http://localhost:8170"),
        (
            " https://dataflow.eu-frankfurt-1.oci.oraclecloud.com/ ",
            "https://dataflow.eu-frankfurt-1.oci.oraclecloud.com",
        ),
        (
            "https://dataflow.us-langley-1.oci.oraclegovcloud.com",
            "https://dataflow.us-langley-1.oci.oraclegovcloud.com",
        ),
    ],
)
def test_loopback_and_oci_may_be_called(url, expected):
    assert checked_endpoint(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("dataflow.example", "expected a URL"),
        ("ftp://127.0.0.1", "expected a URL"),
        ("http://127.0.0.1:port", "expected a URL"),
        ("http://user@127.0.0.1:1", "scheme, host and port only"),
        ("http://127.0.0.1:1/20200129", "scheme, host and port only"),
        ("http://[::1]:1", "IPv6"),
        ("http://dataflow.eu-frankfurt-1.oci.oraclecloud.com", "needs https"),
        ("https://oraclecloud.com.example", "neither loopback nor OCI's"),
        ("https://evil-oraclecloud.com", "neither loopback nor OCI's"),
        ("https://169.254.169.254", "neither loopback nor OCI's"),
    ],
)
def test_other_endpoints_are_refused(url, problem):
    with pytest.raises(InvalidConnection, match="service_endpoint") as caught:
        checked_endpoint(url)
    assert problem in str(caught.value)


def test_an_administrator_can_allow_a_host():
    assert checked_endpoint("http://proxy.example:1", ["proxy.example"]) == "http://proxy.example:1"


def test_the_regions_own_endpoint():
    access = Access(credentials=None, region="eu-frankfurt-1")
    assert access.endpoint == "https://dataflow.eu-frankfurt-1.oci.oraclecloud.com"


@pytest.mark.parametrize("region", ["evil.example", "a/b", "http://x", "eu frankfurt"])
def test_a_region_is_no_way_to_another_host(region):
    with pytest.raises(InvalidConnection, match="region"):
        Access(credentials=None, region=region)


def test_neither_region_nor_endpoint(key_fields):
    with pytest.raises(InvalidConnection, match="region: missing"):
        _ = Access(ApiKey(**key_fields)).endpoint
