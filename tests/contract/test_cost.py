"""Usage, estimated cost and tags for OCI's cost tracking, through the real SDK."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_dataflow.assets.oci import create_asset
from airflow_provider_dataflow.exceptions import InvalidArgument, RunFailed
from airflow_provider_dataflow.local.engines.rules import Rule, RunScript
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.pool import CreatePoolOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.operators.sql_endpoint import CreateOrUpdateSqlEndpointOperator
from tests.contract.conftest import Target, poll_at_once, target_of
from tests.contract.tasks import run_task
from tests.unit.support import FakeTaskInstance

SHAPE = "VM.Standard.E4.Flex"
FLEXIBLE = {
    "driver_shape": SHAPE,
    "driver_shape_config": {"ocpus": 1, "memory_in_gbs": 16},
    "executor_shape": SHAPE,
    "executor_shape_config": {"ocpus": 2, "memory_in_gbs": 32},
    "num_executors": 2,
}
ENDPOINT = {
    "driver_shape": SHAPE,
    "driver_shape_config": {"ocpus": 1, "memory_in_gbs": 16},
    "executor_shape": SHAPE,
    "executor_shape_config": {"ocpus": 1, "memory_in_gbs": 16},
    "min_executor_count": 1,
    "max_executor_count": 1,
    "lake_id": "ocid1.lake.oc1.iad.aaaa",
    "metastore_id": "ocid1.datacatalogmetastore.oc1.iad.aaaa",
    "sql_endpoint_version": "3.5.0",
    "network_configuration": {
        "network_type": "SECURE_ACCESS",
        "access_control_rules": [{"ip_notation": "CIDR", "value": "10.0.0.0/16"}],
    },
}


@pytest.fixture
def local(clock_of_waits: DataFlowFixture) -> DataFlowFixture:
    clock_of_waits.set_rules([Rule(attempts=[RunScript(duration=36, bytes_read=2048, bytes_written=7)])])
    return clock_of_waits


@pytest.fixture
def target(local: DataFlowFixture) -> Target:
    return target_of(local)


def configure(monkeypatch: pytest.MonkeyPatch, **options: str) -> None:
    for name, value in options.items():
        monkeypatch.setenv(f"AIRFLOW__OCI_DATA_FLOW__{name.upper()}", value)


def invoke(
    target: Target, end: Any = lambda: None, outlet_events: Any = None, **arguments: Any
) -> dict[str, Any]:
    """Run a task and return its XComs.

    :param end: ends the run while the task is deferred.
    """
    ti = FakeTaskInstance(run_id=uuid.uuid4().hex)
    application_id = target.create_application("hello.py").id
    run_task(
        lambda: InvokeRunOperator(
            task_id="run",
            application_id=application_id,
            **{**FLEXIBLE, "poll_interval": 1, **arguments},
        ),
        ti,
        while_deferred=end,
        outlet_events=outlet_events,
    )
    xcoms: dict[str, Any] = ti.xcoms
    return xcoms


@pytest.mark.parametrize("deferrable", [False, True])
def test_hours_and_cost_are_pushed_and_logged(target, local, monkeypatch, capsys, deferrable):
    def end() -> None:
        poll_at_once(monkeypatch)
        local.advance(1)
        local.advance(36)

    configure(monkeypatch, price_per_ocpu_hour="4", price_per_gb_hour="0.2", currency="EUR")
    usage = invoke(target, end, deferrable=deferrable)["usage"]
    assert usage["run_seconds"] == pytest.approx(36)
    assert usage["ocpu_hours"] == pytest.approx(0.05)
    assert usage["gb_hours"] == pytest.approx(0.8)
    assert (usage["estimated_cost"], usage["currency"]) == (pytest.approx(0.36), "EUR")
    assert usage["is_upper_bound"] is False
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "GB hours" in line]
    assert "ran 36.0s, 0.05 OCPU hours, 0.8 GB hours, estimated cost 0.3600 EUR, read 2.0 KiB" in line


@pytest.mark.parametrize("deferrable", [False, True])
def test_event_of_an_outlet_describes_the_run(target, local, monkeypatch, deferrable):
    def end() -> None:
        poll_at_once(monkeypatch)
        local.advance(1)
        local.advance(36)

    configure(monkeypatch, price_per_ocpu_hour="4", currency="EUR")
    monthly = create_asset(bucket="weather", namespace="local", name="monthly")
    events = OutletEventAccessors()
    xcoms = invoke(target, end, events, deferrable=deferrable, display_name="nightly", outlets=[monthly])
    run = target.client.get_run(xcoms["run_id"]).data
    extra = events[monthly].extra
    assert extra["run_id"] == run.id
    assert extra["application_id"] == run.application_id
    assert (extra["display_name"], extra["state"]) == ("nightly", "SUCCEEDED")
    assert (extra["data_read_in_bytes"], extra["data_written_in_bytes"]) == (2048, 7)
    assert (extra["estimated_cost"], extra["currency"]) == (pytest.approx(0.2), "EUR")
    assert "partition_key" not in extra


def test_failed_run_describes_no_event(target, local):
    local.set_rules([Rule(attempts=[RunScript(outcome="FAILED")])])
    monthly, events = Asset("monthly"), OutletEventAccessors()
    with pytest.raises(RunFailed):
        invoke(target, outlet_events=events, outlets=[monthly])
    assert not events[monthly].extra


def test_dynamic_allocation_is_an_upper_bound(target, monkeypatch):
    configure(monkeypatch, price_per_ocpu_hour="1")
    configuration = {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.maxExecutors": "8",
    }
    usage = invoke(target, configuration=configuration)["usage"]
    assert usage["is_upper_bound"] is True
    assert (usage["ocpu_hours"], usage["gb_hours"]) == (pytest.approx(0.17), pytest.approx(2.72))
    assert usage["estimated_cost"] == pytest.approx(0.17)
    del configuration["spark.dynamicAllocation.maxExecutors"]
    usage = invoke(target, configuration=configuration)["usage"]
    assert (usage["ocpu_hours"], usage["gb_hours"], usage["estimated_cost"]) == (None, None, None)


def test_application_and_command_line_have_shapes_too(target):
    application_id = target.create_application("hello.py", num_executors=3).id
    ti = FakeTaskInstance()
    run_task(lambda: InvokeRunOperator(task_id="run", application_id=application_id, poll_interval=1), ti)
    assert ti.xcoms["usage"]["gb_hours"] == pytest.approx(0.6)
    execute = f"{target.bucket_uri}hello.py"
    ti = FakeTaskInstance(run_id="another")
    arguments = {**FLEXIBLE, "execute": execute, "spark_version": "3.5.0", "poll_interval": 1}
    run_task(lambda: InvokeRunOperator(task_id="run", **arguments), ti)
    assert ti.xcoms["usage"]["gb_hours"] == pytest.approx(0.8)


def test_run_pool_and_sql_endpoint_get_the_configured_tags(target, local, monkeypatch):
    configure(monkeypatch, defined_tags='{"Finance": {"CostCenter": "42"}}')
    xcoms = invoke(target, defined_tags={"Ops.Team": "weather"})
    expected = {"Finance": {"CostCenter": "42"}, "Ops": {"Team": "weather"}}
    assert target.client.get_run(xcoms["run_id"]).data.defined_tags == expected

    pool_id = run_task(
        lambda: CreatePoolOperator(
            task_id="pool",
            display_name="nightly",
            configurations=[{"shape": "VM.Standard2.1", "min": 1, "max": 2}],
            defined_tags={"finance": {"costcenter": "7"}},
            poll_interval=1,
        )
    )
    assert target.client.get_pool(pool_id).data.defined_tags == {"finance": {"costcenter": "7"}}

    def endpoint() -> CreateOrUpdateSqlEndpointOperator:
        return CreateOrUpdateSqlEndpointOperator(
            task_id="endpoint",
            display_name="queries",
            **ENDPOINT,
            warehouse_bucket_uri=f"{target.bucket_uri}warehouse",
            defined_tags={"Finance": {"Owner": "weather"}},
            poll_interval=1,
        )

    endpoint_id = run_task(endpoint)
    tags = {"Finance": {"Owner": "weather", "CostCenter": "42"}}
    assert target.client.get_sql_endpoint(endpoint_id).data.defined_tags == tags
    # The second task finds the endpoint as it wants it.
    updates = len(local.journal("UpdateSqlEndpoint"))
    assert run_task(endpoint) == endpoint_id
    assert len(local.journal("UpdateSqlEndpoint")) == updates
    assert target.client.get_sql_endpoint(endpoint_id).data.defined_tags == tags


def test_invalid_tags_fail_before_the_submit(target, local, monkeypatch):
    configure(monkeypatch, defined_tags="CostCenter=42")
    with pytest.raises(InvalidArgument, match=r"\[oci_data_flow\] defined_tags: expected JSON"):
        invoke(target)
    assert local.journal("CreateRun") == []
