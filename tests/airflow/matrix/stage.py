"""What the tests of the matrix act on: tasks of a real Airflow, their runs, and what the service was asked.

What Airflow knows is read from its database: many tests look at the same time, and the API server has other
work. What a person does goes through the REST API.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import pytest
from psycopg2.extras import RealDictCursor

from airflow_provider_dataflow.models.run import TERMINAL_STATES
from dev.airflow_rest import FINISHED_RUN, FINISHED_TASK, AirflowRest, WaitTimeout, wait_until
from dev.workbench import Workbench

T = TypeVar("T")

#: Per test its task, and its result if it runs in a thread.
PLAYS = pytest.StashKey[dict[str, Any]]()

#: Seconds that anything may take on a machine that is busy with other things.
PATIENCE = 420.0
#: Seconds for which outages last longer than a minute: with 1140, twenty, which is too long for every day.
LONGER = float(os.environ.get("DATAFLOW_TEST_LONGER", "0"))

#: So many tasks may be about to start: more would only slow each other down.
STARTING = 6


def user_of(dag_id: str) -> str:
    """Who asks the service for the tasks of a DAG."""
    return f"ocid1.user.oc1..{dag_id}"


class Stage:
    """One Airflow and one Local Data Flow, and all that has happened in them."""

    def __init__(self, bench: Workbench, database: Any, callbacks: Path) -> None:
        self.bench = bench
        self.database = database
        self.callbacks = callbacks
        self.rest = AirflowRest(bench.airflow.url)
        self.endpoint = bench.local.endpoint
        self.journal: list[dict[str, Any]] = []
        self.starting = threading.Semaphore(STARTING)
        self._writing = threading.Lock()
        self._querying = threading.Lock()
        self._looking = threading.Lock()
        self._runs: tuple[float, list[dict[str, Any]]] = (0.0, [])
        self._http = httpx.Client(base_url=self.endpoint, trust_env=False, timeout=30)
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read_journal, daemon=True)
        self._reader.start()

    def close(self) -> None:
        self._closed.set()
        self._reader.join(timeout=10)
        self.rest.close()
        self._http.close()

    # The service -------------------------------------------------------------------------------------------

    def local(self, method: str, path: str, body: Any = None) -> Any:
        """Ask one of the service's own routes."""
        answer = self._http.request(method, f"/_local/{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first."""
        with self._looking:
            seen, runs = self._runs
            if time.monotonic() - seen > 0.5:
                runs = self.local("GET", "runs")[::-1]
                self._runs = (time.monotonic(), runs)
            return runs

    def _read_journal(self) -> None:
        after = 0
        while not self._closed.wait(0.3):
            try:
                entries = self.local("GET", f"journal?after={after}")["entries"]
            except httpx.HTTPError:
                continue
            if entries:
                self.journal.extend(entries)
                after = entries[-1]["number"]

    # Airflow -----------------------------------------------------------------------------------------------

    def query(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with self._querying, self.database.cursor(cursor_factory=RealDictCursor) as cursor:
            cursor.execute(statement, values)
            return [dict(row) for row in cursor.fetchall()] if cursor.description else []

    def wait_for_dags(self, dag_ids: Iterable[str]) -> None:
        """Wait until all of these have been parsed."""

        def parsed() -> bool:
            if errors := self.rest.import_errors():
                raise RuntimeError("\n".join(errors))
            return set(dag_ids) <= {row["dag_id"] for row in self.query("SELECT dag_id FROM serialized_dag")}

        wait_until(parsed, "the DAGs to be parsed", timeout=PATIENCE)

    def ask(self, request: Callable[[AirflowRest], T]) -> T:
        """One request to Airflow's API at a time."""
        with self._writing:
            return request(self.rest)


@dataclass
class Task:
    """One task instance, and the runs of the service that were made for it."""

    stage: Stage
    dag_id: str
    user: str
    dag_run: str = "matrix"
    map_index: int = -1
    faults: list[str] = field(default_factory=list)

    task_id = "run"

    def of(self, **which: Any) -> Task:
        """Another DAG run, or another index."""
        return replace(self, **which)

    def beside(self, name: str) -> Task:
        """The task of another DAG that the test has asked for."""
        dag_id = f"{self.dag_id}_{name}"
        return replace(self, dag_id=dag_id, user=user_of(dag_id), faults=[])

    # Looking -----------------------------------------------------------------------------------------------

    def _row(self) -> dict[str, Any]:
        rows = self.stage.query(
            "SELECT state, try_number, max_tries, pid, trigger_id FROM task_instance "
            "WHERE dag_id = %s AND run_id = %s AND task_id = %s AND map_index = %s",
            self.dag_id,
            self.dag_run,
            self.task_id,
            self.map_index,
        )
        return rows[0] if rows else {}

    @property
    def state(self) -> str | None:
        return self._row().get("state")

    @property
    def try_number(self) -> int:
        return int(self._row()["try_number"])

    @property
    def trigger_id(self) -> int | None:
        return self._row()["trigger_id"]

    @property
    def dag_run_state(self) -> str | None:
        rows = self.stage.query(
            "SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s", self.dag_id, self.dag_run
        )
        return rows[0]["state"] if rows else None

    def runs(self) -> list[dict[str, Any]]:
        """The runs that the service has made for this task instance, oldest first."""

        def is_ours(run: dict[str, Any]) -> bool:
            tags = run["freeformTags"]
            return (
                tags.get("airflow_dag_id") == self.dag_id
                and tags.get("airflow_run_id") == self.dag_run
                and tags.get("airflow_map_index", "-1") == str(self.map_index)
            )

        return [run for run in self.stage.runs() if is_ours(run)]

    def run_ids(self) -> list[str]:
        return [run["id"] for run in self.runs()]

    def requests(self, operation: str) -> list[dict[str, Any]]:
        """What the service was asked with the connection of this DAG."""
        return [
            entry
            for entry in list(self.stage.journal)
            if entry["user"] == self.user and entry["operation"] == operation
        ]

    def cancels(self) -> list[tuple[str, str]]:
        """Which runs were cancelled by a request, and by which part of Airflow, oldest run first."""
        return [
            (run["id"], re.findall(r"\((\w+)\)$", run["cancelledBy"]["userAgent"])[0])
            for run in self.runs()
            if run["cancelledBy"]
        ]

    def log(self, try_number: int | None = None) -> str:
        number = try_number or self.try_number
        path = f"dags/{self.dag_id}/dagRuns/{self.dag_run}/taskInstances/{self.task_id}/logs/{number}"
        parameters = {"full_content": True, "map_index": self.map_index}
        answer = self.stage.ask(lambda rest: rest.request("GET", path, params=parameters))
        lines = []
        for entry in answer["content"]:
            lines.append(f"{entry.get('timestamp') or ''} {entry.get('event', '')}".strip())
            for error in entry.get("error_detail") or []:
                lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
                lines.extend(str(note) for note in error.get("exc_notes") or [])
        return "\n".join(lines)

    def callbacks(self) -> list[str]:
        """Which callbacks of the task have run."""
        return [note["event"] for note in self._notes()]

    def exceptions(self) -> list[str]:
        """What they were given as the exception that ended the try."""
        return [note["exception"] for note in self._notes() if "exception" in note]

    def _notes(self) -> list[dict[str, Any]]:
        if not self.stage.callbacks.exists():
            return []
        notes = [json.loads(line) for line in self.stage.callbacks.read_text().splitlines()]
        return [n for n in notes if (n["dag_id"], n["dag_run"]) == (self.dag_id, self.dag_run)]

    # Waiting -----------------------------------------------------------------------------------------------

    def until(self, probe: Callable[[], T | None], what: str, *, at_least: float = 0) -> T:
        """:param at_least: seconds that it takes anyhow."""
        try:
            return wait_until(probe, f"{self.dag_id}: {what}", timeout=at_least + PATIENCE, interval=0.4)
        except WaitTimeout as error:
            error.add_note(self.describe())
            raise

    def wait(self, *states: str, try_number: int | None = None) -> None:
        """Wait until the task is in one of the states; another end is an error."""
        what = f"to be {' or '.join(states)}" + (f" in try {try_number}" if try_number else "")

        def probe() -> bool:
            row = self._row()
            if row.get("state") in states and try_number in (None, row["try_number"]):
                return True
            assert row.get("state") not in FINISHED_TASK or try_number not in (None, row["try_number"]), (
                f"{self.dag_id} is {row['state']}, and was waited for {what}\n{self.log()}"
            )
            return False

        self.until(probe, what)

    def wait_for_run(self, *states: str, number: int = 1) -> str:
        """Wait until there are so many runs, and the last of them is in one of the states; return its id."""

        def probe() -> str | None:
            runs = self.runs()
            if len(runs) >= number and (not states or runs[number - 1]["lifecycleState"] in states):
                return str(runs[number - 1]["id"])
            return None

        return self.until(probe, f"run {number} to be {' or '.join(states) or 'there'}")

    def waits(self, where: str, number: int = 1) -> str:
        """Wait until the task waits for its run, in a worker (running) or deferred; return the run's id."""
        run_id = self.wait_for_run("IN_PROGRESS", number=number)
        self.wait(where)
        if where == "running":
            self.until(
                lambda: run_id in [entry["resource_id"] for entry in self.requests("GetRun")],
                "its run to be looked at",
            )
        else:
            # Airflow tells nobody of the kill of a trigger that has not started.
            self.until(lambda: self.trigger_has_started(), "its trigger to start")
        return run_id

    def trigger_has_started(self) -> bool:
        """Whether a triggerer runs the trigger that the task waits for, as its log says."""
        row = self._row()
        folder = self.stage.bench.airflow.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.dag_run}"
        folder = folder / f"task_id={self.task_id}"
        if self.map_index >= 0:
            folder = folder / f"map_index={self.map_index}"
        logs = folder.glob(f"attempt={row['try_number']}.log.trigger.*.log")
        return any(f"(ID {row['trigger_id']}) starting" in log.read_text() for log in logs)

    def triggerers(self) -> int:
        """How many triggerers live."""
        rows = self.stage.query(
            "SELECT count(*) AS n FROM job WHERE job_type = 'TriggererJob' AND state = 'running'"
        )
        return int(rows[0]["n"])

    def settles(self) -> None:
        """Leave the time in which something would happen, if it did."""
        time.sleep(8)

    def ends(
        self,
        state: str,
        *,
        runs: Iterable[str],
        cancelled_by: Iterable[tuple[int, str]] = (),
    ) -> None:
        """Wait for the end of all that belongs to this task, and compare.

        :param state: of the task.
        :param runs: the states that all of its runs have ended in, oldest first.
        :param cancelled_by: the number of each cancelled run, from 1, and which part of Airflow cancelled it.
        """
        self.until(lambda: self.dag_run_state in FINISHED_RUN, "the DAG run to end")
        self.until(
            lambda: all(run["lifecycleState"] in TERMINAL_STATES for run in self.runs()),
            "no run to be active",
        )
        time.sleep(1)
        found = self.runs()
        assert self.state == state, f"{self.dag_id} is {self.state}\n{self.describe()}"
        assert [run["lifecycleState"] for run in found] == list(runs), self.describe()
        ids = [run["id"] for run in found]
        assert [(ids.index(run) + 1, by) for run, by in self.cancels()] == list(cancelled_by), self.describe()

    def describe(self) -> str:
        """All that is known, for who has to find out why a test failed."""
        lines = [
            f"{self.dag_id} {self.dag_run} {self.map_index}: {self._row()}, callbacks {self.callbacks()}"
        ]
        lines += [
            f"  {run['id'][-8:]} {run['displayName']}: "
            + ", ".join(f"{state['time'][11:23]} {state['state']}" for state in run["states"])
            for run in self.runs()
        ]
        for entry in list(self.stage.journal):
            if entry["user"] == self.user:
                moment = time.strftime("%H:%M:%S", time.gmtime(entry["time"]))
                fault = (entry["notes"].get("fault") or {}).get("kind", "")
                by = re.findall(r"\((\w+)\)$", entry["user_agent"] or "")
                lines.append(
                    f"  {moment} {entry['operation']} {(entry['resource_id'] or '')[-8:]} {entry['status']} "
                    f"{fault} {by}"
                )
        if row := self._row():
            for number in range(1, row["try_number"] + 1):
                lines += [f"--- log of try {number}", self.log(number)]
        return "\n".join(lines)

    # Acting ------------------------------------------------------------------------------------------------

    def trigger(self, **fields: Any) -> None:
        """Start the DAG run."""
        self.stage.ask(lambda rest: rest.trigger(self.dag_id, self.dag_run, **fields))

    def start(self, **fields: Any) -> None:
        """Start the DAG run, and wait until the task has been in a worker."""
        with self.stage.starting:
            self.trigger(**fields)
            self.until(lambda: self.state not in (None, "scheduled", "queued"), "its task to get a worker")

    def mark(self, state: str) -> None:
        """Mark the task, as a person does in the UI."""
        path = f"dags/{self.dag_id}/dagRuns/{self.dag_run}/taskInstances/{self.task_id}"
        if self.map_index >= 0:
            path += f"/{self.map_index}"
        self.stage.ask(lambda rest: rest.request("PATCH", path, json={"new_state": state}))

    def mark_dag_run(self, state: str) -> None:
        self.stage.ask(lambda rest: rest.set_run_state(self.dag_id, self.dag_run, state))

    def clear(self) -> None:
        if self.state in FINISHED_TASK:
            # Airflow's own race: the end of the DAG run would be written over a clear that comes just before.
            self.until(lambda: self.dag_run_state in FINISHED_RUN, "the DAG run to end before the clear")
        ids: list[Any] = [self.task_id] if self.map_index < 0 else [[self.task_id, self.map_index]]
        body = {
            "dry_run": False,
            "dag_run_id": self.dag_run,
            "task_ids": ids,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        path = f"dags/{self.dag_id}/clearTaskInstances"
        self.stage.ask(lambda rest: rest.request("POST", path, json=body))

    def clear_dag_run(self) -> None:
        self.stage.ask(lambda rest: rest.clear_run(self.dag_id, self.dag_run))

    def stored(self, key: str) -> Any:
        """What the task has in Airflow's task state store."""
        return self.stage.ask(lambda rest: rest.request("GET", self._store_path(key)))["value"]

    def store(self, key: str, value: Any) -> None:
        self.stage.ask(lambda rest: rest.request("PUT", self._store_path(key), json={"value": value}))

    def _store_path(self, key: str) -> str:
        return f"dags/{self.dag_id}/dagRuns/{self.dag_run}/taskInstances/{self.task_id}/state-store/{key}"

    def kill_worker(self, number: int = signal.SIGKILL, *, machine: bool = False) -> None:
        """``kill -9`` the process of the task; with ``machine``, also the one that watches over it."""
        process = psutil.Process(self._row()["pid"])
        victims = [process.parent(), process] if machine else [process]
        for victim in victims:
            assert victim is not None
            assert victim.pid not in (os.getpid(), self.stage.bench.airflow.processes["scheduler"].pid)
            victim.send_signal(number)

    def backfill(self, first: str, last: str, **fields: Any) -> int:
        """Start a backfill over days, both included; return its id."""
        body = {
            "dag_id": self.dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "max_active_runs": 2,
            "reprocess_behavior": "none",
            "run_backwards": False,
            "dag_run_conf": {},
        }
        return int(self.stage.ask(lambda rest: rest.request("POST", "backfills", json=body | fields))["id"])

    def dag_runs(self) -> list[Task]:
        """The same task in all DAG runs, by date."""
        rows = self.stage.query(
            "SELECT run_id FROM dag_run WHERE dag_id = %s ORDER BY logical_date", self.dag_id
        )
        return [replace(self, dag_run=row["run_id"]) for row in rows]

    def backfills_are_over(self) -> bool:
        rows = self.stage.query("SELECT completed_at FROM backfill WHERE dag_id = %s", self.dag_id)
        return all(row["completed_at"] for row in rows)

    def submit_beside(self) -> str:
        """Submit a run that is no task's, with this DAG's name; return its id."""
        local = self.stage.bench.local
        details = {
            "compartmentId": local.compartment_id,
            "displayName": self.dag_id,
            "execute": "oci://matrix@local/app.py",
            "driverShape": "VM.Standard.E4.Flex",
            "driverShapeConfig": {"ocpus": 1, "memoryInGBs": 16},
            "executorShape": "VM.Standard.E4.Flex",
            "executorShapeConfig": {"ocpus": 1, "memoryInGBs": 16},
            "numExecutors": 1,
            "sparkVersion": "3.5.0",
        }
        return str(local.client.create_run(details).data.id)

    def end_run(self, run_id: str, **course: Any) -> None:
        """Let a run end, by default with success."""
        self.stage.local("POST", f"runs/{run_id}/end", course)

    def fault(self, kind: str, **how: Any) -> str:
        """Let the service misbehave, towards this DAG's connection only."""
        fault_id = str(self.stage.local("POST", "faults", {"kind": kind, "user": self.user, **how})["id"])
        self.faults.append(fault_id)
        return fault_id

    def heal(self) -> None:
        """Remove the faults."""
        while self.faults:
            self.stage.local("DELETE", f"faults?id={self.faults.pop()}")
