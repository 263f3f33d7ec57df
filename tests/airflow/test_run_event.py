"""A watcher in a real triggerer: runs that somebody else has started schedule the example's DAG."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import httpx
import pytest
from harness import Session

from airflow_provider_dataflow.models.run import TERMINAL_STATES
from dev.airflow_rest import FINISHED_RUN, wait_until
from dev.local_service import EXAMPLES

pytestmark = pytest.mark.serial

DAG_ID = "watched_ingest"
EXAMPLE = EXAMPLES / "example_run_event.py"
POLL_INTERVAL = 2
#: Seconds. What a trigger has fired longer ago than that is never told again.
SETTLED = 8


class Ingest:
    """An application that the example's DAG is scheduled on, and somebody who runs it without Airflow."""

    def __init__(self, session: Session) -> None:
        from oci.data_flow.models import CreateApplicationDetails

        self.session = session
        self.client = session.local.client
        shape = {"ocpus": 1, "memoryInGBs": 16}
        self.application_id = self.client.create_application(
            CreateApplicationDetails(
                compartment_id=session.local.compartment_id,
                display_name="ingest",
                language="PYTHON",
                spark_version="3.5.0",
                file_uri="oci://tests@local/outcome.py",
                driver_shape="VM.Standard.E4.Flex",
                driver_shape_config=shape,
                executor_shape="VM.Standard.E4.Flex",
                executor_shape_config=shape,
                num_executors=1,
            )
        ).data.id

    def watch(self) -> None:
        """Put the example's DAG into Airflow, and wait until its watcher looks."""
        code = EXAMPLE.read_text(encoding="utf-8")
        for old, new in {
            '"ocid1.dataflowapplication.oc1.iad.ingest"': (
                f'"{self.application_id}", poll_interval={POLL_INTERVAL}'
            ),
            '"example_run_event"': f'"{DAG_ID}"',
            '"nightly_ingest"': '"watched_ingest"',
        }.items():
            assert old in code
            code = code.replace(old, new)
        (self.session.bench.airflow.dags / "watched_ingest.py").write_text(code, encoding="utf-8")
        self.session.rest.wait_for_dags({DAG_ID}, timeout=120)
        self.wait_for_looks(since=0)

    def wait_for_looks(self, since: float) -> None:
        """Until the triggerer has asked for the application's runs twice."""

        def looked() -> bool:
            looks = [
                entry
                for entry in self.session.local.journal()
                if entry["operation"] == "ListRuns"
                and self.application_id in entry["target"]
                and entry["time"] >= since
            ]
            return len(looks) > 1

        wait_until(looked, "the watcher to look twice", timeout=180, interval=1)

    def run(self, *arguments: str) -> str:
        from oci.data_flow.models import CreateRunDetails

        details = CreateRunDetails(
            compartment_id=self.session.local.compartment_id,
            application_id=self.application_id,
            arguments=list(arguments),
        )
        return str(self.client.create_run(details).data.id)

    def end(self, run_id: str) -> str:
        return self.session.wait_for_state(run_id, *TERMINAL_STATES, timeout=180)

    def events(self) -> list[dict[str, Any]]:
        def ask() -> list[list[dict[str, Any]]] | None:
            try:
                answer = self.session.rest.request("GET", "assets/events", params={"limit": 100})
            except httpx.HTTPStatusError as error:
                # Airflow 3.3.2 does so while a DAG run that an event has brought about is queued.
                if error.response.status_code != 500:
                    raise
                return None
            return [answer["asset_events"]]

        (found,) = wait_until(ask, "asset events", timeout=120, interval=1)
        return [
            event
            for event in found
            if event["extra"].get("payload", {}).get("application_id") == self.application_id
        ]

    def told(self) -> Counter[str]:
        """How often each run was told of."""
        return Counter(event["extra"]["payload"]["run_id"] for event in self.events())

    def wait_for_events(self, *run_ids: str) -> None:
        wait_until(
            lambda: set(run_ids) <= self.told().keys(), f"events of {run_ids}", timeout=120, interval=1
        )
        time.sleep(SETTLED)

    def dag_runs(self) -> list[dict[str, Any]]:
        """Of the DAG, all ended."""

        def ended() -> list[dict[str, Any]] | None:
            runs = self.session.rest.dag_runs(DAG_ID)
            return runs if runs and all(run["state"] in FINISHED_RUN for run in runs) else None

        return wait_until(ended, f"the runs of {DAG_ID} to end", timeout=120, interval=1)

    def report(self, dag_run_id: str) -> str:
        return self.session.rest.log_text(DAG_ID, dag_run_id, "report")


@pytest.fixture(scope="module")
def ingest(session: Session) -> Ingest:
    ingest = Ingest(session)
    ingest.watch()
    return ingest


def test_a_run_that_somebody_else_has_started_schedules_the_dag_once(ingest: Ingest) -> None:
    failed = ingest.run("--fail", "no such luck")
    run_id = ingest.run("--sleep", "1")
    assert [ingest.end(id) for id in (failed, run_id)] == ["FAILED", "SUCCEEDED"]

    ingest.wait_for_events(run_id)

    assert ingest.told() == {run_id: 1}
    (dag_run,) = ingest.dag_runs()
    assert dag_run["state"] == "success"
    assert dag_run["run_type"] == "asset_triggered"
    assert f"({run_id}) is SUCCEEDED" in ingest.report(dag_run["dag_run_id"])


def test_nothing_is_lost_or_doubled_over_the_death_of_the_triggerer(session: Session, ingest: Ingest) -> None:
    before = ingest.told()
    under_way = ingest.run("--sleep", "10")
    session.wait_for_state(under_way, "IN_PROGRESS", timeout=180)
    time.sleep(2 * POLL_INTERVAL)

    airflow = session.bench.airflow
    airflow.kill_component("triggerer")
    while_dead = ingest.run("--sleep", "1")
    assert [ingest.end(id) for id in (under_way, while_dead)] == ["SUCCEEDED"] * 2
    assert ingest.told() == before
    restarted = time.time()
    airflow.start_component("triggerer")
    ingest.wait_for_looks(since=restarted)
    afterwards = ingest.run("--sleep", "1")
    ingest.end(afterwards)
    ingest.wait_for_events(under_way, while_dead, afterwards)

    assert ingest.told() == before + Counter([under_way, while_dead, afterwards])
    # Two that are told of in the same moment may share a run of the DAG.
    dag_runs = ingest.dag_runs()
    assert {run["state"] for run in dag_runs} == {"success"}
    reported = "\n".join(ingest.report(run["dag_run_id"]) for run in dag_runs)
    for run_id in (*before, under_way, while_dead, afterwards):
        assert reported.count(f"({run_id}) is SUCCEEDED") == 1
