from __future__ import annotations

from dataclasses import fields

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.request import RunRequest
from airflow_provider_dataflow.run import api_name

APPLICATION = "ocid1.dataflowapplication.oc1.iad.aaaa"
COMPARTMENT = "ocid1.compartment.oc1..bbbb"


def build(json=None, **arguments):
    return RunRequest.build(arguments, json)


def test_the_fields_are_those_of_the_sdk():
    from oci.data_flow.models import CreateRunDetails

    ours = {api_name(f) for f in fields(RunRequest) if "read" in f.metadata and not f.metadata.get("header")}
    assert ours == set(CreateRunDetails().attribute_map.values())


@pytest.mark.parametrize(
    ("argument", "given", "wire_name", "sent"),
    [
        ("num_executors", "2", "numExecutors", 2),
        ("num_executors", 2.0, "numExecutors", 2),
        ("max_duration_in_minutes", "60", "maxDurationInMinutes", 60),
        ("arguments", ["a", 1, 2.5, True], "arguments", ["a", "1", "2.5", "true"]),
        ("arguments", ("a",), "arguments", ["a"]),
        (
            "configuration",
            {"spark.x": 1.0, "spark.y": False},
            "configuration",
            {"spark.x": "1.0", "spark.y": "false"},
        ),
        (
            "driver_shape_config",
            {"ocpus": "1", "memory_in_gbs": 16},
            "driverShapeConfig",
            {"ocpus": 1.0, "memoryInGBs": 16.0},
        ),
        ("driver_shape_config", {"memoryInGBs": 16}, "driverShapeConfig", {"memoryInGBs": 16.0}),
        ("parameters", {"day": 1}, "parameters", [{"name": "day", "value": "1"}]),
        ("parameters", [{"name": "day", "value": ""}], "parameters", [{"name": "day", "value": ""}]),
        (
            "application_log_config",
            {"log_group_id": "g", "log_id": "l"},
            "applicationLogConfig",
            {"logGroupId": "g", "logId": "l"},
        ),
        (
            "defined_tags",
            {"Ops.Cost": 1, "Ops": {"Team": "x"}},
            "definedTags",
            {"Ops": {"Cost": 1, "Team": "x"}},
        ),
        ("type", "batch", "type", "BATCH"),
        ("logs_bucket_uri", "oci://b@n/", "logsBucketUri", "oci://b@n/"),
    ],
)
def test_values_are_sent_in_the_services_types(argument, given, wire_name, sent):
    assert build(**{argument: given}).body() == {wire_name: sent}


@pytest.mark.parametrize(
    ("arguments", "path", "problem"),
    [
        ({"num_executors": "two"}, "num_executors", "expected a number, got 'two'"),
        ({"num_executors": 1.5}, "num_executors", "expected a whole number"),
        ({"num_executors": True}, "num_executors", "expected a number"),
        ({"num_executors": "inf"}, "num_executors", "expected a number"),
        (
            {"driver_shape_config": {"ocpus": "two"}},
            "driver_shape_config.ocpus",
            "expected a number, got 'two'",
        ),
        ({"driver_shape_config": {"cpus": 1}}, "driver_shape_config.cpus", "expected ocpus, memory_in_gbs"),
        ({"driver_shape_config": "E4"}, "driver_shape_config", "expected a dict"),
        ({"arguments": "--day 1"}, "arguments", "expected a list"),
        ({"arguments": ["a", {"b": 1}]}, "arguments[1]", "expected a string, got dict"),
        ({"configuration": ["a"]}, "configuration", "expected a dict"),
        ({"configuration": {"k": None}}, "configuration['k']", "expected a string, got NoneType"),
        ({"parameters": {"a-b": "x"}}, "parameters", "letters, digits and underscores"),
        ({"parameters": [{"name": "a"}]}, "parameters[0]", "name and value"),
        ({"parameters": [{"name": "a", "value": 1}] * 2}, "parameters", "given twice"),
        ({"application_id": "ocid1.dataflowrun.oc1..x"}, "application_id", "ocid1.dataflowapplication"),
        ({"application_id": "nightly"}, "application_id", "ocid1.dataflowapplication"),
        ({"compartment_id": "root"}, "compartment_id", "ocid1.compartment... or ocid1.tenancy"),
        ({"type": "NIGHTLY"}, "type", "BATCH, STREAMING, SESSION"),
        ({"logs_bucket_uri": "s3://b/x"}, "logs_bucket_uri", "oci://bucket@namespace/path"),
        ({"defined_tags": {"Ops": 1}}, "defined_tags['Ops']", "Namespace.Key"),
        ({"json": {"numExecutors": "two"}}, "json.numExecutors", "expected a number"),
    ],
)
def test_bad_values_are_refused_by_name(arguments, path, problem):
    with pytest.raises(InvalidArgument) as caught:
        build(**arguments)
    assert caught.value.path == path
    assert problem in str(caught.value)
    assert str(caught.value).startswith(path)


def test_a_long_value_is_not_quoted_whole():
    with pytest.raises(InvalidArgument) as caught:
        build(num_executors="x" * 500)
    assert len(str(caught.value)) < 120


def test_named_arguments_win_over_json_and_unknown_fields_are_kept():
    request = build(
        {"displayName": "json", "numExecutors": "3", "fieldOfTomorrow": {"a": 1}}, display_name="named"
    )
    assert request.body() == {"displayName": "named", "numExecutors": 3, "fieldOfTomorrow": {"a": 1}}


def test_the_header_is_not_in_the_body():
    request = build(opc_parent_rpt_url="https://x")
    assert request.opc_parent_rpt_url == "https://x"
    assert request.body() == {}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"application_id": APPLICATION}, "compartment_id"),
        ({"compartment_id": COMPARTMENT}, "application_id"),
        ({"compartment_id": COMPARTMENT, "application_id": APPLICATION, "execute": "x"}, "application_id"),
        (
            {"compartment_id": COMPARTMENT, "application_id": APPLICATION, "spark_version": "3.5.0"},
            "spark_version",
        ),
        (
            {"compartment_id": COMPARTMENT, "application_id": APPLICATION, "idle_timeout_in_minutes": 5},
            "idle_timeout_in_minutes",
        ),
        ({"compartment_id": COMPARTMENT, "execute": "x", "arguments": ["a", "${day}"]}, "arguments[1]"),
    ],
)
def test_contradictions_are_refused_before_the_submit(arguments, path):
    request = build(**arguments)
    with pytest.raises(InvalidArgument) as caught:
        request.check()
    assert caught.value.path == path


def test_a_complete_request_passes():
    build(compartment_id=COMPARTMENT, application_id=APPLICATION, arguments=["${day}"]).check()
    build(compartment_id=COMPARTMENT, execute="x", arguments=["${day}"], parameters={"day": 1}).check()
    build(compartment_id=COMPARTMENT, execute="x", type="SESSION", idle_timeout_in_minutes=5).check()
