"""Access to the Airflow and the Local Data Flow that all tests of the matrix share.

State of Airflow is read from its database, because many tests poll at the same time and the API server has
other work. Actions of a user go through the REST API.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
import pytest
from psycopg2.extras import RealDictCursor

from dev.airflow_rest import AirflowRest, wait_until
from dev.workbench import Workbench

if TYPE_CHECKING:
    from matrix.task_under_test import TaskUnderTest

T = TypeVar("T")

#: Limit of a single wait, generous because the machine is busy with all the other tests.
TIMEOUT_SECONDS = 420.0
#: Added to the minute that outages last. 1140 makes them 20 minutes, too long for every day.
EXTRA_OUTAGE_SECONDS = float(os.environ.get("DATAFLOW_TEST_LONGER", "0"))

#: Tasks that wait for a worker at the same time. More would only slow each other down.
MAX_STARTING_TASKS = 6


@dataclass(frozen=True)
class ScheduledTest:
    """:param result: of the test function, if it runs in a thread."""

    task: TaskUnderTest
    result: Future[None] | None


#: The tests of the session by node id.
SCHEDULED_TESTS = pytest.StashKey[dict[str, ScheduledTest]]()


def user_of(dag_id: str) -> str:
    """Return the user OCID that the connection of a DAG has."""
    return f"ocid1.user.oc1..{dag_id}"


class MatrixHarness:
    """One Airflow, one Local Data Flow and the journal of its requests, shared by threads."""

    def __init__(self, bench: Workbench, database: Any, callbacks: Path) -> None:
        self.bench = bench
        self.database = database
        self.callbacks = callbacks
        self.rest = AirflowRest(bench.airflow.url)
        self.endpoint = bench.local.endpoint
        self._journal: list[dict[str, Any]] = []
        self._journal_lock = threading.Lock()
        self.starting = threading.Semaphore(MAX_STARTING_TASKS)
        self._api_lock = threading.Lock()
        self._database_lock = threading.Lock()
        self._runs_lock = threading.Lock()
        self._runs_read_at = 0.0
        self._runs: list[dict[str, Any]] = []
        self._http = httpx.Client(base_url=self.endpoint, trust_env=False, timeout=30)
        self._closed = threading.Event()
        self._journal_reader = threading.Thread(target=self._keep_reading_journal, daemon=True)
        self._journal_reader.start()

    def close(self) -> None:
        self._closed.set()
        self._journal_reader.join(timeout=10)
        self.rest.close()
        self._http.close()

    # Local Data Flow ---------------------------------------------------------------------------------------

    def call_local(self, method: str, path: str, body: Any = None) -> Any:
        """Call a route below ``/_local/``, with which tests control Local Data Flow."""
        response = self._http.request(method, f"/_local/{path}", json=body)
        response.raise_for_status()
        return response.json() if response.content else None

    def runs(self) -> list[dict[str, Any]]:
        """Return all runs, oldest first, read at most half a second ago."""
        with self._runs_lock:
            if time.monotonic() - self._runs_read_at > 0.5:
                self._runs = self.call_local("GET", "runs")[::-1]
                self._runs_read_at = time.monotonic()
            return self._runs

    def journal(self) -> list[dict[str, Any]]:
        """Return the entries of all requests that were answered before this call."""
        with self._journal_lock:
            last_number = self._journal[-1]["number"] if self._journal else 0
            self._journal += self.call_local("GET", f"journal?after={last_number}")["entries"]
            return list(self._journal)

    def _keep_reading_journal(self) -> None:
        """Read on before Local Data Flow drops the oldest entries."""
        while not self._closed.wait(1):
            with contextlib.suppress(httpx.HTTPError):
                self.journal()

    # Airflow -----------------------------------------------------------------------------------------------

    def query(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Execute an SQL statement in Airflow's database and return its rows."""
        with self._database_lock, self.database.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(statement, values)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    def wait_for_dags(self, dag_ids: Iterable[str]) -> None:
        """Wait until all of the DAGs have been parsed."""

        def parsed() -> bool:
            if errors := self.rest.import_errors():
                raise RuntimeError("\n".join(errors))
            return set(dag_ids) <= {row["dag_id"] for row in self.query("SELECT dag_id FROM serialized_dag")}

        wait_until(parsed, "the DAGs to be parsed", timeout=TIMEOUT_SECONDS)

    def call_api(self, request: Callable[[AirflowRest], T]) -> T:
        """Send one request to Airflow's API at a time."""
        with self._api_lock:
            return request(self.rest)
