"""Example DAGs, run task by task against Local Data Flow without Airflow."""

from __future__ import annotations

import importlib.util
import shutil
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dataflow.local import LocalDataFlow
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from tests.contract.conftest import poll_at_once, set_connection, target_of
from tests.contract.tasks import run_task
from tests.unit.support import FakeTaskInstance

EXAMPLES = Path(__file__).parent.parent.parent / "example_dags"


def example(name: str) -> DAG:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    found: list[DAG] = []
    with pytest.MonkeyPatch.context() as patch:
        # The examples do not assign their DAG to a variable.
        leave = DAG.__exit__
        patch.setattr(DAG, "__exit__", lambda dag, *args: (found.append(dag), leave(dag, *args))[1])
        spec.loader.exec_module(module)
    (dag,) = found
    return dag


class TaskInstance(FakeTaskInstance):
    """Task instance that can read the XComs of all tasks of the DAG run."""

    def __init__(self, task_id: str, xcoms: dict[str, dict[str, Any]]) -> None:
        super().__init__(task_id)
        self.xcoms, self.all = xcoms.setdefault(task_id, {}), xcoms

    def xcom_pull(self, task_ids: str, key: str, default: Any = None, map_indexes: Any = None) -> Any:
        return self.all[task_ids].get(key, default)


def run(dag: DAG) -> dict[str, Any]:
    """Run all tasks in topological order and return their results."""
    xcoms: dict[str, dict[str, Any]] = {}
    for task in dag.topological_sort():
        ti = TaskInstance(task.task_id, xcoms)
        context = {
            "ti": ti,
            "run_id": ti.run_id,
            "params": {name: value.value for name, value in dag.params.items()},
            "var": {"value": SimpleNamespace(get=lambda name, default=None: default)},
        }
        if hasattr(task, "poll_interval"):
            task.poll_interval = 0.1
        task.render_template_fields(context)  # type: ignore[arg-type]
        xcoms[task.task_id]["return_value"] = run_task(lambda task=task: task, ti)
    return {task_id: of_task["return_value"] for task_id, of_task in xcoms.items()}


@pytest.fixture
def server(scripted: DataFlowFixture, monkeypatch: pytest.MonkeyPatch) -> DataFlowFixture:
    prepare(scripted, monkeypatch)
    return scripted


def prepare(server: LocalDataFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the server the one of the connection, with the examples' data and programs in a bucket."""
    set_connection(server, monkeypatch)
    poll_at_once(monkeypatch)
    folder = server.create_bucket("weather")
    shutil.copytree(EXAMPLES / "data" / "nyc_weather", folder / "nyc_weather", dirs_exist_ok=True)
    shutil.copytree(EXAMPLES / "spark", folder / "apps", dirs_exist_ok=True)


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("example_*.py")))
def test_example_dag_has_the_name_of_its_file(name):
    dag = example(name)
    assert dag.dag_id == name
    assert dag.doc_md
    assert dag.tasks


def test_run_management_example(server):
    server.keeps_running()
    results = run(example("example_run_management"))
    run_id = results["submit"]
    assert results["update"] == ["freeform_tags", "max_duration_in_minutes"]
    assert results["get"]["freeform_tags"] == {"team": "weather", "dag_run": "manual__1"}
    assert results["get"]["max_duration_in_minutes"] == 60
    assert [found["id"] for found in results["list_runs"]] == [run_id]
    assert results["cancel"] == "CANCELED"


def test_pool_example(server):
    dag = example("example_pool")
    assert dag.get_task("create_pool").is_setup
    assert dag.get_task("stop_pool").is_teardown
    results = run(dag)
    pool_id = results["create_pool"]
    assert {found["poolId"] for found in server.runs} == {pool_id}
    assert [found["lifecycleState"] for found in server.runs] == ["SUCCEEDED"] * 2
    assert target_of(server).client.get_pool(pool_id).data.lifecycle_state == "STOPPED"
    # The next DAG run starts the existing pool.
    assert run(example("example_pool"))["create_pool"] == pool_id


def test_sql_endpoint_example(server):
    dag = example("example_sql_endpoint")
    assert dag.get_task("start_endpoint").is_setup
    assert dag.get_task("stop_endpoint").is_teardown
    results = run(dag)
    endpoint_id = results["start_endpoint"]
    assert results["query"].startswith("connect to jdbc:")
    endpoint = target_of(server).client.get_sql_endpoint(endpoint_id).data
    assert (endpoint.lifecycle_state, endpoint.display_name) == ("INACTIVE", "weather")
    # The next DAG run starts the existing endpoint.
    assert run(example("example_sql_endpoint"))["start_endpoint"] == endpoint_id


def test_application_example(server):
    results = run(example("example_application"))
    (found,) = server.runs
    assert found["id"] == results["june"]
    assert found["applicationId"] == results["application"] == results["delete"]
    assert found["parameters"] == [{"name": "month", "value": "2013-06"}]
    application = target_of(server).client.get_application(results["application"]).data
    assert application.lifecycle_state == "DELETED"


def test_session_example(server):
    dag = example("example_session")
    assert dag.get_task("weather.start").is_setup
    assert dag.get_task("weather.end").is_teardown
    results = run(dag)
    (found,) = server.runs
    assert (found["type"], found["lifecycleState"]) == ("SESSION", "STOPPED")
    assert found["idleTimeoutInMinutes"] == 30
    assert "SELECT count(*)" in results["weather.count"]
    assert results["weather.end"] == "STOPPED"


@pytest.mark.spark
def test_session_example_on_spark(local, monkeypatch):
    prepare(local, monkeypatch)
    dag = example("example_session")
    for task_id in ("load", "count", "airports"):
        dag.get_task(f"weather.{task_id}").timeout = timedelta(minutes=2).total_seconds()
    results = run(dag)
    rows = sum(1 for _ in (EXAMPLES / "data" / "nyc_weather" / "2013-01.csv").open()) - 1
    assert results["weather.count"] == str(rows)
    assert results["weather.load"] is None or "DataFrame" not in results["weather.load"]
    airports = results["weather.airports"]
    assert [row["airport"] for row in airports] == ["EWR", "JFK", "LGA"]
    assert sum(int(row["count"]) for row in airports) == rows
    assert results["weather.end"] == "STOPPED"


def test_local_code_example(server):
    results = run(example("example_local_code"))
    (found,) = server.runs
    assert found["id"] == results["windy_days"]
    assert found["fileUri"].startswith("oci://weather@local/staging/files/")
    assert found["arguments"][:2] == ["--input", "oci://weather@local/nyc_weather/2013-03.csv"]
    assert found["configuration"] == {"spark.sql.shuffle.partitions": "4"}
    # The next DAG run uploads nothing.
    run(example("example_local_code"))
    server.assert_requests(PutObject=4)


@pytest.mark.spark
def test_local_code_example_on_spark(local, monkeypatch):
    prepare(local, monkeypatch)
    run(example("example_local_code"))
    folder = local.bucket_path("local", "weather") / "windy_days" / "month=2013-03"
    (part,) = folder.glob("part-*.csv")
    rows = part.read_text().splitlines()
    assert rows[0] == "airport,day,wind_mph,rank"
    assert [row.split(",")[0] for row in rows[1:]] == ["EWR", "EWR", "JFK", "JFK", "LGA", "LGA"]


def test_streaming_example(server):
    server.keeps_running()
    results: dict[str, Any] = {}
    task = threading.Thread(target=lambda: results.update(run(example("example_streaming"))))
    task.start()
    wait_until_in_progress(server, 1)
    server.maintain(server.runs_created[0])
    wait_until_in_progress(server, 2)
    server.end_run(server.runs_created[1])
    task.join(60)
    assert results["stream"] == server.runs_created[1]
    server.assert_requests(CreateRun=1, DeleteRun=0)


def wait_until_in_progress(server: DataFlowFixture, number: int) -> None:
    deadline = time.monotonic() + 60
    while [found["lifecycleState"] for found in server.runs][number - 1 :] != ["IN_PROGRESS"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
