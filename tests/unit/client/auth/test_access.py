from __future__ import annotations

import pytest

from airflow_provider_dataflow.client.auth.access import Access, checked_endpoint
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.auth.regions import endpoint_of_region
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
def test_loopback_and_oci_endpoints_are_allowed(url, expected):
    assert checked_endpoint(url) == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("dataflow.example", "expected a URL"),
        ("ftp://127.0.0.1", "expected a URL"),
        ("http://127.0.0.1:port", "expected a URL"),
        ("http://user@127.0.0.1:1", "scheme, host and port only"),
        ("https://:hidden@dataflow.eu-frankfurt-1.oci.oraclecloud.com", "scheme, host and port only"),
        ("https://:@dataflow.eu-frankfurt-1.oci.oraclecloud.com", "scheme, host and port only"),
        ("https://@dataflow.eu-frankfurt-1.oci.oraclecloud.com", "scheme, host and port only"),
        ("ftp://:hidden@dataflow.eu-frankfurt-1.oci.oraclecloud.com", "expected a URL"),
        ("https://:hidden@dataflow.eu-frankfurt-1.oci.oraclecloud.com:port", "expected a URL"),
        ("http://127.0.0.1:1/20200129", "scheme, host and port only"),
        ("http://[::1]:1", "IPv6"),
        ("http://dataflow.eu-frankfurt-1.oci.oraclecloud.com", "expected https"),
        ("https://oraclecloud.com.example", "neither loopback nor a host of OCI"),
        ("https://evil-oraclecloud.com", "neither loopback nor a host of OCI"),
        ("https://169.254.169.254", "neither loopback nor a host of OCI"),
    ],
)
def test_other_endpoints_are_refused(url, problem):
    with pytest.raises(InvalidConnection, match="service_endpoint") as caught:
        checked_endpoint(url)
    assert problem in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_an_administrator_can_allow_a_host():
    assert checked_endpoint("http://proxy.example:1", ["proxy.example"]) == "http://proxy.example:1"


def test_the_regions_own_endpoint():
    access = Access(credentials=None, region="eu-frankfurt-1")
    assert access.endpoint == "https://dataflow.eu-frankfurt-1.oci.oraclecloud.com"


@pytest.mark.parametrize("region", ["evil.example", "a/b", "http://x", "eu frankfurt"])
def test_region_cannot_inject_another_host(region):
    with pytest.raises(InvalidConnection, match="region"):
        Access(credentials=None, region=region)


@pytest.mark.parametrize(
    ("region", "endpoint"),
    [
        ("fra", "https://dataflow.eu-frankfurt-1.oci.oraclecloud.com"),
        ("EU-Frankfurt-1", "https://dataflow.eu-frankfurt-1.oci.oraclecloud.com"),
        ("us-langley-1", "https://dataflow.us-langley-1.oci.oraclegovcloud.com"),
        ("uk-gov-london-1", "https://dataflow.uk-gov-london-1.oci.oraclegovcloud.uk"),
        ("eu-dcc-milan-1", "https://dataflow.eu-dcc-milan-1.oci.oraclecloud14.com"),
        # Newer than the SDK, which assumes its default realm.
        ("eu-atlantis-1", "https://dataflow.eu-atlantis-1.oci.oraclecloud.com"),
    ],
)
def test_endpoints_match_the_regions_of_the_sdk(region, endpoint):
    assert Access(credentials=None, region=region).endpoint == endpoint


def test_every_region_of_the_sdk_is_accepted():
    from oci.regions import REALMS, REGION_REALMS, REGIONS

    assert len(REGIONS) > 60
    for region in REGIONS:
        domain = REALMS[REGION_REALMS[region]]
        assert endpoint_of_region(region) == f"https://dataflow.{region}.oci.{domain}"
        assert checked_endpoint(endpoint_of_region(region)) == endpoint_of_region(region)


@pytest.mark.parametrize(
    ("region", "meant"),
    [
        ("frankfurt", "; did you mean eu-frankfurt-1 or eu-frankfurt-2?"),
        ("eu_frankfurt_1", ""),
        ("frankfurt-1", "eu-frankfurt-1"),
    ],
)
def test_malformed_region_is_refused(region, meant):
    with pytest.raises(InvalidConnection, match="expected a region's name like eu-frankfurt-1") as caught:
        _ = Access(credentials=None, region=region).endpoint
    assert meant in str(caught.value)


def test_missing_region_and_endpoint_are_refused(key_fields):
    with pytest.raises(InvalidConnection, match="region: missing"):
        _ = Access(ApiKey(**key_fields)).endpoint
