"""The task that a matrix test observes and controls, with the runs that the service created for it."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from http.client import CONFLICT
from typing import Any, TypeVar

import psutil
from httpx import HTTPStatusError

from airflow_provider_dataflow.models.run import TERMINAL_STATES
from dev.airflow_rest import FINISHED_RUN, FINISHED_TASK, WaitTimeout, wait_until
from matrix import releases
from matrix.matrix_harness import TIMEOUT_SECONDS, MatrixHarness, user_of

T = TypeVar("T")


@dataclass
class TaskUnderTest:
    """One task instance and its runs.

    :param user: OCID of the user in the DAG's connection.
    :param finds_runs_by_name: its runs are those with the name of the DAG, since successors have no tags.
    :param faults: ids of the faults that :meth:`add_fault` has added.
    """

    harness: MatrixHarness
    dag_id: str
    user: str
    dag_run: str = "matrix"
    map_index: int = -1
    finds_runs_by_name: bool = False
    faults: list[str] = field(default_factory=list)

    task_id = "run"

    def variant(self, **changes: Any) -> TaskUnderTest:
        """Return the task instance of another DAG run (``dag_run``) or map index (``map_index``)."""
        return replace(self, **changes)

    def in_extra_dag(self, name: str) -> TaskUnderTest:
        """Return the task of a DAG that the marker lists in ``extra_dags``."""
        dag_id = f"{self.dag_id}_{name}"
        return replace(self, dag_id=dag_id, user=user_of(dag_id), faults=[])

    # State -------------------------------------------------------------------------------------------------

    def _row(self) -> dict[str, Any]:
        statement = (
            f"SELECT state, try_number, max_tries, pid, trigger_id FROM {releases.CURRENT_TRIES} AS tries "
            f"WHERE dag_id = %s AND run_id = %s AND task_id = %s AND {releases.MAP_INDEX_COLUMN} = %s"
        )
        rows = self.harness.query(statement, self.dag_id, self.dag_run, self.task_id, self.map_index)
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
        rows = self.harness.query(
            "SELECT state FROM dag_run WHERE dag_id = %s AND run_id = %s", self.dag_id, self.dag_run
        )
        return rows[0]["state"] if rows else None

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs whose tags name this task instance, oldest first."""

        def is_ours(run: dict[str, Any]) -> bool:
            if self.finds_runs_by_name:
                return bool(run["displayName"] == self.dag_id)
            tags = run["freeformTags"]
            return (
                tags.get("airflow_dag_id") == self.dag_id
                and tags.get("airflow_run_id") == self.dag_run
                and tags.get("airflow_map_index", "-1") == str(self.map_index)
            )

        return [run for run in self.harness.runs() if is_ours(run)]

    def run_ids(self) -> list[str]:
        return [run["id"] for run in self.runs()]

    def requests(self, operation: str) -> list[dict[str, Any]]:
        """Return the journal entries of an operation that came through this DAG's connection."""
        return [
            entry
            for entry in self.harness.journal()
            if entry["user"] == self.user and entry["operation"] == operation
        ]

    def cancels(self) -> list[tuple[str, str]]:
        """Return id and canceller (``worker`` or ``triggerer``) of each cancelled run, oldest run first."""
        return [
            (run["id"], re.findall(r"\((\w+)\)$", run["cancelledBy"]["userAgent"])[0])
            for run in self.runs()
            if run["cancelledBy"]
        ]

    def log(self, try_number: int | None = None) -> str:
        """Return the log of a try (default: the newest) as plain lines, exceptions included."""
        number = try_number or self.try_number
        path = f"dags/{self.dag_id}/dagRuns/{self.dag_run}/taskInstances/{self.task_id}/logs/{number}"
        parameters = {"full_content": True, "map_index": self.map_index}
        response = self.harness.call_api(lambda rest: rest.request("GET", path, params=parameters))
        lines = []
        for entry in response["content"]:
            lines.append(f"{entry.get('timestamp') or ''} {entry.get('event', '')}".strip())
            for error in entry.get("error_detail") or []:
                lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
                lines.extend(str(note) for note in error.get("exc_notes") or [])
        return "\n".join(lines)

    def callbacks(self) -> list[str]:
        """Return the task's callbacks that have run, in order: ``retry``, ``success`` and so on."""
        return [entry["event"] for entry in self._callback_entries()]

    def callback_exceptions(self) -> list[str]:
        """Return the class names of the exceptions that the callbacks received."""
        return [entry["exception"] for entry in self._callback_entries() if "exception" in entry]

    def _callback_entries(self) -> list[dict[str, Any]]:
        if not self.harness.callbacks.exists():
            return []
        entries = [json.loads(line) for line in self.harness.callbacks.read_text().splitlines()]
        return [each for each in entries if (each["dag_id"], each["dag_run"]) == (self.dag_id, self.dag_run)]

    def trigger_has_started(self) -> bool:
        """Return whether the log of a triggerer says that it runs the task's current trigger."""
        row = self._row()
        folder = self.harness.bench.airflow.home / "logs" / f"dag_id={self.dag_id}" / f"run_id={self.dag_run}"
        folder = folder / f"task_id={self.task_id}"
        if self.map_index >= 0:
            folder = folder / f"map_index={self.map_index}"
        logs = folder.glob(f"attempt={row['try_number']}.log.trigger.*.log")
        return any(f"(ID {row['trigger_id']}) starting" in log.read_text() for log in logs)

    def running_triggerers(self) -> int:
        """Return how many triggerers Airflow's database lists as running."""
        rows = self.harness.query(
            "SELECT count(*) AS n FROM job WHERE job_type = 'TriggererJob' AND state = 'running'"
        )
        return int(rows[0]["n"])

    # Waiting -----------------------------------------------------------------------------------------------

    def wait_until(self, probe: Callable[[], T | None], what: str, *, min_seconds: float = 0) -> T:
        """Wait until the probe returns something true, and return that.

        :param min_seconds: how long it takes even on an idle machine; added to the timeout.
        """
        try:
            timeout = min_seconds + TIMEOUT_SECONDS
            return wait_until(probe, f"{self.dag_id}: {what}", timeout=timeout, interval=0.4)
        except WaitTimeout as error:
            error.add_note(self.describe())
            raise

    def wait_for_state(self, *states: str, try_number: int | None = None) -> None:
        """Wait until the task is in one of the states; fail if it ends in another one."""
        what = f"to be {' or '.join(states)}" + (f" in try {try_number}" if try_number else "")

        def probe() -> bool:
            row = self._row()
            if row.get("state") in states and try_number in (None, row["try_number"]):
                return True
            assert row.get("state") not in FINISHED_TASK or try_number not in (None, row["try_number"]), (
                f"{self.dag_id} is {row['state']}, expected it {what}\n{self.log()}"
            )
            return False

        self.wait_until(probe, what)

    def wait_for_run(self, *states: str, number: int = 1) -> str:
        """Wait until the task's n-th run exists, if given in one of ``states``, and return its id."""

        def probe() -> str | None:
            runs = self.runs()
            if len(runs) >= number and (not states or runs[number - 1]["lifecycleState"] in states):
                return str(runs[number - 1]["id"])
            return None

        return self.wait_until(probe, f"run {number} to be {' or '.join(states) or 'created'}")

    def wait_until_waiting(self, mode: str, number: int = 1) -> str:
        """Wait until the task waits for its run; return the run's id.

        :param mode: ``running`` if it waits in a worker, or ``deferred``.
        """
        run_id = self.wait_for_run("IN_PROGRESS", number=number)
        self.wait_for_state(mode)
        if mode == "running":
            self.wait_until(
                lambda: run_id in [entry["resource_id"] for entry in self.requests("GetRun")],
                "its run to be polled",
            )
        else:
            # Airflow calls nothing on the kill of a trigger that has not started.
            self.wait_until(lambda: self.trigger_has_started(), "its trigger to start")
        return run_id

    def wait_until_following(self, number: int) -> str:
        """Wait until the task waits for its n-th run, a successor of its first one; return the run's id."""
        run_id = self.wait_for_run("IN_PROGRESS", number=number)
        self.wait_until(
            lambda: run_id in [entry["resource_id"] for entry in self.requests("GetRun")],
            f"run {number} to be polled",
        )
        return run_id

    def wait_for_retry(self, log_line: str) -> None:
        """Wait until the log of the second try contains a line."""
        self.wait_until(
            lambda: self.try_number == 2 and log_line in self.log(2), f"the second try to log {log_line!r}"
        )

    def wait_for_next_poll(self) -> None:
        """Wait until the service gets another GetRun for this task."""
        before = len(self.requests("GetRun"))
        self.wait_until(lambda: len(self.requests("GetRun")) > before, "the next poll of its run")

    def wait_for_unwanted_effects(self) -> None:
        """Wait long enough for something that must not happen to happen."""
        time.sleep(8)

    def wait_for_end(
        self, state: str, *, runs: Iterable[str], cancelled_by: Iterable[tuple[int, str]] = ()
    ) -> None:
        """Wait until the DAG run and all runs of the task have ended, then compare.

        :param state: expected state of the task.
        :param runs: expected final states of its runs, oldest first.
        :param cancelled_by: expected cancels: number of the run, from 1, and the component that cancelled it.
        """
        self.wait_until(lambda: self.dag_run_state in FINISHED_RUN, "the DAG run to end")
        self.wait_until(
            lambda: all(run["lifecycleState"] in TERMINAL_STATES for run in self.runs()),
            "all of its runs to end",
        )
        time.sleep(1)
        found = self.runs()
        assert self.state == state, f"{self.dag_id} is {self.state}\n{self.describe()}"
        assert [run["lifecycleState"] for run in found] == list(runs), self.describe()
        ids = [run["id"] for run in found]
        assert [(ids.index(run) + 1, by) for run, by in self.cancels()] == list(cancelled_by), self.describe()

    def check_submitted_once(self) -> None:
        """Check that one run was submitted, by one CreateRun unless the release cannot record it."""
        submits = self.requests("CreateRun")
        assert len(submits) == 1 if releases.SUBMITS_ARE_RECORDED else submits, self.describe()
        assert len({entry["retry_token"] for entry in submits}) == 1, self.describe()

    def describe(self) -> str:
        """Return the states, requests and logs of the task, for the message of a failed test."""
        lines = [
            f"{self.dag_id} {self.dag_run} {self.map_index}: {self._row()}, callbacks {self.callbacks()}"
        ]
        lines += [
            f"  {run['id'][-8:]} {run['displayName']}: "
            + ", ".join(f"{state['time'][11:23]} {state['state']}" for state in run["states"])
            for run in self.runs()
        ]
        for entry in self.harness.journal():
            if entry["user"] == self.user:
                moment = time.strftime("%H:%M:%S", time.gmtime(entry["time"]))
                fault = (entry["notes"].get("fault") or {}).get("kind", "")
                component = re.findall(r"\((\w+)\)$", entry["user_agent"] or "")
                lines.append(
                    f"  {moment} {entry['operation']} {(entry['resource_id'] or '')[-8:]} {entry['status']} "
                    f"{fault} {component}"
                )
        if row := self._row():
            for number in range(1, row["try_number"] + 1):
                lines += [f"--- log of try {number}", self.log(number)]
        return "\n".join(lines)

    # Actions in Airflow ------------------------------------------------------------------------------------

    def trigger(self, **fields: Any) -> None:
        """Start the DAG run."""
        self.harness.call_api(lambda rest: rest.trigger(self.dag_id, self.dag_run, **fields))

    def start(self, **fields: Any) -> None:
        """Start the DAG run and wait until a worker has started the task."""
        with self.harness.starting:
            self.trigger(**fields)
            self.wait_until(
                lambda: self.state not in (None, "scheduled", "queued"), "a worker to start its task"
            )

    def mark(self, state: str) -> None:
        """Mark the task as failed, success or skipped, as a user does in the UI."""
        path = f"dags/{self.dag_id}/dagRuns/{self.dag_run}/taskInstances/{self.task_id}"
        if self.map_index >= 0:
            path += f"/{self.map_index}"
        self.harness.call_api(lambda rest: rest.request("PATCH", path, json={"new_state": state}))

    def mark_dag_run(self, state: str) -> None:
        self.harness.call_api(lambda rest: rest.set_run_state(self.dag_id, self.dag_run, state))

    def clear(self) -> None:
        if self.state in FINISHED_TASK:
            # A race in Airflow: the end of the DAG run would overwrite a clear that comes just before it.
            self.wait_until(lambda: self.dag_run_state in FINISHED_RUN, "the DAG run to end before the clear")
        ids: list[Any] = [self.task_id] if self.map_index < 0 else [[self.task_id, self.map_index]]
        body = {
            "dry_run": False,
            "dag_run_id": self.dag_run,
            "task_ids": ids,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        path = f"dags/{self.dag_id}/clearTaskInstances"
        self.harness.call_api(lambda rest: rest.request("POST", path, json=body))

    def clear_dag_run(self) -> None:
        self.harness.call_api(lambda rest: rest.clear_run(self.dag_id, self.dag_run))

    def read_state_store(self, key: str) -> Any:
        """Return a value from Airflow's task state store."""
        path = self._state_store_path(key)
        return self.harness.call_api(lambda rest: rest.request("GET", path))["value"]

    def write_state_store(self, key: str, value: Any) -> None:
        path = self._state_store_path(key)
        self.harness.call_api(lambda rest: rest.request("PUT", path, json={"value": value}))

    def _state_store_path(self, key: str) -> str:
        return f"dags/{self.dag_id}/dagRuns/{self.dag_run}/taskInstances/{self.task_id}/state-store/{key}"

    def kill_worker(self, number: int = signal.SIGKILL, *, machine: bool = False) -> None:
        """Send a signal to the process of the task.

        :param machine: also to its supervisor, as when the machine is lost and no end is reported.
        """
        process = psutil.Process(self._row()["pid"])
        targets = [process.parent(), process] if machine else [process]
        for target in targets:
            assert target is not None
            assert target.pid not in (os.getpid(), self.harness.bench.airflow.processes["scheduler"].pid)
            target.send_signal(number)

    def backfill(self, first: str, last: str, **fields: Any) -> int:
        """Start a backfill of the days from ``first`` to ``last``, both included; return its id."""
        body = {
            "dag_id": self.dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "max_active_runs": 2,
            "reprocess_behavior": "none",
            "run_backwards": False,
            "dag_run_conf": {},
        }
        backfill = self.harness.call_api(lambda rest: rest.request("POST", "backfills", json=body | fields))
        return int(backfill["id"])

    def in_all_dag_runs(self) -> list[TaskUnderTest]:
        """Return the same task in every DAG run, by logical date."""
        rows = self.harness.query(
            "SELECT run_id FROM dag_run WHERE dag_id = %s ORDER BY logical_date", self.dag_id
        )
        return [replace(self, dag_run=row["run_id"]) for row in rows]

    def backfills_have_ended(self) -> bool:
        rows = self.harness.query("SELECT completed_at FROM backfill WHERE dag_id = %s", self.dag_id)
        return all(row["completed_at"] for row in rows)

    # Actions on the service --------------------------------------------------------------------------------

    def submit_unowned_run(self, **fields: Any) -> str:
        """Submit a run that belongs to no task, with this DAG's id as its name; return its id."""
        local = self.harness.bench.local
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
            **fields,
        }
        return str(local.client.create_run(details).data.id)

    def end_run(self, run_id: str, *, unless_ended: bool = False, **outcome: Any) -> None:
        """End a run, by default with success.

        :param unless_ended: the run may end by itself before.
        """
        try:
            self.harness.call_local("POST", f"runs/{run_id}/end", outcome)
        except HTTPStatusError as error:
            if not unless_ended or error.response.status_code != CONFLICT:
                raise

    def maintain_run(self, run_id: str, *, successor_after: float = 3) -> None:
        """Let the service stop a STREAMING run for maintenance and start its successor, without tags."""
        self.harness.call_local("POST", f"runs/{run_id}/maintain", {"successorAfter": successor_after})

    def xcom(self, key: str) -> Any:
        return self.harness.call_api(lambda rest: rest.xcom(self.dag_id, self.dag_run, self.task_id, key))

    def add_fault(self, kind: str, **parameters: Any) -> str:
        """Inject a fault into requests that come through this DAG's connection; return its id."""
        fault = {"kind": kind, "user": self.user, **parameters}
        fault_id = str(self.harness.call_local("POST", "faults", fault)["id"])
        self.faults.append(fault_id)
        return fault_id

    def remove_faults(self) -> None:
        """Remove the faults that this test has added."""
        while self.faults:
            self.harness.call_local("DELETE", f"faults?id={self.faults.pop()}")
