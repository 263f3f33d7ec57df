"""Resources and data sources of Terraform's provider, on simulated runs and a real one. See README.md."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import oci
import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.models.run import is_terminal
from tests.clients.terraform_workspace import Terraform, TerraformFailed, Workspace

pytestmark = [pytest.mark.clients]
VARIABLE = "DATAFLOW_CLIENTS_TERRAFORM_PROVIDER"
EMULATOR = "spark.dataflow.emulator"
ENDLESS = {f"{EMULATOR}.outcome": "IN_PROGRESS", f"{EMULATOR}.startup": "0"}
OTHER_COMPARTMENT = "ocid1.compartment.oc1..other"

APPLICATION, JVM, EXECUTED = (f"oci_dataflow_application.{name}" for name in ("report", "jvm", "executed"))
RUN, EXECUTE_RUN = "oci_dataflow_invoke_run.report", "oci_dataflow_invoke_run.executed"
POOL = "oci_dataflow_pool.scheduled"
ENDPOINT = "oci_dataflow_private_endpoint.database"
SQL = "oci_dataflow_sql_endpoint.public"
STATEMENT = "oci_dataflow_run_statement.answer"


def binaries() -> tuple[str, Path]:
    provider, terraform = os.environ.get(VARIABLE), shutil.which("terraform") or shutil.which("tofu")
    if not provider:
        pytest.skip(f"{VARIABLE} must be the path of terraform-provider-oci; see tests/clients/README.md")
    if terraform is None:
        pytest.skip("neither terraform nor tofu is on PATH")
    return terraform, Path(provider).resolve()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    terraform, provider = binaries()
    # The provider misses the state ACCEPTED if a run starts at once.
    options = Options(startup_seconds=4.0, transition_seconds=0.4)
    home = tmp_path_factory.mktemp("terraform") / "home"
    with LocalDataFlow(home, engine="scripted", options=options) as local:
        yield Terraform(terraform, provider, local)


@pytest.fixture
def workspace(simulated: Terraform, tmp_path: Path) -> Callable[..., Workspace]:
    """Return a function that creates a workspace with a document."""
    return lambda document, **variables: simulated.workspace(tmp_path / document, document, **variables)


@pytest.fixture
def client(simulated: Terraform) -> oci.data_flow.DataFlowClient:
    """Client of the service, which is empty at first."""
    simulated.local.reset()
    local = simulated.local
    return oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)


def wait_until(read: Callable[[], Any], expected: Callable[[Any], bool], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not expected(value := read()):
        assert time.monotonic() < deadline, value
        time.sleep(0.1)
    return value


def wait_until_ended(client: Any, run_id: str) -> str:
    return str(wait_until(lambda: client.get_run(run_id).data.lifecycle_state, is_terminal))


def requests(local: LocalDataFlow, operation: str) -> int:
    return len(local.journal(operation))


def assert_all_fields_are_known(local: LocalDataFlow) -> None:
    ignored = {e["operation"]: e["notes"] for e in local.journal() if "ignoredFields" in e["notes"]}
    assert ignored == {}


@pytest.fixture
def pool_id(client, simulated) -> str:
    """Pool with nodes of all shapes of the documents."""
    shapes = ("VM.Standard.E4.Flex", "VM.Standard2.1")
    details = {
        "compartmentId": simulated.local.compartment_id,
        "displayName": "pool",
        "configurations": [{"shape": shape, "min": 1, "max": 9} for shape in shapes],
    }
    pool_id = client.create_pool(details).data.id
    wait_until(lambda: client.get_pool(pool_id).data.lifecycle_state, lambda state: state == "ACTIVE")
    return str(pool_id)


# --- Applications ---------------------------------------------------------------------------------------


@pytest.fixture
def applications(workspace, client, simulated, pool_id) -> Workspace:
    details = {
        "compartmentId": simulated.local.compartment_id,
        "dnsZones": ["example.com"],
        "subnetId": "ocid1.subnet.oc1..subnet",
    }
    endpoint_id = client.create_private_endpoint(details).data.id
    created: Workspace = workspace("application", pool_id=pool_id, private_endpoint_id=endpoint_id)
    return created


def test_application_is_created_updated_in_place_and_deleted(applications, client, simulated):
    applications.apply()
    assert applications.planned() == {}
    created = applications.state()
    report = created[APPLICATION]
    assert (report["state"], report["arguments"]) == ("ACTIVE", ["--day", "${day}", "step"])
    assert created["data.oci_dataflow_application.report"]["display_name"] == "report"
    (found,) = created["data.oci_dataflow_applications.found"]["applications"]
    assert found["id"] == report["id"]

    changes = applications.planned(changed=True)
    assert changes == {address: ["update"] for address in (APPLICATION, JVM, EXECUTED)}
    applications.apply(changed=True)
    assert applications.planned(changed=True) == {}
    stored = client.get_application(report["id"]).data
    assert (stored.display_name, stored.description) == ("report-2", "a report-2")
    assert (stored.spark_version, stored.num_executors) == ("3.2.1", 2)
    assert (stored.idle_timeout_in_minutes, stored.max_duration_in_minutes) == (120, 240)
    assert (stored.driver_shape_config.ocpus, stored.executor_shape_config.memory_in_gbs) == (2, 32)
    assert stored.defined_tags == {"Operations": {"CostCenter": "42-2"}}
    assert client.get_application(created[JVM]["id"]).data.class_name == "example.Main2"

    applications.apply(changed=True, compartment_id=OTHER_COMPARTMENT)
    assert applications.planned(changed=True, compartment_id=OTHER_COMPARTMENT) == {}
    assert client.get_application(report["id"]).data.compartment_id == OTHER_COMPARTMENT
    applications.destroy(changed=True)
    assert client.list_applications(OTHER_COMPARTMENT).data == []
    assert_all_fields_are_known(simulated.local)


def test_imported_application_needs_no_change_and_another_type_replaces_it(applications):
    applications.apply()
    applications.import_again(APPLICATION, applications.state()[APPLICATION]["id"])
    assert applications.planned() == {}
    assert applications.planned(type="STREAMING") == {APPLICATION: ["delete", "create"]}


def test_deletion_of_application_terminates_its_runs_if_so_asked(applications, client, simulated):
    applications.apply()
    details = {
        "compartmentId": simulated.local.compartment_id,
        "applicationId": applications.state()[JVM]["id"],
        "configuration": ENDLESS | {f"{EMULATOR}.cancel_duration": "2"},
    }
    run_id = client.create_run(details).data.id
    wait_until(lambda: client.get_run(run_id).data.lifecycle_state, lambda state: state == "IN_PROGRESS")
    applications.destroy()
    assert client.get_run(run_id).data.lifecycle_state == "CANCELED"
    assert requests(simulated.local, "CascadingDeleteApplication") == 1


# --- Runs -----------------------------------------------------------------------------------------------


@pytest.fixture
def runs(workspace, pool_id) -> Workspace:
    created: Workspace = workspace("run", pool_id=pool_id)
    return created


def test_asynchronous_run_is_submitted_once_with_every_argument(runs, client, simulated):
    runs.apply()
    created = runs.state()
    run = created[RUN]
    assert (run["state"], created[EXECUTE_RUN]["state"]) == ("ACCEPTED", "ACCEPTED")
    assert wait_until_ended(client, run["id"]) == "SUCCEEDED"
    assert wait_until_ended(client, created[EXECUTE_RUN]["id"]) == "SUCCEEDED"
    assert runs.planned() == {}
    runs.apply()
    assert requests(simulated.local, "CreateRun") == 2

    stored = client.get_run(run["id"]).data
    assert (stored.display_name, stored.arguments) == ("a report", ["--month", "${day}"])
    assert (stored.num_executors, stored.total_o_cpu) == (2, 5)
    assert (stored.idle_timeout_in_minutes, stored.max_duration_in_minutes) == (60, 120)
    assert (stored.archive_uri, stored.logs_bucket_uri) == ("oci://code@ns/archive.zip", "oci://logs@ns/")
    assert stored.parameters[0].value == "2026-01-02"
    assert stored.defined_tags == {"Operations": {"CostCenter": "42"}}
    assert stored.application_log_config.log_id == runs.variables["log_id"]
    parents = [entry["notes"].get("parentRptUrl") for entry in simulated.local.journal("CreateRun")]
    assert sorted(map(str, parents)) == ["None", "https://example.com/parent"]
    assert_all_fields_are_known(simulated.local)

    read = runs.state()
    assert read["data.oci_dataflow_invoke_run.report"]["state"] == "SUCCEEDED"
    (found,) = read["data.oci_dataflow_invoke_runs.found"]["runs"]
    assert found["id"] == run["id"]
    names = {log["name"] for log in read["data.oci_dataflow_run_logs.report"]["run_logs"]}
    assert "spark_application_stdout.log.gz" in names


def test_synchronous_run_is_waited_for(runs):
    runs.apply(asynchronous=False)
    assert [runs.state()[address]["state"] for address in (RUN, EXECUTE_RUN)] == ["SUCCEEDED"] * 2
    assert runs.planned(asynchronous=False) == {}


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ("FAILED", "Resource creation failed, state FAILED"),
        ("CANCELED", "unexpected state: CANCELED"),
        ("STOPPED", "unexpected state: STOPPED"),
    ],
)
def test_synchronous_run_that_does_not_succeed_fails_the_apply(runs, outcome, message):
    given = {"asynchronous": False, "configuration": {f"{EMULATOR}.outcome": outcome}}
    with pytest.raises(TerraformFailed, match=message):
        runs.apply(**given)
    # Terraform drops a run in such a state from its own state, and starts another one.
    assert runs.planned(**given) == {RUN: ["create"]}


def test_run_that_has_not_succeeded_is_started_again(runs, client, simulated):
    given = {"configuration": {f"{EMULATOR}.outcome": "FAILED"}}
    runs.apply(**given)
    first = runs.state()[RUN]["id"]
    assert wait_until_ended(client, first) == "FAILED"
    assert runs.planned(**given) == {RUN: ["create"]}
    runs.apply(**given)
    assert runs.state()[RUN]["id"] != first
    assert requests(simulated.local, "CreateRun") == 3


def test_asynchronous_run_that_starts_at_once_is_missed(runs):
    given = {"configuration": {f"{EMULATOR}.startup": "0", f"{EMULATOR}.duration": "1"}}
    with pytest.raises(TerraformFailed, match="unexpected state: SUCCEEDED"):
        runs.apply(**given)


def test_tags_and_compartment_of_run_are_updated_in_place(runs, client, simulated):
    runs.apply(asynchronous=False)
    run_id = runs.state()[RUN]["id"]
    given = {"asynchronous": False, "department": "it"}
    assert runs.planned(**given) == {address: ["update"] for address in (RUN, EXECUTE_RUN)}
    runs.apply(**given)
    assert client.get_run(run_id).data.freeform_tags == {"department": "it"}
    given["compartment_id"] = OTHER_COMPARTMENT
    runs.apply(**given)
    assert runs.planned(**given) == {}
    assert client.get_run(run_id).data.compartment_id == OTHER_COMPARTMENT
    assert (runs.state()[RUN]["id"], requests(simulated.local, "CreateRun")) == (run_id, 2)


def test_changed_maximum_duration_is_planned_but_never_sent(runs, client):
    runs.apply()
    given = {"max_duration_in_minutes": 240}
    assert runs.planned(**given) == {RUN: ["update"]}
    runs.apply(**given)
    assert client.get_run(runs.state()[RUN]["id"]).data.max_duration_in_minutes == 120
    assert runs.planned(**given) == {RUN: ["update"]}


def test_destroy_cancels_run_and_waits_for_its_end(runs, client, simulated):
    given = {"configuration": ENDLESS | {f"{EMULATOR}.startup": "4", f"{EMULATOR}.cancel_duration": "2"}}
    runs.apply(**given)
    created = runs.state()
    running, ended = created[RUN]["id"], created[EXECUTE_RUN]["id"]
    assert wait_until_ended(client, ended) == "SUCCEEDED"
    wait_until(lambda: client.get_run(running).data.lifecycle_state, lambda state: state == "IN_PROGRESS")
    runs.destroy(**given)
    assert [client.get_run(id_).data.lifecycle_state for id_ in (running, ended)] == ["CANCELED", "SUCCEEDED"]
    assert [entry["resource_id"] for entry in simulated.local.journal("DeleteRun")] == [running]


def test_timeout_of_create_leaves_the_run(runs, client, simulated):
    document = runs.folder / "main.tf"
    head = 'resource "oci_dataflow_invoke_run" "report" {'
    document.write_text(document.read_text().replace(head, head + '\n  timeouts { create = "3s" }\n'))
    given = {"asynchronous": False, "configuration": ENDLESS}
    with pytest.raises(TerraformFailed, match="timeout while waiting for state to become"):
        runs.apply(**given)
    (run,) = (r for r in simulated.local.runs if r["displayName"] == "a report")
    assert run["lifecycleState"] == "IN_PROGRESS"
    # The run stays in the state, marked to be replaced: the next apply cancels it and starts another one.
    assert runs.state()[RUN]["id"] == run["id"]
    assert runs.planned(**given) == {RUN: ["delete", "create"]}
    assert requests(simulated.local, "DeleteRun") == 0
    runs.destroy(**given)
    assert client.get_run(run["id"]).data.lifecycle_state == "CANCELED"


def test_imported_run_is_replaced_unless_unreadable_arguments_are_ignored(runs, client):
    runs.apply(asynchronous=False)
    run_id = runs.state()[RUN]["id"]
    runs.import_again(RUN, run_id, asynchronous=False)
    assert runs.planned(asynchronous=False) == {RUN: ["delete", "create"]}
    document = runs.folder / "main.tf"
    head = 'resource "oci_dataflow_invoke_run" "report" {'
    ignore = "lifecycle { ignore_changes = [asynchronous, opc_parent_rpt_url] }"
    document.write_text(document.read_text().replace(head, f"{head}\n  {ignore}\n"))
    assert runs.planned(asynchronous=False) == {}


# --- Pools, endpoints and statements --------------------------------------------------------------------


def test_pool_with_schedules_is_created_updated_imported_and_deleted(
    workspace, client, simulated, monkeypatch
):
    pools = workspace("pool")
    pools.apply()
    assert pools.planned() == {}
    created = pools.state()
    pool = created[POOL]
    assert (pool["state"], created["oci_dataflow_pool.active"]["state"]) == ("SCHEDULED", "ACTIVE")
    assert pool["configurations"][0]["min"] == 0
    assert created["data.oci_dataflow_pool.scheduled"]["state"] == "SCHEDULED"
    (found,) = created["data.oci_dataflow_pools.found"]["pool_collection"][0]["items"]
    assert found["id"] == pool["id"]

    assert set(pools.planned(changed=True)) == {POOL, "oci_dataflow_pool.active"}
    pools.apply(changed=True)
    assert pools.planned(changed=True) == {}
    stored = client.get_pool(pool["id"]).data
    assert (stored.display_name, stored.lifecycle_state) == ("scheduled-2", "SCHEDULED")
    assert (stored.configurations[0].max, stored.idle_timeout_in_minutes) == (6, 20)
    schedule = stored.schedules[0]
    assert (schedule.day_of_week, schedule.start_time, schedule.stop_time) == ("TUESDAY", 9, 19)
    pools.import_again(POOL, pool["id"], changed=True)
    assert pools.planned(changed=True) == {}

    # The service deletes only stopped pools, and the provider does not stop them.
    with monkeypatch.context() as patch:
        # Otherwise, the provider repeats the request for two minutes.
        patch.setenv("disable_409_retry", "true")
        with pytest.raises(TerraformFailed, match="ACTIVE cannot be deleted"):
            pools.destroy(changed=True)
    assert client.get_pool(pool["id"]).data.lifecycle_state == "DELETED"
    active = created["oci_dataflow_pool.active"]["id"]
    client.stop_pool(active)
    wait_until(lambda: client.get_pool(active).data.lifecycle_state, lambda state: state == "STOPPED")
    pools.apply(changed=True, compartment_id=OTHER_COMPARTMENT)
    assert pools.planned(changed=True, compartment_id=OTHER_COMPARTMENT) == {}
    moved = client.get_pool(active).data
    assert (moved.compartment_id, moved.lifecycle_state) == (OTHER_COMPARTMENT, "STOPPED")
    pools.destroy(changed=True)
    assert client.get_pool(active).data.lifecycle_state == "DELETED"
    assert_all_fields_are_known(simulated.local)


def test_private_endpoint_is_created_updated_imported_and_deleted(workspace, client, simulated):
    endpoints = workspace("private_endpoint")
    endpoints.apply()
    assert endpoints.planned() == {}
    created = endpoints.state()
    endpoint = created[ENDPOINT]
    assert (endpoint["state"], endpoint["max_host_count"]) == ("INACTIVE", 256)
    assert created["data.oci_dataflow_private_endpoint.database"]["dns_zones"] == ["db.example.com"]
    collection = created["data.oci_dataflow_private_endpoints.found"]["private_endpoint_collection"]
    assert [item["id"] for item in collection[0]["items"]] == [endpoint["id"]]

    assert endpoints.planned(changed=True) == {ENDPOINT: ["update"]}
    endpoints.apply(changed=True)
    assert endpoints.planned(changed=True) == {}
    stored = client.get_private_endpoint(endpoint["id"]).data
    assert (stored.display_name, stored.max_host_count, stored.nsg_ids) == ("database-2", 512, [])
    assert stored.scan_details[0].fqdn == "scan-2.example.com"
    endpoints.import_again(ENDPOINT, endpoint["id"], changed=True)
    assert endpoints.planned(changed=True) == {}

    endpoints.apply(changed=True, compartment_id=OTHER_COMPARTMENT)
    assert client.get_private_endpoint(endpoint["id"]).data.compartment_id == OTHER_COMPARTMENT
    endpoints.destroy(changed=True)
    assert client.get_private_endpoint(endpoint["id"]).data.lifecycle_state == "DELETED"
    assert_all_fields_are_known(simulated.local)


def test_sql_endpoint_is_created_updated_and_deleted(workspace, client, simulated):
    endpoints = workspace("sql_endpoint")
    endpoints.apply()
    assert endpoints.planned() == {}
    created = endpoints.state()
    endpoint = created[SQL]
    assert (endpoint["state"], endpoint["lake_id"]) == ("ACTIVE", None)
    private = created["oci_dataflow_sql_endpoint.private"]["network_configuration"][0]
    assert (private["network_type"], private["host_name_prefix"]) == ("VCN", "sql")
    assert created["data.oci_dataflow_sql_endpoint.public"]["jdbc_endpoint_url"].startswith("jdbc:")
    collection = created["data.oci_dataflow_sql_endpoints.found"]["sql_endpoint_collection"]
    assert [item["id"] for item in collection[0]["items"]] == [endpoint["id"]]

    assert endpoints.planned(changed=True) == {SQL: ["update"]}
    endpoints.apply(changed=True)
    assert endpoints.planned(changed=True) == {}
    stored = client.get_sql_endpoint(endpoint["id"]).data
    assert (stored.display_name, stored.min_executor_count, stored.max_executor_count) == ("public-2", 2, 4)
    assert endpoints.planned(changed=True, compartment_id=OTHER_COMPARTMENT)[SQL] == ["update"]
    endpoints.apply(changed=True, compartment_id=OTHER_COMPARTMENT)
    assert endpoints.planned(changed=True, compartment_id=OTHER_COMPARTMENT) == {}
    assert client.get_sql_endpoint(endpoint["id"]).data.compartment_id == OTHER_COMPARTMENT
    endpoints.destroy(changed=True)
    assert client.get_sql_endpoint(endpoint["id"]).data.lifecycle_state == "DELETED"
    assert_all_fields_are_known(simulated.local)


def test_imported_sql_endpoint_is_replaced_if_it_has_log_arguments(workspace):
    endpoints = workspace("sql_endpoint")
    endpoints.apply()
    for address, id_ in [(a, v["id"]) for a, v in endpoints.state().items() if not a.startswith("data.")]:
        endpoints.import_again(address, id_)
    # Only the public one has log arguments, which the API does not return.
    assert endpoints.planned() == {SQL: ["delete", "create"]}


def test_statement_runs_in_a_session_and_another_code_replaces_it(client, simulated, tmp_path):
    session = {
        "compartmentId": simulated.local.compartment_id,
        "displayName": "session",
        "language": "PYTHON",
        "sparkVersion": "3.5.0",
        "driverShape": "VM.Standard2.1",
        "executorShape": "VM.Standard2.1",
        "numExecutors": 1,
        "fileUri": "oci://code@ns/",
        "type": "SESSION",
        "configuration": {f"{EMULATOR}.startup": "0", f"{EMULATOR}.statement_output": "42"},
    }
    application_id = client.create_application(session).data.id
    details = {"compartmentId": simulated.local.compartment_id, "applicationId": application_id}
    run_id = client.create_run(details).data.id
    wait_until(lambda: client.get_run(run_id).data.lifecycle_state, lambda state: state == "IN_PROGRESS")

    statements = simulated.workspace(tmp_path / "statement", "statement", run_id=run_id)
    statements.apply()
    assert statements.planned() == {}
    created = statements.state()
    statement = created[STATEMENT]
    assert (statement["state"], statement["output"][0]["data"][0]["value"]) == ("SUCCEEDED", "42")
    assert created["data.oci_dataflow_run_statement.answer"]["code"] == "print(6 * 7)"
    collection = created["data.oci_dataflow_run_statements.found"]["statement_collection"]
    assert len(collection[0]["items"]) == 1
    statements.import_again(STATEMENT, statement["id"])
    assert statements.planned() == {}
    assert statements.planned(code="1") == {STATEMENT: ["delete", "create"]}
    statements.destroy()


# --- Real Spark -----------------------------------------------------------------------------------------


@pytest.mark.spark
def test_synchronous_run_on_spark_and_its_log(service, tmp_path):
    terraform, provider = binaries()
    (service.local.create_bucket("code", "ns") / "report.py").write_text(
        "import sys\nfrom pyspark.sql import SparkSession\n"
        "rows = SparkSession.builder.getOrCreate().range(7).count()\n"
        "print('report', sys.argv[1:], rows)\n"
    )
    spark = Terraform(terraform, provider, service.local).workspace(tmp_path / "spark", "spark_run")
    spark.apply()
    assert spark.planned() == {}
    state = spark.state()
    run = state["oci_dataflow_invoke_run.report"]
    assert (run["state"], int(run["run_duration_in_milliseconds"]) > 0) == ("SUCCEEDED", True)
    assert "report ['--day', '2026-01-02'] 7" in state["data.oci_dataflow_run_log.report"]["content"]
    spark.destroy()
