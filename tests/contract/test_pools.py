"""Pools of Local Data Flow through the SDK."""

from __future__ import annotations

import oci
import pytest
from oci.exceptions import ServiceError

models = oci.data_flow.models
QUICK = {"max_interval_seconds": 0.2, "max_wait_seconds": 30}


@pytest.fixture(scope="module")
def composite(target):
    return oci.data_flow.DataFlowClientCompositeOperations(target.client)


def wait(target, pool_id: str, state: str):
    response = target.client.get_pool(pool_id)
    return oci.wait_until(target.client, response, "lifecycle_state", state, **QUICK).data


def test_a_pool_and_a_run_in_it(target, composite):
    client = target.client
    details = models.CreatePoolDetails(
        compartment_id=target.compartment_id,
        display_name="contract",
        configurations=[models.PoolConfig(shape="VM.Standard2.1", min=2, max=4)],
        idle_timeout_in_minutes=60,
    )
    created = client.create_pool(details)
    assert created.status == 202
    assert isinstance(created.data, models.Pool)
    pool = created.data
    assert pool.lifecycle_state == "ACCEPTED"
    # The run waits for the pool; only a deleted pool would refuse it.
    run = target.submit(target.create_application("nothing.py").id, pool_id=pool.id)
    assert target.client.get_run(run.id).data.lifecycle_state == "ACCEPTED"
    request = oci.wait_until(
        client,
        client.get_work_request(created.headers["opc-work-request-id"]),
        "status",
        "SUCCEEDED",
        **QUICK,
    ).data
    assert request.resources[0].resource_id == pool.id
    assert client.get_pool(pool.id).data.lifecycle_state == "ACTIVE"
    assert target.wait(run.id).pool_id == pool.id
    assert client.get_pool(pool.id).data.pool_metrics.active_runs_count == 0

    listed = client.list_pools(target.compartment_id, display_name="contract").data
    assert isinstance(listed, models.PoolCollection)
    assert [p.id for p in listed.items] == [pool.id]
    composite.stop_pool_and_wait_for_state(pool.id, ["SUCCEEDED"], waiter_kwargs=QUICK)
    assert wait(target, pool.id, "STOPPED").pool_metrics.time_last_stopped
    update = models.UpdatePoolDetails(description="changed")
    etag = client.get_pool(pool.id).headers["etag"]
    assert client.update_pool(update, pool.id, if_match=etag).status == 202
    assert wait(target, pool.id, "STOPPED").description == "changed"
    assert client.start_pool(pool.id).status == 202
    wait(target, pool.id, "ACTIVE")
    with pytest.raises(ServiceError) as e:
        client.delete_pool(pool.id)
    assert (e.value.status, e.value.code) == (409, "Conflict")
    client.stop_pool(pool.id)
    wait(target, pool.id, "STOPPED")
    moved = models.ChangePoolCompartmentDetails(compartment_id="ocid1.compartment.oc1..other")
    assert client.change_pool_compartment(pool.id, moved).status == 202
    wait(target, pool.id, "STOPPED")
    client.delete_pool(pool.id)
    wait(target, pool.id, "DELETED")
    with pytest.raises(ServiceError) as e:
        target.submit(target.create_application("nothing.py").id, pool_id=pool.id)
    assert (e.value.status, e.value.code) == (400, "RelatedResourceNotAuthorizedOrNotFound")
