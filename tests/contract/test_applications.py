"""Applications of Local Data Flow through the SDK."""

from __future__ import annotations

import oci
import pytest
from oci.exceptions import ServiceError

models = oci.data_flow.models


def test_a_cascading_delete_ends_the_runs(local, target):
    application = target.create_application("nothing.py")
    run = target.submit(application.id)
    composite = oci.data_flow.DataFlowClientCompositeOperations(target.client)
    quick = {"max_interval_seconds": 0.2, "max_wait_seconds": 60}
    composite.cascading_delete_application_and_wait_for_state(
        application.id, ["SUCCEEDED"], waiter_kwargs=quick
    )
    assert target.client.get_run(run.id).data.lifecycle_state in ("CANCELED", "FAILED")
    assert target.client.get_application(application.id).data.lifecycle_state == "DELETED"
    with pytest.raises(ServiceError) as e:
        target.submit(application.id)
    assert e.value.status == 404


def test_it_moves(target):
    application = target.create_application("hello.py", display_name="moves")
    other = "ocid1.compartment.oc1..other"
    details = models.ChangeApplicationCompartmentDetails(compartment_id=other)
    assert target.client.change_application_compartment(application.id, details).status == 204
    found = target.client.list_applications(other, display_name_starts_with="mov").data
    assert [a.id for a in found] == [application.id]
    assert isinstance(found[0], models.ApplicationSummary)


def test_the_filters(target):
    application = target.create_application("hello.py", display_name="filtered", spark_version="3.2.1")
    client = target.client
    for filters in (
        {"display_name": "filtered"},
        {"spark_version": "3.2.1", "sort_by": "displayName", "sort_order": "ASC"},
        {"owner_principal_id": application.owner_principal_id, "limit": 100},
    ):
        assert application.id in [
            a.id for a in client.list_applications(target.compartment_id, **filters).data
        ]
    with pytest.raises(ServiceError) as e:
        client.list_applications(target.compartment_id, display_name="a", spark_version="3.5.0")
    assert (e.value.status, e.value.code) == (400, "InvalidParameter")


def test_what_may_not_be_set(target):
    with pytest.raises(ServiceError, match=r"spark\.master") as e:
        target.create_application("hello.py", configuration={"spark.master": "local[1]"})
    assert (e.value.status, e.value.code) == (400, "InvalidParameter")
