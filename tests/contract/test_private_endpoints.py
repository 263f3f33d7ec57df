"""Private endpoints and their work requests, as the SDK sees them."""

from __future__ import annotations

import oci

models = oci.data_flow.models
QUICK = {"max_interval_seconds": 0.2, "max_wait_seconds": 30}


def finished(target, response):
    """The work request of an answer, when it is done."""
    assert response.status == 202
    request = target.client.get_work_request(response.headers["opc-work-request-id"])
    assert request.data.status in ("ACCEPTED", "INPROGRESS")
    return oci.wait_until(target.client, request, "status", "SUCCEEDED", **QUICK).data


def test_its_life(target):
    client = target.client
    details = models.CreatePrivateEndpointDetails(
        compartment_id=target.compartment_id,
        display_name="contract",
        dns_zones=["db.example.com"],
        subnet_id="ocid1.subnet.oc1.iad.x",
        max_host_count=300,
        scan_details=[models.Scan(fqdn="scan.example.com", port="1521")],
    )
    created = client.create_private_endpoint(details)
    assert (created.data.lifecycle_state, created.data.max_host_count) == ("CREATING", 512)
    request = finished(target, created)
    assert (request.operation, request.percent_complete) == ("CREATE_PRIVATE_ENDPOINT", 100)
    assert request.resources[0].action_type == "CREATED"
    endpoint = client.get_private_endpoint(created.data.id).data
    assert endpoint.lifecycle_state == "INACTIVE"

    application = target.create_application("nothing.py", private_endpoint_id=endpoint.id)
    run = target.wait(target.submit(application.id).id)
    assert (run.private_endpoint_id, run.private_endpoint_subnet_id) == (endpoint.id, endpoint.subnet_id)
    assert client.get_private_endpoint(endpoint.id).data.lifecycle_state == "ACTIVE"

    listed = client.list_private_endpoints(target.compartment_id, display_name="contract").data.items
    assert [e.id for e in listed] == [endpoint.id]
    update = models.UpdatePrivateEndpointDetails(description="changed")
    assert finished(target, client.update_private_endpoint(update, endpoint.id)).status == "SUCCEEDED"
    moved = models.ChangePrivateEndpointCompartmentDetails(compartment_id="ocid1.compartment.oc1..other")
    response = client.change_private_endpoint_compartment(endpoint.id, moved)
    assert finished(target, response).operation == "MOVE_PRIVATE_ENDPOINT"
    request = finished(target, client.delete_private_endpoint(endpoint.id))
    assert request.resources[0].action_type == "DELETED"
    assert client.get_private_endpoint(endpoint.id).data.lifecycle_state == "DELETED"

    logs = client.list_work_request_logs(request.id).data.items
    assert [entry.message.split()[-1] for entry in logs] == ["ACCEPTED.", "INPROGRESS.", "SUCCEEDED."]
    assert client.list_work_request_errors(request.id).data.items == []
    requests = oci.pagination.list_call_get_all_results(
        client.list_work_requests, target.compartment_id, limit=2
    )
    assert created.headers["opc-work-request-id"] in [r.id for r in requests.data]
