"""Events of a real Airflow and of OpenLineage's Spark listener form one lineage."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyspark
import pytest
from harness import STARTS_FROM_TRIGGER

from airflow_provider_dataflow.lineage.facets import RUN_FACET
from dev.postgres import Postgres
from dev.workbench import Workbench

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".cache"
DAG_ID, DAG_RUN = "lineage", "tested"
NAMESPACE = "airflow-under-test"
JAR_VERSION = "1.53.0"
#: Lost responses: to all attempts (``RetryPolicy.max_attempts``) of a submit, and of its repetition after a
#: pause. Then the first try gives up.
LOST_RESPONSES = 2 * 5
SILENT_USER = "ocid1.user.oc1..noanswer"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def jar() -> Path:
    """OpenLineage's Spark listener, for the Scala of the installed PySpark."""
    scala = "2.12" if pyspark.__version__.startswith("3.") else "2.13"
    name = f"openlineage-spark_{scala}"
    file = CACHE / f"{name}-{JAR_VERSION}.jar"
    if not file.exists():
        if shutil.which("mvn") is None:
            pytest.skip("no Maven, which provides OpenLineage's Spark listener")
        artifact = f"-Dartifact=io.openlineage:{name}:{JAR_VERSION}"
        command = ["mvn", "-q", "-B", "dependency:copy", artifact, f"-DoutputDirectory={CACHE}"]
        if subprocess.run(command, capture_output=True, timeout=300).returncode:
            pytest.skip(f"Maven cannot provide {name} {JAR_VERSION}")
    return file


@dataclass
class Lineage:
    """Events of the DAG run."""

    airflow: list[dict[str, Any]]
    spark: list[dict[str, Any]]
    runs: list[dict[str, Any]]
    log: str

    def of_task(self, task: str, kind: str) -> list[dict[str, Any]]:
        """Return the events of a task of one kind, without those of later starts after a deferral."""
        events: dict[str, dict[str, Any]] = {}
        for event in self.airflow:
            if event["job"]["name"] == f"{DAG_ID}.{task}" and event["eventType"] == kind:
                events.setdefault(event["run"]["runId"], event)
        return list(events.values())

    def parents_in_spark(self, task: str) -> list[dict[str, Any]]:
        """Return the parent facets of the Spark applications of a task, in the order of their starts."""
        events = [event["run"]["facets"]["parent"] for event in self.spark if event["eventType"] == "START"]
        # Those of a single query have the application as their parent.
        return [
            each for each in events if each["job"] == {"namespace": NAMESPACE, "name": f"{DAG_ID}.{task}"}
        ]

    def datasets_in_spark(self, task: str, kind: str) -> set[tuple[str, str]]:
        outputs = f"/output/{task}"
        return {
            (dataset["namespace"], dataset["name"])
            for event in self.spark
            if any(each["name"].startswith(outputs) for each in event["outputs"])
            for dataset in event[kind]
        }


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory, jar: Path) -> Iterator[Lineage]:
    home = tmp_path_factory.mktemp("lineage")
    spark_events, airflow_events = home / "spark.jsonl", home / "events" / "airflow"
    airflow_events.parent.mkdir()
    listener = {
        "spark.extraListeners": "io.openlineage.spark.agent.OpenLineageSparkListener",
        "spark.jars": f"oci://tests@local/{jar.name}",
        "spark.openlineage.transport.type": "file",
        "spark.openlineage.transport.location": str(spark_events),
    }
    transport = {"type": "file", "log_file_path": str(airflow_events)}
    bench = Workbench(
        home / "bench",
        dags=HERE / "lineage_dags",
        env={
            # More workers would only wait for Spark.
            "AIRFLOW__CORE__PARALLELISM": "2",
            "LINEAGE_LISTENER": json.dumps(listener),
            "AIRFLOW__OPENLINEAGE__NAMESPACE": NAMESPACE,
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            "AIRFLOW__OPENLINEAGE__SPARK_INJECT_PARENT_JOB_INFO": "True",
            # The author's own transport is kept.
            "AIRFLOW__OPENLINEAGE__SPARK_INJECT_TRANSPORT_INFO": "True",
            "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "60",
        },
        local_options=("--max-concurrent-runs", "2", "--no-warm", "--no-verify"),
    )
    postgres = Postgres()
    try:
        postgres.start()
        bench.airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = postgres.url
        bench.local.start()
        bucket = bench.local.bucket("tests")
        shutil.copy(HERE / "apps" / "transfer.py", bucket)
        shutil.copy(jar, bucket)
        (bucket / "input").mkdir()
        (bucket / "input" / "words.txt").write_text("one\ntwo\none\n")
        bench.airflow.env |= {
            "AIRFLOW_CONN_OCI_DEFAULT": bench.local.connection,
            "AIRFLOW_CONN_OCI_NO_ANSWER": json.dumps(
                json.loads(bench.local.connection) | {"login": SILENT_USER}
            ),
            "AIRFLOW_VAR_LINEAGE_APPLICATION": create_application(bench, listener),
        }
        fault = {
            "kind": "lost_response",
            "operation": "CreateRun",
            "user": SILENT_USER,
            "count": LOST_RESPONSES,
        }
        url = f"{bench.local.endpoint}/_local/faults"
        httpx.post(url, json=fault, trust_env=False).raise_for_status()
        bench.airflow.start()
        bench.airflow.rest.wait_for_dags([DAG_ID])
        bench.airflow.rest.trigger(DAG_ID, DAG_RUN)
        state = bench.airflow.rest.wait_for_run(DAG_ID, DAG_RUN, timeout=600)
        logs = sorted((bench.airflow.home / "logs" / f"dag_id={DAG_ID}").rglob("*.log"))
        log = "\n".join(file.read_text() for file in logs)
        assert state == "success", log[-20000:]
        yield Lineage(
            airflow=events_in(*airflow_events.parent.iterdir()),
            spark=events_in(spark_events),
            runs=bench.local.runs(),
            log=log,
        )
    finally:
        bench.airflow.stop()
        bench.local.stop()
        postgres.stop()


def create_application(bench: Workbench, configuration: dict[str, str]) -> str:
    from oci.data_flow.models import CreateApplicationDetails

    details = CreateApplicationDetails(
        compartment_id=bench.local.compartment_id,
        display_name="transfer",
        language="PYTHON",
        spark_version="3.5.0",
        file_uri="oci://tests@local/transfer.py",
        configuration=configuration,
        driver_shape="VM.Standard2.1",
        executor_shape="VM.Standard2.1",
        num_executors=1,
    )
    return str(bench.local.client.create_application(details).data.id)


def events_in(*files: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for file in files for line in file.read_text().splitlines() if line]
    return sorted(events, key=lambda event: str(event["eventTime"]))


TASKS = ["application", "command_line", *(["from_triggerer"] if STARTS_FROM_TRIGGER else [])]


@pytest.mark.parametrize("task", TASKS)
def test_task_is_the_parent_of_its_spark_application(lineage: Lineage, task: str) -> None:
    (start,) = lineage.of_task(task, "START")
    (parent,) = lineage.parents_in_spark(task)
    assert parent["run"]["runId"] == start["run"]["runId"]
    dag_run = start["run"]["facets"]["parent"]
    assert parent["root"]["run"]["runId"] == dag_run["run"]["runId"]
    assert parent["root"]["job"] == {"namespace": NAMESPACE, "name": DAG_ID}
    assert parent["root"]["job"].items() <= dag_run["job"].items()


def test_each_mapped_task_instance_is_the_parent_of_its_own(lineage: Lineage) -> None:
    started = {event["run"]["runId"] for event in lineage.of_task("mapped", "START")}
    assert {parent["run"]["runId"] for parent in lineage.parents_in_spark("mapped")} == started
    assert len(started) == 2


def test_each_try_is_the_parent_of_its_own_run(lineage: Lineage) -> None:
    started = [event["run"]["runId"] for event in lineage.of_task("retried", "START")]
    assert [parent["run"]["runId"] for parent in lineage.parents_in_spark("retried")] == started
    assert len(started) == 2


def test_retry_after_a_submit_without_answer_keeps_the_parent(lineage: Lineage) -> None:
    """A later try repeats the body of the first one, and gets the same run."""
    started = [event["run"]["runId"] for event in lineage.of_task("no_answer", "START")]
    (parent,) = lineage.parents_in_spark("no_answer")
    assert len(started) >= 2
    assert parent["run"]["runId"] == started[0]


@pytest.mark.parametrize("task", TASKS)
def test_task_and_spark_name_the_same_data_sets(lineage: Lineage, task: str) -> None:
    (complete,) = lineage.of_task(task, "COMPLETE")
    for kind in ("inputs", "outputs"):
        reported = {(dataset["namespace"], dataset["name"]) for dataset in complete[kind]}
        assert reported == lineage.datasets_in_spark(task, kind), kind
        assert len(reported) == 1


@pytest.mark.parametrize("task", TASKS)
def test_task_reports_its_run(lineage: Lineage, task: str) -> None:
    (complete,) = lineage.of_task(task, "COMPLETE")
    facet = complete["run"]["facets"][RUN_FACET]
    assert facet["lifecycleState"] == "SUCCEEDED"
    assert facet["runId"] in {run["id"] for run in lineage.runs}
    assert complete["run"]["facets"]["externalQuery"]["externalQueryId"] == facet["runId"]
    assert facet["usage"]["runSeconds"] > 0


def test_task_reports_its_failed_run(lineage: Lineage) -> None:
    (failed,) = lineage.of_task("retried", "FAIL")
    facets = failed["run"]["facets"]
    assert facets[RUN_FACET]["lifecycleState"] == "FAILED"
    assert facets[RUN_FACET]["runId"] in facets["errorMessage"]["message"]


def test_lineage_adds_no_warning_to_the_logs_of_tasks(lineage: Lineage) -> None:
    assert "OpenLineage" not in "\n".join(
        line for line in lineage.log.splitlines() if '"level":"warning"' in line or '"level":"error"' in line
    )
