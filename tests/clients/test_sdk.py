"""The unmodified oci SDK: composite operations, pagination, default retries and circuit breaker."""

from __future__ import annotations

import oci
import pytest

pytestmark = pytest.mark.spark
STDOUT = "spark_application_stdout.log.gz"


@pytest.fixture(scope="module")
def client(service):
    return oci.data_flow.DataFlowClient(service.local.sdk_config, service_endpoint=service.local.endpoint)


@pytest.fixture(scope="module")
def composite(client):
    return oci.data_flow.DataFlowClientCompositeOperations(client)


FAST = {"max_interval_seconds": 1, "max_wait_seconds": 120}


def _details(service, application: str, **fields):
    return oci.data_flow.models.CreateRunDetails(
        compartment_id=service.local.compartment_id, application_id=application, **fields
    )


def test_submit_waits_for_success_and_reads_log(service, client, composite):
    details = _details(service, service.hello, display_name="by the SDK", freeform_tags={"a": "ä b"})
    response = composite.create_run_and_wait_for_state(details, ["SUCCEEDED", "FAILED"], waiter_kwargs=FAST)
    run = response.data
    assert run.lifecycle_state == "SUCCEEDED", run.lifecycle_details
    assert run.freeform_tags == {"a": "ä b"}
    assert run.total_o_cpu == 2
    logs = oci.pagination.list_call_get_all_results(client.list_run_logs, run.id, limit=1).data
    assert STDOUT in [log.name for log in logs]
    assert "hello from a client" in client.get_run_log(run.id, STDOUT).data.text


def test_cancel_waits_for_canceled(service, client, composite):
    run = client.create_run(_details(service, service.sleeper)).data
    response = composite.delete_run_and_wait_for_state(run.id, ["CANCELED"], waiter_kwargs=FAST)
    assert response is not None
    assert client.get_run(run.id).data.lifecycle_state == "CANCELED"


def test_pagination_lists_all_runs(service, client):
    runs = [
        client.create_run(_details(service, service.sleeper, display_name=f"n{i}")).data.id for i in range(5)
    ]
    compartment = service.local.compartment_id
    for call, arguments in (
        (oci.pagination.list_call_get_all_results, ()),
        (oci.pagination.list_call_get_up_to_limit, (3, 2)),
    ):
        response = call(client.list_runs, *arguments, compartment, application_id=service.sleeper)
        assert set(runs[-3:]) <= {run.id for run in response.data}
    run_ids = [
        run.id
        for run in oci.pagination.list_call_get_all_results_generator(
            client.list_runs, "record", compartment, application_id=service.sleeper, limit=2
        )
    ]
    assert run_ids[:5] == runs[::-1]
    for run in runs:
        client.delete_run(run)


def test_application_is_created_updated_and_deleted(service, client, composite):
    details = oci.data_flow.models.CreateApplicationDetails(
        compartment_id=service.local.compartment_id,
        display_name="of the SDK",
        driver_shape="VM.Standard.E4.Flex",
        driver_shape_config=oci.data_flow.models.ShapeConfig(ocpus=1, memory_in_gbs=16),
        executor_shape="VM.Standard.E4.Flex",
        executor_shape_config=oci.data_flow.models.ShapeConfig(ocpus=1, memory_in_gbs=16),
        language="PYTHON",
        num_executors=1,
        spark_version="3.5.0",
        file_uri="oci://data@ns/hello.py",
    )
    created = composite.create_application_and_wait_for_state(details, ["ACTIVE"]).data
    update = oci.data_flow.models.UpdateApplicationDetails(display_name="renamed")
    updated = composite.update_application_and_wait_for_state(update, created.id, ["ACTIVE"]).data
    assert updated.display_name == "renamed"
    composite.delete_application_and_wait_for_state(created.id, ["DELETED"], waiter_kwargs=FAST)
    assert client.get_application(created.id).data.lifecycle_state == "DELETED"
