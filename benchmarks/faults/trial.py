"""One trial of the benchmark: a fault case applied to one operator's task, and what became of its runs."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psutil

from benchmarks.faults.run_service import RunService, ServiceRun
from dev.airflow_rest import FINISHED_RUN, FINISHED_TASK, WaitTimeout, wait_until
from dev.airflow_stack import AirflowStack

TASK_ID = "run"

#: Limit of a single wait, generous because other trials keep the machine busy.
TIMEOUT_SECONDS = 180.0
#: Before its run is ended, a task must have waited for this time and polled this often. Airflow can fail a
#: task whose event comes within seconds of its deferral, whichever operator it is.
MIN_WAIT_SECONDS = 15.0
MIN_POLLS = 2
#: Attempts at a trial that the busy machine prevents.
MAX_ATTEMPTS = 3
#: Time after the end of a task in which a late cancel is still counted.
SETTLE_SECONDS = 15.0


class SharedAirflow:
    """The Airflow of all trials. Its state is read from its database, which costs least.

    :param database: a psycopg2 connection with autocommit.
    """

    def __init__(self, stack: AirflowStack, database: Any) -> None:
        self.stack = stack
        self.rest = stack.rest
        self._database = database
        self._database_lock = threading.Lock()
        self.api_lock = threading.Lock()

    def task(self, dag_id: str, dag_run: str) -> tuple[str | None, int, int | None]:
        """Return state, try number and process id of a task."""
        row = self._row("state, try_number, pid", "task_instance", dag_id, dag_run)
        return row or (None, 0, None)

    def dag_run_state(self, dag_id: str, dag_run: str) -> str:
        (state,) = self._row("state", "dag_run", dag_id, dag_run)
        return str(state)

    def _row(self, columns: str, table: str, dag_id: str, dag_run: str) -> Any:
        with self._database_lock, self._database.cursor() as cursor:
            statement = f"SELECT {columns} FROM {table} WHERE dag_id = %s AND run_id = %s"
            cursor.execute(statement, (dag_id, dag_run))
            return cursor.fetchone()


@dataclass(frozen=True)
class TrialResult:
    """Final state of a task, and counts of its runs.

    :param active: runs that are still active, and cost money, after the trial.
    """

    runs: int
    cancelled: int
    active: int
    task_state: str

    @property
    def task_has_ended(self) -> bool:
        return self.task_state in FINISHED_TASK

    def __str__(self) -> str:
        words = [
            self.task_state if self.task_has_ended else f"still {self.task_state}",
            f"{self.runs} run{'s' * (self.runs != 1)}",
        ]
        if self.cancelled:
            words.append(f"{self.cancelled} cancelled")
        if self.active:
            words.append(f"{self.active} {'left ' * self.task_has_ended}active")
        return ", ".join(words)


@dataclass
class Trial:
    """The task of a DAG of its own, and its user at the service.

    :param attempt: number of the current attempt, from 1. Each is a DAG run.
    :param settle_seconds: how long a late cancel is waited for after the end of a task.
    """

    airflow: SharedAirflow
    service: RunService
    dag_id: str
    user: str
    attempt: int = 0
    settle_seconds: float = SETTLE_SECONDS
    _faults: list[str] = field(default_factory=list)
    _earlier_runs: int = 0
    #: State and try number since :attr:`_waiting_since`, and the successful polls before that.
    _waiting_in: tuple[str | None, int] = (None, 0)
    _waiting_since: float = 0.0
    _polls_before: int = 0

    @property
    def dag_run(self) -> str:
        return f"faults_{self.attempt}"

    # State -------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str | None:
        return self.airflow.task(self.dag_id, self.dag_run)[0]

    @property
    def try_number(self) -> int:
        return self.airflow.task(self.dag_id, self.dag_run)[1]

    def has_ended(self) -> bool:
        return self.state in FINISHED_TASK

    def runs(self) -> list[ServiceRun]:
        """Return the runs of the current attempt, oldest first."""
        return self.service.runs(self.user)[self._earlier_runs :]

    def failed_reads(self) -> int:
        return sum(status != 200 for status in self.service.reads(self.user))

    def is_waiting(self) -> bool:
        """Return whether the task has waited for its run long enough without a change of state."""
        state, number, _ = self.airflow.task(self.dag_id, self.dag_run)
        polls = self.service.reads(self.user).count(200)
        if (state, number) != self._waiting_in:
            self._waiting_in, self._waiting_since = (state, number), time.monotonic()
            self._polls_before = polls
        long_enough = time.monotonic() - self._waiting_since >= MIN_WAIT_SECONDS
        return state in ("deferred", "running") and long_enough and polls - self._polls_before >= MIN_POLLS

    def wait_until(self, probe: Callable[[], Any], what: str, interval: float = 0.5) -> None:
        """Wait until the probe returns something true, or the task ends."""
        wait_until(
            lambda: probe() or self.has_ended(),
            f"{self.dag_id}: {what}",
            timeout=TIMEOUT_SECONDS,
            interval=interval,
        )

    # Actions -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        with self.airflow.api_lock:
            self.airflow.rest.trigger(self.dag_id, self.dag_run)
        self.wait_until(lambda: self.state not in (None, "scheduled", "queued"), "a worker")

    def start_and_wait(self) -> None:
        """Start the task, and return when it waits for its run."""
        self.start()
        self.wait_until(self.is_waiting, "it waits for its run")

    def add_fault(self, kind: str, **parameters: Any) -> str:
        self._faults.append(self.service.add_fault(self.user, kind, **parameters))
        return self._faults[-1]

    def remove_fault(self, fault_id: str) -> None:
        self._faults.remove(fault_id)
        self.service.remove_fault(fault_id)

    def kill_worker(self) -> None:
        """``kill -9`` the process of the task, but not its supervisor."""
        _, _, pid = self.airflow.task(self.dag_id, self.dag_run)
        if pid is None or pid == os.getpid():
            raise RuntimeError(f"{self.dag_id} has no worker")
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).send_signal(signal.SIGKILL)
        self.wait_until(lambda: self.state != "running" or self.try_number > 1, "Airflow notices the kill")

    def mark_failed(self) -> None:
        with self.airflow.api_lock:
            self.airflow.rest.set_task_state(self.dag_id, self.dag_run, TASK_ID, "failed")

    def clear(self) -> None:
        """Clear the task, as a user does in the UI, and return when the next try exists."""
        before = self.try_number
        if self.has_ended():
            # If its DAG run ends in the same moment, Airflow can forget a task that was cleared.
            ended = f"{self.dag_id}: its DAG run ends"
            wait_until(
                lambda: self.airflow.dag_run_state(self.dag_id, self.dag_run) in FINISHED_RUN,
                ended,
                timeout=TIMEOUT_SECONDS,
            )
        with self.airflow.api_lock:
            self.airflow.rest.clear_task(self.dag_id, self.dag_run, TASK_ID)
        wait_until(lambda: self.try_number > before, f"{self.dag_id}: another try", timeout=TIMEOUT_SECONDS)

    def end_runs_until_task_ends(self) -> None:
        """End the newest run successfully whenever the task waits for one, until the task has ended."""
        # Polls from before a fault do not show that the task has survived it.
        self._waiting_in = (None, 0)

        def end_run() -> bool:
            if self.is_waiting() and (newest := self.runs()[-1]).is_active:
                self.service.end(newest.id)
            return self.has_ended()

        self.wait_until(end_run, "it ends")

    # Measuring ---------------------------------------------------------------------------------------------

    def measure(self, scenario: Callable[[Trial], None]) -> TrialResult:
        """Run the scenario and count runs; repeat it if the machine was too busy for it.

        :raises WaitTimeout: all attempts have failed
        """
        for self.attempt in range(1, MAX_ATTEMPTS + 1):
            self._earlier_runs = len(self.service.runs(self.user))
            try:
                scenario(self)
                if self.has_ended():
                    time.sleep(self.settle_seconds)
                # A task that has submitted nothing has lost its worker to something else than our faults.
                if runs := self.runs():
                    return self._result(runs)
            except WaitTimeout:
                if self.attempt == MAX_ATTEMPTS:
                    raise
            self._abandon_attempt()
        raise WaitTimeout(f"{self.dag_id} has submitted no run in {MAX_ATTEMPTS} attempts")

    def _abandon_attempt(self) -> None:
        """Remove what could disturb the next attempt: faults and the DAG run."""
        while self._faults:
            self.remove_fault(self._faults[-1])
        with self.airflow.api_lock:
            self.airflow.rest.set_run_state(self.dag_id, self.dag_run, "failed")
        time.sleep(self.settle_seconds)

    def _result(self, runs: list[ServiceRun]) -> TrialResult:
        return TrialResult(
            runs=len(runs),
            cancelled=sum(run.is_cancelled for run in runs),
            active=sum(run.is_active for run in runs),
            task_state=str(self.state),
        )
