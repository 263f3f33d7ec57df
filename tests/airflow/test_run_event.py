"""Watcher in a real triggerer: runs started outside Airflow schedule the example's DAG."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import httpx
import pytest
from harness import STORES_STATES, Session

from airflow_provider_dataflow.models.run import TERMINAL_STATES
from dev.airflow_rest import FINISHED_RUN, wait_until
from dev.local_service import EXAMPLES

pytestmark = pytest.mark.serial

DAG_ID = "watched_ingest"
EXAMPLE = EXAMPLES / "example_run_event.py"
POLL_INTERVAL = 2
#: Events that a trigger sent longer ago than this are never repeated.
SETTLED_SECONDS = 8


class Ingest:
    """Application that schedules the example's DAG, and a client that runs it without Airflow."""

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
        """Add the example's DAG to Airflow and wait until its watcher polls."""
        code = EXAMPLE.read_text(encoding="utf-8")
        for old, new in {
            "application_id=APPLICATION": (
                f'application_id="{self.application_id}", poll_interval={POLL_INTERVAL}'
            ),
            '"example_run_event"': f'"{DAG_ID}"',
            '"nightly_ingest"': '"watched_ingest"',
        }.items():
            assert old in code
            code = code.replace(old, new)
        (self.session.bench.airflow.dags / "watched_ingest.py").write_text(code, encoding="utf-8")
        self.session.rest.wait_for_dags({DAG_ID}, timeout=120)
        self.wait_for_polls(since=0)

    def wait_for_polls(self, since: float) -> None:
        """Wait until the triggerer has listed the application's runs twice."""

        def has_polled() -> bool:
            polls = [
                entry
                for entry in self.session.local.journal()
                if entry["operation"] == "ListRuns"
                and self.application_id in entry["target"]
                and entry["time"] >= since
            ]
            return len(polls) > 1

        wait_until(has_polled, "the watcher to poll twice", timeout=180, interval=1)

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
        def read() -> list[list[dict[str, Any]]] | None:
            try:
                response = self.session.rest.request("GET", "assets/events", params={"limit": 100})
            except httpx.HTTPStatusError as error:
                # Airflow 3.3.2 responds so while a DAG run of an event is queued.
                if error.response.status_code != 500:
                    raise
                return None
            return [response["asset_events"]]

        (found,) = wait_until(read, "asset events", timeout=120, interval=1)
        return [
            event
            for event in found
            if event["extra"].get("payload", {}).get("application_id") == self.application_id
        ]

    def event_counts(self) -> Counter[str]:
        """Return the number of events of each run."""
        return Counter(event["extra"]["payload"]["run_id"] for event in self.events())

    def wait_for_events(self, *run_ids: str) -> None:
        wait_until(
            lambda: set(run_ids) <= self.event_counts().keys(),
            f"events of {run_ids}",
            timeout=120,
            interval=1,
        )
        time.sleep(SETTLED_SECONDS)

    def dag_runs(self) -> list[dict[str, Any]]:
        """Return the DAG runs when all have ended."""

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


def test_run_started_outside_airflow_schedules_dag_once(ingest: Ingest) -> None:
    failed = ingest.run("--fail", "no such luck")
    run_id = ingest.run("--sleep", "1")
    assert [ingest.end(id) for id in (failed, run_id)] == ["FAILED", "SUCCEEDED"]

    ingest.wait_for_events(run_id)

    assert ingest.event_counts() == {run_id: 1}
    (dag_run,) = ingest.dag_runs()
    assert dag_run["state"] == "success"
    assert dag_run["run_type"] == "asset_triggered"
    assert f"({run_id}) is SUCCEEDED" in ingest.report(dag_run["dag_run_id"])


def test_killed_triggerer_loses_and_repeats_no_event(session: Session, ingest: Ingest) -> None:
    before = ingest.event_counts()
    under_way = ingest.run("--sleep", "10")
    session.wait_for_state(under_way, "IN_PROGRESS", timeout=180)
    time.sleep(2 * POLL_INTERVAL)

    airflow = session.bench.airflow
    airflow.kill_component("triggerer")
    while_dead = ingest.run("--sleep", "1")
    assert [ingest.end(id) for id in (under_way, while_dead)] == ["SUCCEEDED"] * 2
    assert ingest.event_counts() == before
    restarted = time.time()
    airflow.start_component("triggerer")
    ingest.wait_for_polls(since=restarted)
    afterwards = ingest.run("--sleep", "1")
    ingest.end(afterwards)
    # Without a store, the new triggerer does not know that these two ended while none was running.
    expected = [under_way, while_dead, afterwards] if STORES_STATES else [afterwards]
    ingest.wait_for_events(*expected)

    assert ingest.event_counts() == before + Counter(expected)
    # Events at the same moment may share a DAG run.
    dag_runs = ingest.dag_runs()
    assert {run["state"] for run in dag_runs} == {"success"}
    reported = "\n".join(ingest.report(run["dag_run_id"]) for run in dag_runs)
    for run_id in (*before, *expected):
        assert reported.count(f"({run_id}) is SUCCEEDED") == 1
