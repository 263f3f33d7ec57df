from __future__ import annotations

import sys
from urllib.parse import urlsplit

import pytest
from airflow.sdk import Asset

from airflow_provider_dataflow import compat
from airflow_provider_dataflow.assets.oci import convert_asset_to_openlineage, create_asset, sanitize_uri

try:
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as ProvidersManager
except ImportError:  # before Airflow 3.2
    from airflow.providers_manager import ProvidersManager  # type: ignore[assignment]

#: Whether this release drops what stands before ``@``, as Airflow 3.0 does.
KEEPS = compat.assets_keep_user_info()
AT = "@" if KEEPS else "%40"


@pytest.fixture
def airflow_3_0(mocker):
    """Let the sanitizer think that Airflow drops what stands before ``@``."""
    return mocker.patch.object(compat, "assets_keep_user_info", return_value=False)


def test_airflow_has_sanitizer_factory_and_converter():
    manager = ProvidersManager()
    assert manager.asset_uri_handlers["oci"] is sanitize_uri
    assert manager.asset_factories["oci"] is create_asset
    assert manager.asset_to_openlineage_converters["oci"] is convert_asset_to_openlineage


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("oci://bucket%40ns/path", f"oci://bucket{AT}ns/path"),
        ("OCI://bucket%40ns/path/", f"oci://bucket{AT}ns/path"),
        ("oci://my.bucket_1-x%40ns/a b", f"oci://my.bucket_1-x{AT}ns/a b"),
        pytest.param(
            "oci://bucket%40ns/ü",
            f"oci://bucket{AT}ns/ü",
            marks=pytest.mark.skipif(not KEEPS, reason="Airflow 3.0 accepts only ASCII"),
        ),
        ("oci://bucket%40ns", f"oci://bucket{AT}ns/"),
        ("oci://bucket%40ns/", f"oci://bucket{AT}ns/"),
        ("oci://bucket%40ns/month=2013-03", f"oci://bucket{AT}ns/month=2013-03"),
    ],
)
def test_asset_has_one_form(written, uri):
    asset = Asset(uri=written, name="x")
    assert asset.uri == uri
    # Airflow sanitizes the URI again when it reads a serialized DAG.
    assert Asset(uri=asset.uri, name="x").uri == uri
    if KEEPS:
        assert Asset(uri=written.replace("%40", "@"), name="x").uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "oci://bucket/path",
        "oci:///path",
        "oci://%40ns/path",
        "oci://bucket%40/path",
        "oci://bucket%40ns%40x/path",
        "oci://buck et%40ns/path",
        "oci://bucket%40ns/a/../b",
        "oci://bucket%40ns/path?x=1",
        "oci://bucket%40ns:80/path",
        f"oci://bucket%40ns/{'x' * 1025}",
    ],
)
def test_malformed_uri_is_a_warning(uri):
    """The scheduler reads stored assets in the same way, and must not end with an error."""
    with pytest.warns(UserWarning, match="asset URI"):
        asset = Asset(uri=uri, name="x")
    assert asset.uri


def test_stored_asset_of_a_version_without_this_package_can_be_read(airflow_3_0):
    with pytest.warns(UserWarning, match="asset URI"):
        assert sanitize_uri(urlsplit("oci://ns/x")).geturl() == "oci://ns/x"


@pytest.mark.parametrize(
    ("name", "path"), [("a?b", "a%3Fb"), ("part#1", "part%231"), ("a?x=1", "a%3Fx=1"), ("plain/x", "plain/x")]
)
def test_factory_keeps_the_whole_name(name, path):
    """Airflow drops a fragment, and a query without a value."""
    assert create_asset(bucket="b", namespace="ns", name=name).uri == f"oci://b{AT}ns/{path}"


def test_buckets_and_namespaces_are_told_apart():
    assets = [
        create_asset(bucket=bucket, namespace=namespace, name="monthly/")
        for bucket in ("a", "b")
        for namespace in ("one", "two")
    ]
    assert len({asset.uri for asset in assets}) == 4
    assert assets[0].uri == f"oci://a{AT}one/monthly"
    assert create_asset(bucket="a", namespace="one").uri == f"oci://a{AT}one/"
    assert create_asset(bucket="a", namespace="one", extra={"x": 1}).extra == {"x": 1}
    with pytest.raises(ValueError, match="asset URI"):
        create_asset(bucket="a/b", namespace="one")


def test_airflow_3_0_keeps_the_encoded_form(airflow_3_0):
    assert sanitize_uri(urlsplit("oci://a%40ns/x")).geturl() == "oci://a%40ns/x"
    assert create_asset(bucket="a", namespace="ns", name="x").uri == "oci://a%40ns/x"


def test_airflow_3_0_warns_of_a_bucket_that_it_has_dropped(airflow_3_0):
    """The assets of all buckets of a namespace are one then."""
    with pytest.warns(UserWarning, match=r"Airflow 3\.0 drops what stands before @.*%40namespace"):
        sanitize_uri(urlsplit("oci://ns/x"))


@pytest.mark.parametrize(
    ("name", "dataset"), [("monthly/x", "/monthly/x"), ("monthly/", "/monthly"), ("", "/")]
)
def test_lineage_has_the_names_of_sparks_listener(monkeypatch, mocker, name, dataset):
    facet = mocker.MagicMock()
    monkeypatch.setitem(sys.modules, "airflow.providers.common.compat.openlineage.facet", facet)
    result = convert_asset_to_openlineage(create_asset(bucket="b", namespace="ns", name=name), None)
    assert result is facet.Dataset.return_value
    facet.Dataset.assert_called_once_with(namespace="oci://b@ns", name=dataset)
