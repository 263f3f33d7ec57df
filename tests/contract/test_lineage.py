"""OpenLineage's properties in the requests of submits, and what tasks report, with OpenLineage's provider."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.decorators.data_flow import DataFlowDecoratedOperator
from airflow_provider_dataflow.exceptions import DataFlowError, RunFailed, SubmitRejected
from airflow_provider_dataflow.lineage.facets import RUN_FACET
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership import record_store
from airflow_provider_dataflow.ownership.acquire import RunAcquirer
from airflow_provider_dataflow.ownership.acquire_settings import AcquirePauses
from airflow_provider_dataflow.ownership.record_store import RECORD_KEY
from airflow_provider_dataflow.triggers import submit as submit_trigger
from airflow_provider_dataflow.triggers.submit import SubmitRunTrigger
from tests.contract.conftest import poll_at_once, target_of
from tests.unit.support import FakeStateStore, FakeTaskInstance

plugins = pytest.importorskip("airflow.providers.openlineage.plugins")

PREFIX = "spark.openlineage."
KEY, HEADER = "key-5b1d20", "value-of-header-9f3e"
TRANSPORT = {
    "type": "http",
    "url": "http://127.0.0.1:5000",
    "endpoint": "api/v1/lineage",
    "auth": {"type": "api_key", "api_key": KEY},
    "custom_headers": {"X-Tenant": HEADER},
}
DAG_RUN = SimpleNamespace(
    conf={},
    clear_number=0,
    logical_date=datetime(2026, 1, 1, tzinfo=UTC),
    run_after=datetime(2026, 1, 1, tzinfo=UTC),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
)


class Killed(BaseException):
    """``kill -9``: no code of the process runs after it."""


class Task:
    """A task instance and its tries, with what Airflow stores of it."""

    def __init__(self, local: DataFlowFixture, mocker: Any, store: FakeStateStore | None) -> None:
        self.local, self.mocker, self.store = local, mocker, store
        self.sent = mocker.spy(DataFlowClient, "create_run")
        self.application_id = (
            target_of(local).create_application("hello.py", configuration={"spark.author": "application"}).id
        )
        self.try_number, self.fields = 0, {}

    def ti(self, **fields: Any) -> FakeTaskInstance:
        ti = FakeTaskInstance(
            **{"try_number": self.try_number, "max_tries": 3, "dag_run": DAG_RUN, **self.fields, **fields}
        )
        ti.get_template_context = lambda: {"dag_run": DAG_RUN}
        return ti

    def operator(self, **arguments: Any) -> InvokeRunOperator:
        given = {"openlineage_inject_parent_job_info": True, "poll_interval": 0.05, **arguments}
        if not given.keys() & {"execute", "run_id"}:
            given.setdefault("application_id", self.application_id)
        return InvokeRunOperator(**{"task_id": "task", **given})

    def run(self, **arguments: Any) -> str:
        """Run the next try."""
        self.try_number += 1
        self.last = self.operator(**arguments)
        self.last_ti = self.ti()
        store = {} if self.store is None else {"task_state_store": self.store}
        run_id: str = self.last.execute({"ti": self.last_ti, "dag_run": DAG_RUN, **store})
        return run_id

    def run_without_answer(self, **arguments: Any) -> None:
        """Run a try that is killed before it stores the OCID of its run."""
        patch = self.mocker.patch("airflow_provider_dataflow.ownership.acquire.decide", side_effect=Killed)
        with pytest.raises(Killed):
            self.run(**arguments)
        self.mocker.stop(patch)

    def parent(self, try_number: int = 1, **fields: Any) -> dict[str, str]:
        """Return the properties that name a try as the parent, by the macros of OpenLineage's provider."""
        from airflow.providers.openlineage.plugins import macros

        ti = self.ti(try_number=try_number, **fields)
        return {
            f"{PREFIX}parentJobNamespace": macros.lineage_job_namespace(),
            f"{PREFIX}parentJobName": "dag.task",
            f"{PREFIX}parentRunId": macros.lineage_run_id(ti),
            f"{PREFIX}rootParentJobName": "dag",
            f"{PREFIX}rootParentJobNamespace": macros.lineage_job_namespace(),
            f"{PREFIX}rootParentRunId": macros.lineage_root_run_id(ti),
        }

    def configurations(self) -> list[dict[str, str]]:
        """Return the Spark properties of all runs, as the service has them."""
        return [run["configuration"] for run in self.local.runs]

    def bodies(self) -> list[dict[str, Any]]:
        """Return the bodies of all submits."""
        return [call.args[1].body() for call in self.sent.call_args_list]


def lineage_of(configuration: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in configuration.items() if name.startswith(PREFIX)}


@pytest.fixture
def local(scripted: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    monkeypatch.setattr(RunAcquirer, "pauses", AcquirePauses(refusal=0.01, read=0.01, list=0.05))
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__NAMESPACE", "production")
    return scripted


@pytest.fixture
def task(local: DataFlowFixture, mocker: Any) -> Task:
    return Task(local, mocker, FakeStateStore())


@pytest.fixture
def transport(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what sets the transport of OpenLineage, as Airflow's configuration does. It has a key now."""
    from airflow.providers.openlineage.plugins.listener import get_openlineage_listener

    def use(configured: Any) -> None:
        monkeypatch.setenv("AIRFLOW__OPENLINEAGE__TRANSPORT", json.dumps(configured))
        monkeypatch.setattr(get_openlineage_listener().adapter, "_client", None)

    use(TRANSPORT)
    return use


# --- What is added -------------------------------------------------------------------------------------


def test_nothing_is_added_by_default(task):
    task.run(openlineage_inject_parent_job_info=False)
    assert "configuration" not in task.bodies()[0]
    assert "lineage" not in task.store.get(RECORD_KEY)


def test_application_keeps_its_configuration(task):
    """Also where the service replaces it with that of the run, which the API's documentation leaves open."""
    task.run()
    assert task.bodies()[0]["configuration"] == {"spark.author": "application", **task.parent()}


def test_configuration_of_the_run_is_not_extended_by_that_of_the_application(task):
    task.run(configuration={"spark.own": "1"})
    assert task.bodies()[0]["configuration"] == {"spark.own": "1", **task.parent()}


def test_json_body_gets_the_properties(task):
    task.run(json={"configuration": {"spark.own": "1"}})
    assert task.bodies()[0]["configuration"] == {"spark.own": "1", **task.parent()}


def test_command_line_gets_the_properties_as_options(task):
    """Beside ``execute`` the service ignores ``configuration``."""
    task.run(
        execute="--conf spark.own='a b' oci://data@ns/hello.py --conf x",
        configuration={"spark.ignored": "1"},
    )
    (configuration,) = task.configurations()
    assert configuration == {"spark.own": "a b", **task.parent()}
    assert task.local.runs[0]["arguments"] == ["--conf", "x"]


def test_local_code_gets_the_properties(task, tmp_path, mocker):
    task.run(
        application_id=None,
        application="oci://data@ns/hello.py",
        application_args=["x"],
        configuration={"spark.own": "1"},
    )
    assert task.configurations() == [{"spark.own": "1", **task.parent()}]


def test_repeated_submit_of_uploaded_code_has_the_same_body(task, tmp_path):
    target_of(task.local)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "app.py").write_text("print(1)")
    task.fields = {"bundle_instance": SimpleNamespace(path=bundle)}
    with DAG("dag", schedule=None) as dag:
        dag.fileloc = str(bundle / "dag.py")
        code = {"application_id": None, "application": "app.py", "staging_uri": "oci://data@ns/staging"}
        task.run_without_answer(**code, dag=dag)
        (bundle / "app.py").write_text("print(2)")
        assert [task.run(**code, dag=dag, task_id="again")] == task.local.runs_created
    first, repeated = task.bodies()
    assert repeated == first
    assert lineage_of(task.configurations()[0]) == task.parent(1)


def test_function_is_shipped_with_the_properties_and_reports_its_arguments(task):
    target_of(task.local)

    def transfer(spark, source, number, target):
        return number

    operator = DataFlowDecoratedOperator(
        task_id="task",
        dag=DAG("dag", schedule=None),
        python_callable=transfer,
        op_args=["oci://data@ns/in"],
        op_kwargs={"number": 1, "target": ["oci://data@ns/out"]},
        staging_uri="oci://data@ns/staging",
        openlineage_inject_parent_job_info=True,
        poll_interval=0.05,
    )
    task.try_number = 1
    with pytest.raises(DataFlowError, match="stored no result"):
        # A scripted run calls no function.
        operator.execute({"ti": task.ti(), "dag_run": DAG_RUN, "task_state_store": task.store})
    assert lineage_of(task.configurations()[0]) == task.parent()
    lineage = operator.get_openlineage_facets_on_complete(task.ti())
    assert names(lineage.inputs) == [("oci://data@ns", "/in")]
    assert names(lineage.outputs) == [("oci://data@ns", "/out")]


def test_mapped_task_instance_is_the_parent(task):
    task.fields = {"map_index": 3}
    task.run()
    assert lineage_of(task.configurations()[0]) == task.parent(map_index=3)
    assert task.parent(map_index=3) != task.parent(map_index=4)


def test_transport_is_added(task, transport):
    task.run(openlineage_inject_parent_job_info=False, openlineage_inject_transport_info=True)
    assert lineage_of(task.configurations()[0]) == {
        f"{PREFIX}transport.type": "http",
        f"{PREFIX}transport.url": "http://127.0.0.1:5000",
        f"{PREFIX}transport.endpoint": "api/v1/lineage",
        f"{PREFIX}transport.timeoutInMillis": "5000",
        f"{PREFIX}transport.auth.type": "api_key",
        f"{PREFIX}transport.auth.apiKey": f"Bearer {KEY}",
        f"{PREFIX}transport.headers.X-Tenant": HEADER,
    }


def test_defaults_come_from_the_section_of_openlineage(monkeypatch):
    """In a process of its own, since they are read when the operator is imported."""
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__SPARK_INJECT_PARENT_JOB_INFO", "True")
    code = """
from airflow_provider_dataflow.operators.run import InvokeRunOperator
task = InvokeRunOperator(task_id="task", execute="oci://b@ns/app.py")
print(task.openlineage_inject_parent_job_info, task.openlineage_inject_transport_info)
"""
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["True", "False"]


# --- What is kept --------------------------------------------------------------------------------------

OWN_PARENT = {f"{PREFIX}parentRunId": "0199aaaa-0000-7000-8000-000000000001"}


@pytest.mark.parametrize("place", ["configuration", "json", "execute", "application"])
def test_parent_of_the_author_is_kept(task, place):
    arguments: dict[str, Any] = {
        "configuration": {"configuration": OWN_PARENT},
        "json": {"json": {"configuration": OWN_PARENT}},
        "execute": {"execute": f"--conf {next(iter(OWN_PARENT.items()))[0]}=mine oci://data@ns/hello.py"},
        "application": {
            "application_id": target_of(task.local)
            .create_application("hello.py", configuration=OWN_PARENT)
            .id,
            "configuration": {"spark.own": "1"},
        },
    }[place]
    task.run(**arguments)
    expected = {next(iter(OWN_PARENT)): "mine"} if place == "execute" else OWN_PARENT
    assert lineage_of(task.configurations()[0]) == expected


def test_transport_of_the_application_is_kept(task, transport):
    own = {f"{PREFIX}transport.type": "file", f"{PREFIX}transport.location": "/tmp/events"}
    application = target_of(task.local).create_application("hello.py", configuration=own)
    task.run(application_id=application.id, openlineage_inject_transport_info=True)
    assert lineage_of(task.configurations()[0]) == {**own, **task.parent()}


# --- Repeated submits ----------------------------------------------------------------------------------

SUBMITS = [
    pytest.param({}, id="application"),
    pytest.param({"configuration": {"spark.own": "1"}}, id="configuration"),
    pytest.param({"execute": "oci://data@ns/hello.py 'a b'"}, id="execute"),
]


@pytest.mark.parametrize("arguments", SUBMITS)
def test_retry_repeats_the_body_of_a_submit_without_answer(task, transport, arguments):
    """The id of the parent depends on the try, and the service refuses a retry token with another body."""
    task.run_without_answer(openlineage_inject_transport_info=True, **arguments)
    (created,) = task.local.runs_created
    assert task.run(openlineage_inject_transport_info=True, **arguments) == created
    first, repeated = task.bodies()
    assert repeated == first
    assert [entry["status"] for entry in task.local.journal("CreateRun")] == [200, 200]
    assert lineage_of(task.configurations()[0]).items() >= task.parent(try_number=1).items()


def test_record_sorted_by_a_database_gives_the_same_command_line(task, transport):
    task.run_without_answer(openlineage_inject_transport_info=True, execute="oci://data@ns/hello.py")
    record = task.store.values[RECORD_KEY]
    record["lineage"] = dict(sorted(record["lineage"].items(), key=lambda item: (len(item[0]), item[0])))
    task.run(openlineage_inject_transport_info=True, execute="oci://data@ns/hello.py")
    first, repeated = task.bodies()
    assert repeated == first


def test_arguments_that_changed_meanwhile_do_not_change_a_repeated_body(task):
    task.run_without_answer()
    task.run(openlineage_inject_parent_job_info=False)
    first, repeated = task.bodies()
    assert repeated == first


def test_submit_without_properties_is_repeated_without(task):
    """Also if OpenLineage could provide none before."""
    own = {"configuration": OWN_PARENT}
    task.run_without_answer(**own)
    assert not task.store.get(RECORD_KEY).get("lineage", {})
    task.run(**own)
    first, repeated = task.bodies()
    assert repeated == first


@pytest.mark.parametrize("stored", [True, False], ids=["recorded", "unrecorded"])
def test_key_that_changed_meanwhile_creates_no_second_run(task, transport, stored):
    """The record has no keys, so the body differs. The service says so, and the run is found by its tags."""
    task.store = task.store if stored else None
    task.run_without_answer(openlineage_inject_transport_info=True)
    transport({**TRANSPORT, "auth": {"type": "api_key", "api_key": "rotated-9d2f71"}})
    assert [task.run(openlineage_inject_transport_info=True)] == task.local.runs_created


def test_run_that_replaces_a_failed_one_has_the_new_try_as_parent(task):
    task.local.fails()
    for _ in range(2):
        with pytest.raises(RunFailed):
            task.run()
    first, second = map(lineage_of, task.configurations())
    assert (first, second) == (task.parent(1), task.parent(2))


def test_retry_that_reattaches_leaves_the_first_try_as_parent(task, mocker):
    task.local.keeps_running()
    patch = mocker.patch.object(InvokeRunOperator, "_wait_in_worker", side_effect=Killed)
    for _ in range(2):
        with pytest.raises(Killed):
            task.run()
    mocker.stop(patch)
    assert [lineage_of(each) for each in task.configurations()] == [task.parent(1)]


def test_retry_after_a_refused_submit_is_the_parent_itself(task):
    """No run has the properties of the refused submit, so they are not repeated."""
    task.local.add_fault("status", status=400, operation="CreateRun", count=1)
    with pytest.raises(SubmitRejected):
        task.run()
    task.run()
    assert [lineage_of(each) for each in task.configurations()] == [task.parent(2)]


# --- Tasks that start in the triggerer -----------------------------------------------------------------


def test_trigger_that_submits_adds_the_properties(task, transport, monkeypatch, mocker):
    poll_at_once(monkeypatch)
    xcoms: dict[str, Any] = {}
    for module in (submit_trigger, record_store):
        mocker.patch.object(module, "push_xcom", lambda task, key, value: xcoms.update({key: value}))
    mocker.patch.object(record_store, "pull_xcom", lambda task, key: xcoms.get(key))
    operator = task.operator(
        start_from_trigger=True, fetch_logs="never", openlineage_inject_transport_info="{{ 1 == 1 }}"
    )
    row = json.dumps(operator.start_trigger_args.trigger_kwargs)
    trigger = SubmitRunTrigger(**json.loads(row))
    ti = task.ti(id=uuid.uuid4(), try_number=1)
    ti.task = operator
    trigger.task_instance = ti
    trigger.render_template_fields({"ti": ti, "dag_run": DAG_RUN})

    async def run() -> list[Any]:
        return [event async for event in trigger.run()]

    asyncio.run(asyncio.wait_for(run(), 30))
    configuration = lineage_of(task.configurations()[0])
    assert configuration.items() >= task.parent().items()
    assert configuration[f"{PREFIX}transport.auth.apiKey"] == f"Bearer {KEY}"
    stored = f"{row} {json.dumps(trigger.serialize())} {json.dumps(xcoms)}"
    assert task.parent()[f"{PREFIX}parentRunId"] in stored
    assert KEY not in stored
    assert HEADER not in stored


# --- Secrets and failures ------------------------------------------------------------------------------


@pytest.mark.parametrize("execute", [False, True], ids=["application", "execute"])
def test_key_and_headers_are_in_the_request_alone(task, transport, capsys, execute):
    arguments = {"execute": "oci://data@ns/hello.py"} if execute else {}
    task.run(openlineage_inject_transport_info=True, **arguments)
    sent = json.dumps(task.bodies())
    log = capsys.readouterr().out
    kept = [log, json.dumps(task.store.values), json.dumps(task.last_ti.xcoms)]
    kept += [json.dumps(task.last.templated_arguments(), default=str)]
    for secret in (KEY, HEADER):
        assert secret in sent
        assert not [text for text in kept if secret in text]
    assert f"{PREFIX}transport.headers.X-Tenant" in log
    recorded = task.store.get(RECORD_KEY)["lineage"]
    assert {name for name, value in recorded.items() if value is None} == {
        f"{PREFIX}transport.auth.apiKey",
        f"{PREFIX}transport.headers.X-Tenant",
    }


def test_driver_that_prints_the_key_does_not_leak_it(task, transport, capsys):
    task.local.succeeds(stdout=f"properties: {KEY} and {HEADER}, and the end\n")
    task.run(openlineage_inject_transport_info=True)
    log = capsys.readouterr().out
    assert "and the end" in log
    assert KEY not in log
    assert HEADER not in log


def test_missing_provider_of_openlineage_fails_no_task(task, monkeypatch, caplog):
    for name in [name for name in sys.modules if name.startswith("airflow.providers.common.compat.openlin")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage.utils.spark", None)
    task.run()
    assert lineage_of(task.configurations()[0]) == {}
    assert "Could not import `airflow.providers.openlineage" in caplog.text


def test_invalid_transport_fails_no_task_and_shows_no_key(task, transport, capsys):
    transport([KEY])
    task.run(openlineage_inject_transport_info=True)
    assert lineage_of(task.configurations()[0]) == task.parent()
    log = capsys.readouterr().out
    assert "check the section [openlineage]" in log
    assert KEY not in log


def test_application_that_must_not_be_read_is_submitted_without_properties(task, capsys):
    task.local.add_fault("status", status=404, operation="GetApplication")
    task.run()
    assert task.configurations() == [{"spark.author": "application"}]
    assert "submitted without OpenLineage's properties" in capsys.readouterr().out


# --- What the task reports -----------------------------------------------------------------------------


def names(datasets: Any) -> list[tuple[str, str]]:
    return [(each.namespace, each.name) for each in datasets]


IN_AND_OUT = ["--input", "oci://data@ns/in/", "--output=oci://data@ns/out", "oci://data@ns/other"]


def test_task_reports_the_arguments_before_its_run(task):
    task.try_number = 1
    lineage = task.operator(arguments=IN_AND_OUT).get_openlineage_facets_on_start()
    assert names(lineage.inputs) == [("oci://data@ns", "/in")]
    assert names(lineage.outputs) == [("oci://data@ns", "/out")]
    assert lineage.run_facets == {}


def test_task_reports_its_run(task, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__PRICE_PER_OCPU_HOUR", "3600")
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__PRICE_PER_GB_HOUR", "0")
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__CURRENCY", "EUR")
    task.local.succeeds(duration=1)
    application = target_of(task.local).create_application("hello.py", arguments=IN_AND_OUT)
    run_id = task.run(application_id=application.id)
    lineage = task.last.get_openlineage_facets_on_complete(task.last_ti)
    # Of the application's arguments.
    assert names(lineage.inputs) == [("oci://data@ns", "/in")]
    assert names(lineage.outputs) == [("oci://data@ns", "/out")]
    facet = lineage.run_facets[RUN_FACET]
    assert (facet.runId, facet.applicationId, facet.lifecycleState) == (run_id, application.id, "SUCCEEDED")
    assert facet.fileUri == "oci://data@ns/hello.py"
    assert facet.url == task.last_ti.xcoms["run_page_url"]
    assert facet.otherUris == ["oci://data@ns/other"]
    assert facet.usage["runSeconds"] >= 1
    assert facet.usage["estimatedCost"] >= 1
    assert facet.usage["currency"] == "EUR"
    assert lineage.run_facets["externalQuery"].externalQueryId == run_id
    assert "errorMessage" not in lineage.run_facets


def test_task_reports_why_its_run_failed(task):
    task.local.fails("No space left.")
    with pytest.raises(RunFailed):
        task.run()
    lineage = task.last.get_openlineage_facets_on_failure(task.last_ti)
    facet = lineage.run_facets[RUN_FACET]
    assert (facet.lifecycleState, facet.lifecycleDetails) == ("FAILED", "No space left.")
    assert lineage.run_facets["errorMessage"].message == f"Run {facet.runId} FAILED: No space left."


def test_events_of_the_provider_have_the_facets(task):
    """Through the provider's own extraction and serialization."""
    from airflow.providers.openlineage.extractors.manager import ExtractorManager
    from airflow.utils.state import TaskInstanceState
    from openlineage.client.serde import Serde

    run_id = task.run(arguments=IN_AND_OUT)
    metadata = ExtractorManager().extract_metadata(
        dagrun=SimpleNamespace(run_id="manual__1"),
        task=task.last,
        task_instance_state=TaskInstanceState.SUCCESS,
        task_instance=task.last_ti,
    )
    facets = json.loads(Serde.to_json(metadata.run_facets[RUN_FACET]))
    assert facets["runId"] == run_id
    assert facets["_schemaURL"].startswith("https://")
    assert names(metadata.outputs) == [("oci://data@ns", "/out")]


def test_submit_of_an_earlier_version_is_repeated_without_properties(task):
    """Its record says nothing of them, and its body had none."""
    task.run_without_answer(openlineage_inject_parent_job_info=False)
    assert "lineage" not in task.store.get(RECORD_KEY)
    task.run(openlineage_inject_parent_job_info=True)
    first, repeated = task.bodies()
    assert repeated == first


def test_repeated_submit_with_its_own_configuration_does_not_read_the_application(task):
    own = {"configuration": {"spark.own": "1"}}
    task.run_without_answer(**own)
    task.local.add_fault("status", status=404, operation="GetApplication")
    task.run(**own)
    first, repeated = task.bodies()
    assert repeated == first


def test_without_record_and_tags_nothing_is_added(task):
    """The parent differs in each try, and nothing but an equal body would tell that it is the same submit."""
    task.store = None
    task.run_without_answer(airflow_tags=False)
    assert [task.run(airflow_tags=False)] == task.local.runs_created
    first, repeated = task.bodies()
    assert repeated == first
    assert not lineage_of(first.get("configuration") or {})
