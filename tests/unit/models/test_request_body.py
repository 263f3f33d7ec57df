"""Applications, pools and statements: how they are read, asked for, and compared."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.application import Application, ApplicationDetails
from airflow_provider_dataflow.models.pool import Pool, PoolDetails
from airflow_provider_dataflow.models.resource import as_json
from airflow_provider_dataflow.models.run_update import RunUpdate
from airflow_provider_dataflow.models.statement import Statement
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
POOL = {
    "compartment_id": COMPARTMENT_ID,
    "display_name": "warm",
    "configurations": [{"shape": "VM.Standard2.1", "min": "1", "max": 2}],
}


def application(**changes) -> ApplicationDetails:
    return ApplicationDetails.build(APPLICATION | changes)


def test_an_application_is_asked_for_in_the_services_types():
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
def test_an_incomplete_application_is_refused(changes, path):
    with pytest.raises(InvalidArgument) as caught:
        application(**changes).check()
    assert caught.value.path == path


def test_a_session_needs_no_program():
    application(file_uri=None, type="SESSION").check()
    application(execute="--class X oci://b@n/app.jar", file_uri="oci://b@n/a.jar", language="JAVA").check()


def test_what_has_no_effect_beside_execute_is_a_warning():
    assert application().warnings() == []
    assert application(file_uri=None, execute="oci://b@n/a.py").warnings() == []
    [warning] = application(execute="oci://b@n/a.py", parameters={"day": "1"}).warnings()
    assert warning == "No effect beside execute, which alone counts: fileUri, parameters"


def test_what_is_so_already_is_no_difference():
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
    ("changes", "wire_name", "sent"),
    [
        ({"num_executors": 3}, "numExecutors", 3),
        ({"arguments": ["b"]}, "arguments", ["b"]),
        # What is not given any more is gone.
        ({"configuration": {"spark.a": 1}}, "configuration", {"spark.a": "1"}),
        ({"freeform_tags": {}}, "freeformTags", {}),
        # Only the namespaces that are given.
        ({"defined_tags": {"Ops": {}}}, "definedTags", {"Ops": {}, "Oracle-Tags": {"CreatedBy": "me"}}),
        ({"driver_shape_config": {"ocpus": 2}}, "driverShapeConfig", {"ocpus": 2.0}),
        ({"parameters": {"a": 2}}, "parameters", [{"name": "a", "value": "2"}]),
    ],
)
def test_only_differences_are_sent(changes, wire_name, sent):
    found = application().body() | {
        "arguments": ["a"],
        "configuration": {"spark.a": "1", "spark.b": "2"},
        "freeformTags": {"a": "b"},
        "definedTags": {"Ops": {"Cost": "x"}, "Oracle-Tags": {"CreatedBy": "me"}},
        "driverShapeConfig": {"ocpus": 1.0, "memoryInGBs": 16.0},
        "parameters": [{"name": "a", "value": "1"}],
    }
    assert application(**changes).differences(found) == {wire_name: sent}


def test_what_is_not_given_is_left_as_it_is():
    assert application().differences(application(description="x", num_executors=2).body()) == {}


def test_what_the_service_takes_from_execute_is_not_compared_beside_it():
    details = application(file_uri=None, execute="oci://b@n/a.py x", arguments=["y"])
    found = details.body() | {"arguments": ["x"], "fileUri": "oci://b@n/a.py", "language": "PYTHON"}
    assert details.differences(found) == {}
    assert details.differences(found | {"execute": "oci://b@n/a.py"}) == {"execute": "oci://b@n/a.py x"}


def test_a_type_cannot_be_changed():
    with pytest.raises(InvalidArgument, match="type: the application is BATCH"):
        application(type="STREAMING").differences({"type": "BATCH"})
    assert (
        application(type="BATCH", compartment_id=COMPARTMENT_ID + "x").differences(
            application(type="BATCH").body()
        )
        == {}
    )


def test_a_pool_is_asked_for_in_the_services_types():
    details = PoolDetails.build(
        POOL | {"schedules": [{"day_of_week": "monday", "start_time": "8", "stop_time": 18}]}
    )
    details.check()
    assert details.body()["configurations"] == [{"shape": "VM.Standard2.1", "min": 1, "max": 2}]
    assert details.body()["schedules"] == [{"dayOfWeek": "MONDAY", "startTime": 8, "stopTime": 18}]
    assert details.differences(details.body()) == {}


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"configurations": None}, "configurations"),
        ({"configurations": []}, "configurations"),
        ({"configurations": [{"shape": "x", "min": 3, "max": 2}]}, "configurations[0].min"),
        ({"configurations": [{"min": 1}]}, "configurations[0].shape"),
        ({"configurations": [{"shape": "x", "maximum": 1}]}, "configurations[0].maximum"),
        ({"schedules": [{"day_of_week": "someday"}]}, "schedules[0].day_of_week"),
        ({"schedules": [{"day_of_week": "MONDAY", "start_time": 24}]}, "schedules[0].start_time"),
    ],
)
def test_a_wrong_pool_is_refused(changes, path):
    with pytest.raises(InvalidArgument) as caught:
        PoolDetails.build(POOL | changes).check()
    assert caught.value.path == path


def test_only_sessions_idle():
    update = RunUpdate.build({"idle_timeout_in_minutes": 5})
    assert update.differences({"type": "SESSION"}) == {"idleTimeoutInMinutes": 5}
    with pytest.raises(InvalidArgument, match="only for runs of type SESSION"):
        update.differences({"type": "BATCH"})


@pytest.mark.parametrize("body", [None, {}, {"id": "x"}, {"lifecycleState": "ACTIVE"}, []])
def test_half_an_answer_is_none(body):
    with pytest.raises(ValueError, match="the answer is no pool"):
        Pool.from_api(body)


def test_times_are_aware_and_iso_in_json():
    body = {
        "id": "x",
        "lifecycleState": "ACTIVE",
        "timeCreated": "2026-01-02T03:04:05.678Z",
        "driverShapeConfig": {"ocpus": 1, "memoryInGBs": 16},
        "configuration": {"memoryInGBs": "mine"},
        "tomorrow": 1,
    }
    found = Application.from_api(body)
    assert found.time_created.utcoffset().total_seconds() == 0
    assert found.raw["tomorrow"] == 1
    shown = as_json(found.attributes())
    assert shown["time_created"] == "2026-01-02T03:04:05.678000+00:00"
    assert shown["driver_shape_config"] == {"ocpus": 1, "memory_in_gbs": 16}
    assert shown["configuration"] == {"memoryInGBs": "mine"}


def test_the_first_statement_has_the_number_0():
    statement = Statement.from_api({"id": 0, "lifecycleState": "ACCEPTED"})
    assert statement.id == 0
    assert not statement.has_ended
    assert statement.result is None


def test_the_output_of_a_statement():
    body = {
        "id": 1,
        "lifecycleState": "FAILED",
        "output": {"status": "ERROR", "errorName": "E", "errorValue": "v", "traceback": ["a", "b"]},
    }
    result = Statement.from_api(body).result
    assert (result.error_name, result.error_value, result.traceback) == ("E", "v", ("a", "b"))
    assert "print" not in repr(Statement.from_api(body | {"code": "print(1)"}))
