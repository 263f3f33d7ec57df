"""Local Data Flow through the SDK: requests that need no Spark."""

from __future__ import annotations

import oci
import pytest
from oci.exceptions import ServiceError

from airflow_provider_dataflow.local.http.keys import new_identity


def test_application_lifecycle(target):
    application = target.create_application("hello.py", freeform_tags={"a": "b"})
    assert application.lifecycle_state == "ACTIVE"
    client = target.client
    details = oci.data_flow.models.UpdateApplicationDetails(description="changed", num_executors=2)
    updated = client.update_application(details, application.id)
    assert (updated.data.description, updated.data.num_executors) == ("changed", 2)
    assert client.get_application(application.id).headers["etag"] == updated.headers["etag"]
    listed = client.list_applications(target.compartment_id, display_name="contract hello.py").data
    assert application.id in [a.id for a in listed]
    assert client.delete_application(application.id, if_match=updated.headers["etag"]).status == 204
    with pytest.raises(ServiceError) as e:
        target.submit(application.id)
    assert (e.value.status, e.value.code) == (404, "NotAuthorizedOrNotFound")


def test_unknown_application_is_404(target):
    with pytest.raises(ServiceError) as e:
        target.submit("ocid1.dataflowapplication.oc1.iad.nosuchapplication")
    assert (e.value.status, e.value.code) == (404, "NotAuthorizedOrNotFound")
    assert e.value.request_id


def test_missing_main_file_fails_the_run(target):
    run = target.submit(target.create_application("nothing.py").id)
    assert run.lifecycle_state == "ACCEPTED"
    run = target.wait(run.id)
    assert run.lifecycle_state == "FAILED"
    assert f"{target.bucket_uri}nothing.py" in run.lifecycle_details


def test_missing_bucket_fails_the_run(target):
    application = target.create_application("hello.py", arguments=["--in=oci://other@ns/x"])
    run = target.wait(target.submit(application.id).id)
    assert run.lifecycle_state == "FAILED"
    assert "bucket other in the namespace ns" in run.lifecycle_details


def test_same_retry_token_returns_the_same_run(target):
    application = target.create_application("nothing.py")
    details = oci.data_flow.models.CreateRunDetails(
        compartment_id=target.compartment_id, application_id=application.id, display_name="once"
    )
    first = target.client.create_run(details, opc_retry_token="token-1")
    again = target.client.create_run(details, opc_retry_token="token-1")
    assert first.data.id == again.data.id
    assert first.headers["etag"]
    details.display_name = "twice"
    with pytest.raises(ServiceError) as e:
        target.client.create_run(details, opc_retry_token="token-1")
    assert (e.value.status, e.value.code) == (409, "InvalidatedRetryToken")
    runs = target.client.list_runs(target.compartment_id, application_id=application.id).data
    assert [run.id for run in runs] == [first.data.id]


def test_list_runs_pages(target):
    application = target.create_application("nothing.py")
    runs = [target.submit(application.id).id for _ in range(5)]
    pages = oci.pagination.list_call_get_all_results(
        target.client.list_runs, target.compartment_id, application_id=application.id, limit=2
    )
    assert [run.id for run in pages.data] == runs[::-1]
    with pytest.raises(ServiceError) as e:
        target.client.list_runs(target.compartment_id, application_id=application.id, display_name="x")
    assert (e.value.status, e.value.code) == (400, "InvalidParameter")


def test_missing_parameter_is_400(target):
    application = target.create_application("hello.py", arguments=["${month}"])
    with pytest.raises(ServiceError, match=r"\$\{month\}") as e:
        target.submit(application.id)
    assert e.value.status == 400


def test_unknown_run_is_404(target):
    for call in (target.client.get_run, target.client.delete_run, target.client.list_run_logs):
        with pytest.raises(ServiceError) as e:
            call("ocid1.dataflowrun.oc1.iad.none")
        assert (e.value.status, e.value.code) == (404, "NotAuthorizedOrNotFound")


def test_foreign_key_is_401(local):
    other = new_identity()
    config = local.sdk_config | {"key_content": other.private_key}
    for changed in (config, config | {"fingerprint": other.fingerprint}):
        client = oci.data_flow.DataFlowClient(changed, service_endpoint=local.endpoint)
        with pytest.raises(ServiceError) as e:
            client.list_runs(local.compartment_id)
        assert (e.value.status, e.value.code) == (401, "NotAuthenticated")


def test_journal_names_operation_user_and_client(local, target):
    local.clear_journal()
    run = target.submit(target.create_application("nothing.py").id)
    target.wait(run.id)
    entries = local.journal(resource_id=run.id)
    assert entries[0]["operation"] == "CreateRun"
    assert {e["operation"] for e in entries[1:]} == {"GetRun"}
    assert entries[0]["user"] == local.identity.user
    assert entries[0]["user_agent"].startswith("Oracle-PythonSDK")
    assert local.run_states(run.id) == ["ACCEPTED", "IN_PROGRESS", "FAILED"]
