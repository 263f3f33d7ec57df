"""Requests for runs and attributes of runs, through the hook and the real SDK."""

from __future__ import annotations

import logging
from dataclasses import fields

import pytest
from oci.exceptions import ServiceError as SdkServiceError

from airflow_provider_dataflow.exceptions import InvalidArgument, RunFailed
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.local.engines.rules import Rule, RunScript
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.field_names import api_name
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.models.usage import Usage
from airflow_provider_dataflow.operators.ended_run import finish_wait
from tests.contract.conftest import Target, target_of

LOG_GROUP, LOG = "ocid1.loggroup.oc1.iad.aaaa", "ocid1.log.oc1.iad.aaaa"
METASTORE = "ocid1.datacatalogmetastore.oc1.iad.aaaa"


@pytest.fixture
def target(manual_clock: DataFlowFixture) -> Target:
    return target_of(manual_clock)


@pytest.fixture
def hook(manual_clock: DataFlowFixture) -> DataFlowHook:
    return DataFlowHook()


def test_every_argument_is_sent_and_every_attribute_is_read(manual_clock, target, hook):
    application = target.create_application("hello.py", class_name="Main", type="SESSION")
    uri = target.bucket_uri
    # Mostly text, as templates render.
    given = {
        "application_id": application.id,
        "application_log_config": {"log_group_id": LOG_GROUP, "log_id": LOG},
        "archive_uri": f"{uri}a.zip, {uri}b.zip",
        "arguments": "['--day', '${day}', 5]",
        "compartment_id": manual_clock.compartment_id,
        "configuration": {"spark.sql.shuffle.partitions": 8, "spark.x": 1.0, "spark.y": False},
        "defined_tags": {"Operations.CostCenter": "42", "Operations": {"Team": "x"}},
        "display_name": "nightly",
        "driver_shape": "VM.Standard.E4.Flex",
        "driver_shape_config": '{"ocpus": "2", "memory_in_gbs": 32}',
        "executor_shape": "VM.Standard.E4.Flex",
        "executor_shape_config": {"ocpus": 1, "memory_in_gbs": "16"},
        "freeform_tags": {"try": 1},
        "idle_timeout_in_minutes": "30",
        "logs_bucket_uri": uri,
        "max_duration_in_minutes": "60",
        "metastore_id": METASTORE,
        "num_executors": "2",
        "opc_parent_rpt_url": "https://parent.example/rpt",
        "parameters": {"day": 1},
        "type": "session",
        "warehouse_bucket_uri": f"{uri}warehouse",
    }
    assert set(RunRequest.argument_names()) - set(given) == {"execute", "pool_id", "spark_version"}
    request = RunRequest.build(given, {"fieldOfTomorrow": 1})
    request.check()
    request.check_placeholders()
    assert request.warnings() == []
    manual_clock.set_rules([Rule(attempts=[RunScript(startup=60)])])
    run = hook.create_run(request, "token")
    assert hook.get_run(run.id).attributes() == run.attributes()
    sent = request.body()
    del sent["fieldOfTomorrow"]
    assert {name: run.raw[name] for name in sent} == sent
    assert sent["driverShapeConfig"] == {"ocpus": 2.0, "memoryInGBs": 32.0}
    assert sent["arguments"] == ["--day", "${day}", "5"]
    (entry,) = manual_clock.journal("CreateRun")
    assert entry["notes"]["parentRptUrl"] == "https://parent.example/rpt"
    assert entry["notes"]["ignoredFields"] == ["fieldOfTomorrow"]
    attributes = run.attributes()
    assert (attributes["class_name"], attributes["total_ocpu"]) == ("Main", 4)
    assert attributes["time_created"].tzinfo is not None


def checked(arguments) -> RunRequest:
    request = RunRequest.build(arguments)
    request.check()
    request.check_placeholders()
    return request


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("spark_version", "3.5.0"),
        ("num_executors", 0),
        ("max_duration_in_minutes", 0),
        ("idle_timeout_in_minutes", 10_081),
        ("display_name", "x" * 256),
        ("logs_bucket_uri", "s3://b/x"),
        ("archive_uri", "oci://b@n/a.zip,b.zip"),
        ("freeform_tags", {str(n): "x" for n in range(11)}),
        ("freeform_tags", {"k": "v" * 257}),
        ("defined_tags", {"N": {str(n): "x" for n in range(65)}}),
        ("arguments", ["${day}"]),
        ("parameters", [{"name": "a-b", "value": "x"}]),
        ("type", "NIGHTLY"),
        ("application_id", None),
    ],
)
def test_service_refuses_what_the_checks_refuse(target, argument, value):
    application = target.create_application("hello.py")
    given = {"compartment_id": target.compartment_id, "application_id": application.id, argument: value}
    with pytest.raises(InvalidArgument):
        checked(given)
    wire_names = {f.name: api_name(f) for f in fields(RunRequest)}
    body = {wire_names[name]: item for name, item in given.items() if item is not None}
    with pytest.raises(SdkServiceError) as caught:
        target.client.create_run(body)
    assert caught.value.status == 400


def test_placeholders_take_parameters_of_the_application(target, hook):
    application = target.create_application(
        "hello.py", arguments=["${region}"], parameters=[{"name": "region", "value": "iad"}]
    )
    request = RunRequest.build(
        {
            "compartment_id": target.compartment_id,
            "application_id": application.id,
            "arguments": ["${region}", "${day}"],
            "parameters": {"day": 1},
        }
    )
    request.check()
    own = target.client.get_application(application.id).data.parameters
    request.check_placeholders([{"name": p.name, "value": p.value} for p in own])
    assert hook.create_run(request, "token").state == "ACCEPTED"


def test_usage_of_run(manual_clock, target, hook):
    course = RunScript(startup=90, duration=3600, bytes_read=5 * 1024**3, bytes_written=1000)
    manual_clock.set_rules([Rule(attempts=[course])])
    run_id = target.submit(target.create_application("hello.py", num_executors=3).id).id
    assert str(Usage.of(hook.get_run(run_id))).startswith(("unknown", "ran 0.0s"))
    manual_clock.advance(90)
    manual_clock.advance(3600)
    run = hook.get_run(run_id)
    usage = Usage.of(run)
    assert run.total_ocpu == 4
    assert usage.queue_seconds == pytest.approx(90, abs=0.1)
    assert (usage.run_seconds, usage.ocpu_hours) == (3600.0, 4.0)
    assert (
        str(usage) == "queued 1m 30s, ran 1h 0m 0s, 4 OCPU hours, 60 GB hours, read 5.0 GiB, wrote 1000 bytes"
    )


@pytest.mark.parametrize(
    ("course", "hint"),
    [
        (
            {"details": "LimitExceeded: standard-e4-core-count", "stderr": "noise\n"},
            "A limit or quota of the tenancy is used up",
        ),
        (
            {"stderr": "Traceback ...\nModuleNotFoundError: No module named 'pandas'\n" + "at x\n" * 100},
            "The Python module pandas is missing",
        ),
    ],
)
def test_error_of_failed_run_has_a_hint(manual_clock, target, hook, caplog, course, hint):
    manual_clock.set_rules([Rule(attempts=[RunScript(outcome="FAILED", **course)])])
    run_id = target.submit(target.create_application("hello.py").id).id
    run = hook.get_run(run_id)
    with pytest.raises(RunFailed, match="  hint: ") as caught:
        finish_wait(run, hook, logging.getLogger("task"), fetch_logs="never", reached_target=False)
    error = caught.value
    assert error.hint.startswith(hint)
    assert error.lifecycle_details == run.lifecycle_details
    assert error.opc_request_id == run.opc_request_id
    for part in (run_id, "FAILED", run.lifecycle_details, run.opc_request_id, "/console/runs/", hint):
        assert part in str(error)
    assert course["stderr"].splitlines()[-1] in str(error)
    assert len(error.log_tail.splitlines()) <= 20


def test_execute_overrides_application(manual_clock, target, hook):
    application = target.create_application("hello.py", arguments=["${day}"])
    given = {
        "application_id": application.id,
        "compartment_id": manual_clock.compartment_id,
        "execute": f"{target.bucket_uri}other.py a",
        "arguments": ["${day}"],
        "parameters": {"day": "1"},
    }
    request = RunRequest.build(given)
    request.check()
    request.check_placeholders()
    run = hook.client.create_run(request, retry_token="t")
    found = target.client.get_run(run.id).data
    assert found.application_id != application.id
    assert (found.file_uri, found.arguments, found.parameters) == (f"{target.bucket_uri}other.py", ["a"], [])
