from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.application import ApplicationDetails
from tests.unit.support import COMPARTMENT_ID

APPLICATION = {
    "compartment_id": COMPARTMENT_ID,
    "display_name": "nightly",
    "driver_shape": "VM.Standard.E4.Flex",
    "executor_shape": "VM.Standard.E4.Flex",
    "file_uri": "oci://b@n/app.py",
    "language": "python",
    "num_executors": "2",
    "spark_version": "3.5.0",
}


def application(**changes) -> ApplicationDetails:
    return ApplicationDetails.build(APPLICATION | changes)


def test_values_are_converted_to_the_types_of_the_api():
    details = application(driver_shape_config={"ocpus": "1", "memory_in_gbs": 16}, parameters={"day": 1})
    details.check()
    assert details.body() == {
        "compartmentId": COMPARTMENT_ID,
        "displayName": "nightly",
        "driverShape": "VM.Standard.E4.Flex",
        "driverShapeConfig": {"ocpus": 1.0, "memoryInGBs": 16.0},
        "executorShape": "VM.Standard.E4.Flex",
        "fileUri": "oci://b@n/app.py",
        "language": "PYTHON",
        "numExecutors": 2,
        "parameters": [{"name": "day", "value": "1"}],
        "sparkVersion": "3.5.0",
    }


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"display_name": None}, "display_name"),
        ({"compartment_id": None}, "compartment_id"),
        ({"num_executors": None}, "num_executors"),
        ({"file_uri": None}, "file_uri"),
        ({"language": "SCALA"}, "class_name"),
    ],
)
def test_check_refuses_incomplete_application(changes, path):
    with pytest.raises(InvalidArgument) as caught:
        application(**changes).check()
    assert caught.value.path == path


def test_check_accepts_session_without_program():
    application(file_uri=None, type="SESSION").check()
    application(execute="--class X oci://b@n/app.jar", file_uri="oci://b@n/a.jar", language="JAVA").check()


def test_warnings_name_fields_that_execute_overrides():
    assert application().warnings() == []
    assert application(file_uri=None, execute="oci://b@n/a.py").warnings() == []
    [warning] = application(execute="oci://b@n/a.py", parameters={"day": "1"}).warnings()
    assert warning == "Ignored by the service because execute is given: fileUri, parameters"


def test_differences_ignore_equivalent_values():
    details = application(
        arguments=["${b}", "${a}"],
        parameters={"b": 2, "a": 1},
        driver_shape_config={"ocpus": 1},
        defined_tags={"Ops.Cost": "x"},
        description="",
        freeform_tags={},
    )
    found = details.body() | {
        "parameters": [{"name": "a", "value": "1"}, {"name": "b", "value": "2"}],
        "driverShapeConfig": {"ocpus": 1.0, "memoryInGBs": 16.0},
        "definedTags": {"Ops": {"Cost": "x"}, "Oracle-Tags": {"CreatedBy": "somebody"}},
        "description": None,
        "freeformTags": None,
        "type": "BATCH",
    }
    assert details.differences(found) == {}


@pytest.mark.parametrize(
    ("changes", "api_name", "expected"),
    [
        ({"num_executors": 3}, "numExecutors", 3),
        ({"arguments": ["b"]}, "arguments", ["b"]),
        # Keys that are no longer given are removed.
        ({"configuration": {"spark.a": 1}}, "configuration", {"spark.a": "1"}),
        ({"freeform_tags": {}}, "freeformTags", {}),
        # Namespaces that are not given stay.
        ({"defined_tags": {"Ops": {}}}, "definedTags", {"Ops": {}, "Oracle-Tags": {"CreatedBy": "me"}}),
        ({"driver_shape_config": {"ocpus": 2}}, "driverShapeConfig", {"ocpus": 2.0}),
        ({"parameters": {"a": 2}}, "parameters", [{"name": "a", "value": "2"}]),
    ],
)
def test_differences_contain_changed_fields_only(changes, api_name, expected):
    found = application().body() | {
        "arguments": ["a"],
        "configuration": {"spark.a": "1", "spark.b": "2"},
        "freeformTags": {"a": "b"},
        "definedTags": {"Ops": {"Cost": "x"}, "Oracle-Tags": {"CreatedBy": "me"}},
        "driverShapeConfig": {"ocpus": 1.0, "memoryInGBs": 16.0},
        "parameters": [{"name": "a", "value": "1"}],
    }
    assert application(**changes).differences(found) == {api_name: expected}


def test_differences_ignore_fields_that_are_not_given():
    assert application().differences(application(description="x", num_executors=2).body()) == {}


def test_differences_ignore_fields_that_the_service_derives_from_execute():
    details = application(file_uri=None, execute="oci://b@n/a.py x", arguments=["y"])
    found = details.body() | {"arguments": ["x"], "fileUri": "oci://b@n/a.py", "language": "PYTHON"}
    assert details.differences(found) == {}
    assert details.differences(found | {"execute": "oci://b@n/a.py"}) == {"execute": "oci://b@n/a.py x"}


def test_differences_refuse_another_type():
    with pytest.raises(InvalidArgument, match="type: the application is BATCH"):
        application(type="STREAMING").differences({"type": "BATCH"})


def test_differences_ignore_the_compartment():
    moved = application(type="BATCH", compartment_id=COMPARTMENT_ID + "x")
    assert moved.differences(application(type="BATCH").body()) == {}
