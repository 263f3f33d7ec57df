from __future__ import annotations

import logging

import pytest

from airflow_provider_dataflow.cost.settings import (
    configured_defined_tags,
    configured_prices,
    with_configured_tags,
)
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.pool import PoolDetails
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.models.usage import Prices
from airflow_provider_dataflow.provider_info import get_provider_info


@pytest.fixture
def configure(monkeypatch):
    def set_options(**options: str) -> None:
        for name, value in options.items():
            monkeypatch.setenv(f"AIRFLOW__OCI_DATA_FLOW__{name.upper()}", value)

    return set_options


def test_nothing_is_estimated_and_tagged_by_default():
    assert configured_prices() == Prices()
    assert configured_defined_tags() == {}
    request = RunRequest.build({"defined_tags": {"Ops": {"Team": "x"}}})
    assert with_configured_tags(request) is request


def test_prices_are_read(configure):
    configure(price_per_ocpu_hour=" 0.025 ", price_per_gb_hour="0", currency="EUR")
    assert configured_prices() == Prices(0.025, 0.0, "EUR")


@pytest.mark.parametrize("value", ["cheap", "-1", "nan", "inf", "0,025"])
def test_invalid_price_is_named_and_not_used(configure, caplog, value):
    configure(price_per_ocpu_hour=value, price_per_gb_hour="2")
    with caplog.at_level(logging.WARNING):
        assert configured_prices() == Prices(None, 2.0)
    (record,) = caplog.records
    assert "[oci_data_flow] price_per_ocpu_hour" in record.getMessage()
    assert repr(value) in record.getMessage()


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, {"Finance": {"CostCenter": "42", "Team": "data"}}),
        ({"Ops": {"Team": "x"}}, {"Ops": {"Team": "x"}, "Finance": {"CostCenter": "42", "Team": "data"}}),
        ({"Finance.CostCenter": "7"}, {"Finance": {"CostCenter": "7", "Team": "data"}}),
        # OCI ignores the case of both names.
        ({"finance": {"costcenter": "7"}}, {"finance": {"costcenter": "7", "Team": "data"}}),
    ],
)
def test_tags_are_merged_below_those_of_the_author(configure, own, expected):
    configure(defined_tags='{"Finance": {"CostCenter": "42", "Team": "data"}}')
    assert with_configured_tags(RunRequest.build({"defined_tags": own})).body()["definedTags"] == expected
    assert with_configured_tags(PoolDetails.build({"defined_tags": own})).body()["definedTags"] == expected


def test_tags_are_merged_below_those_of_a_raw_body(configure):
    configure(defined_tags='{"Finance.CostCenter": "42"}')
    request = RunRequest.build({}, {"definedTags": {"Finance": {"CostCenter": "7"}}})
    assert with_configured_tags(request).body()["definedTags"] == {"Finance": {"CostCenter": "7"}}


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, {}),
        ({"Ops": {"Team": "x"}}, {"definedTags": {"Ops": {"Team": "x"}}}),
        ({"finance": {"Team": "x"}}, {"definedTags": {"finance": {"Team": "x", "CostCenter": "42"}}}),
    ],
)
def test_update_touches_no_namespace_that_the_author_does_not_name(configure, own, expected):
    configure(defined_tags='{"Finance": {"CostCenter": "42"}}')
    request = RunRequest.build({"defined_tags": own})
    assert with_configured_tags(request, update=True).body() == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Finance.CostCenter=42", "expected JSON"),
        ("[1]", "expected a dict"),
        ('{"Finance": "42"}', "expected a dict, or a name like 'Namespace.Key'"),
        ('{"Finance": {"CostCenter": "' + "x" * 257 + '"}}', "expected at most 256 characters"),
    ],
)
def test_error_of_invalid_tags_names_the_option(configure, value, message):
    configure(defined_tags=value)
    with pytest.raises(InvalidArgument, match=r"^\[oci_data_flow\] defined_tags") as caught:
        with_configured_tags(RunRequest.build({}))
    assert message in str(caught.value)


def test_too_many_tags_with_those_of_the_author_are_refused(configure):
    configure(defined_tags='{"Finance": {"CostCenter": "42"}}')
    own = {"Ops": {str(number): "x" for number in range(64)}}
    with pytest.raises(InvalidArgument, match=r"\[oci_data_flow\] defined_tags: expected at most 64 tags"):
        with_configured_tags(RunRequest.build({"defined_tags": own}))


def test_options_are_listed():
    options = get_provider_info()["config"]["oci_data_flow"]["options"]
    assert {"price_per_ocpu_hour", "price_per_gb_hour", "currency", "defined_tags"} <= options.keys()
