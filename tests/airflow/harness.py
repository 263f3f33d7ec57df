"""Helpers of the tests in a real Airflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from airflow_provider_dataflow.compat import NEVER_EXPIRE, triggers_have_on_kill
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from dev.airflow_rest import AirflowRest, wait_until
from dev.local_service import LocalService
from dev.postgres import Postgres
from dev.workbench import Workbench

#: Whether this Airflow supports ``start_from_trigger`` (3.3 and newer). If not, the DAG files leave out the
#: tasks that use it, and the tests expect that the argument is refused.
STARTS_FROM_TRIGGER = triggers_have_on_kill()
#: Whether Airflow stores the states of tasks and assets (3.3 and newer).
STORES_STATES = NEVER_EXPIRE is not None

LIFECYCLE = (
    "killed_while_deferred",
    "killed_while_running",
    "talkative",
    *(["from_triggerer"] if STARTS_FROM_TRIGGER else []),
    "deferrable_success",
    "waiting_success",
    "deferrable_failure",
    "missing_main_file",
)
QUIET = ("quiet", "refused")
RETRIES = (
    *("out_of_memory", "missing_module"),
    *(["missing_module_from_triggerer"] if STARTS_FROM_TRIGGER else []),
)
EXAMPLES = (
    *("example_local_code", "example_run_sensor", "example_session", "example_sql_endpoint"),
    "example_task_decorator",
)


@dataclass
class Session:
    """The running Airflow, its database and Local Data Flow, and the run ids of the started DAG runs."""

    bench: Workbench
    stop_file: Path
    postgres: Postgres
    dag_run: str = "tested"
    runs: dict[str, str] = field(default_factory=dict)

    def query(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query to Airflow's database."""
        connection = self.postgres.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
                return rows
        finally:
            connection.close()

    @property
    def rest(self) -> AirflowRest:
        return self.bench.airflow.rest

    @property
    def local(self) -> LocalService:
        return self.bench.local

    def run_id(self, dag_id: str, task_id: str = "run") -> str:
        """Return the OCID of the task's run as soon as it is in XCom."""
        if dag_id not in self.runs:
            self.runs[dag_id] = wait_until(
                lambda: self.rest.xcom(dag_id, self.dag_run, task_id, "run_id"),
                f"a run of {dag_id}",
                timeout=120,
            )
        return self.runs[dag_id]

    def wait_for_state(self, run_id: str, *states: str, timeout: float = 60) -> str:
        """Wait until the service says that the run is in one of ``states``."""

        def probe() -> str | None:
            state = self.local.run(run_id).lifecycle_state
            return state if state in states else None

        return wait_until(probe, f"{run_id} to be {' or '.join(states)}", timeout=timeout)

    def requests(self, method: str, run_id: str) -> list[dict[str, Any]]:
        """Return the requests with this method for the run that the service has received."""
        return [
            entry
            for entry in self.local.journal()
            if entry["method"] == method and entry["resource_id"] == run_id
        ]


def expect_refusal_of_start_from_trigger() -> None:
    """Check that the argument is refused when the DAG is parsed."""
    with pytest.raises(InvalidArgument, match="needs Airflow 3"):
        InvokeRunOperator(task_id="run", execute="oci://b@ns/app.py", start_from_trigger=True)


def start_dag_runs(session: Session) -> None:
    """Start the DAG runs of all tests."""
    session.rest.wait_for_dags({*LIFECYCLE, *QUIET, *RETRIES, *EXAMPLES, "example_backfill"})
    # First, while nothing else writes: Airflow does not wait for SQLite's lock here.
    session.rest.backfill(
        "example_backfill", "2013-03-01T00:00:00Z", "2013-05-01T00:00:00Z", max_active_runs=3
    )
    for dag_id in (*LIFECYCLE, *QUIET, *RETRIES, *EXAMPLES):
        session.rest.trigger(dag_id, session.dag_run)


def processes_of(run_id: str) -> list[str]:
    """Return the living processes whose environment or command line names the run."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.environ().values(), *process.cmdline()]
            if any(run_id in word for word in words) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid} {process.cmdline()}")
        except (psutil.Error, OSError):
            continue
    return found
