"""One task of a real Airflow, the runs that a service made for it, and what somebody does to either."""

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

from benchmarks.faults.service import Run, Service
from dev.airflow_rest import FINISHED_RUN, FINISHED_TASK, WaitTimeout, wait_until
from dev.airflow_stack import AirflowStack

TASK_ID = "run"

#: Seconds that anything may take on a machine that is busy with other things.
PATIENCE = 180.0
#: For so long a task must have waited, and so often have looked at its run, before the run ends. Airflow can
#: fail a task whose event comes within seconds of its deferral, whosever it is.
UNDISTURBED = 15.0
LOOKS = 2
#: How often a play is begun.
ATTEMPTS = 3
#: Seconds after the end of a task in which a cancel may still come.
SETTLED = 15.0


class Airflow:
    """The Airflow of all plays. What it knows is read from its database, which costs least.

    :param database: a connection of psycopg2, with autocommit.
    """

    def __init__(self, stack: AirflowStack, database: Any) -> None:
        self.stack = stack
        self.rest = stack.rest
        self._database = database
        self._querying = threading.Lock()
        self.writing = threading.Lock()

    def task(self, dag_id: str, dag_run: str) -> tuple[str | None, int, int | None]:
        """State, number of the try, and process of a task."""
        row = self._row("state, try_number, pid", "task_instance", dag_id, dag_run)
        return row or (None, 0, None)

    def dag_run_state(self, dag_id: str, dag_run: str) -> str:
        (state,) = self._row("state", "dag_run", dag_id, dag_run)
        return str(state)

    def _row(self, columns: str, table: str, dag_id: str, dag_run: str) -> Any:
        with self._querying, self._database.cursor() as cursor:
            statement = f"SELECT {columns} FROM {table} WHERE dag_id = %s AND run_id = %s"
            cursor.execute(statement, (dag_id, dag_run))
            return cursor.fetchone()


@dataclass(frozen=True)
class Result:
    """What has become of a task and of its runs."""

    runs: int
    cancelled: int
    left: int
    outcome: str

    @property
    def is_over(self) -> bool:
        return self.outcome in FINISHED_TASK

    def __str__(self) -> str:
        parts = [
            self.outcome if self.is_over else f"still {self.outcome}",
            f"{self.runs} run{'s' * (self.runs != 1)}",
        ]
        if self.cancelled:
            parts.append(f"{self.cancelled} cancelled")
        if self.left:
            parts.append(f"{self.left} {'left ' * self.is_over}active")
        return ", ".join(parts)


@dataclass
class Play:
    """A task of a DAG of its own, and its user at the service.

    :param attempt: of the benchmark at this play; each is a DAG run
    """

    airflow: Airflow
    service: Service
    dag_id: str
    user: str
    attempt: int = 0
    _faults: list[str] = field(default_factory=list)
    _runs_before: int = 0
    _seen: tuple[str | None, int] = (None, 0)
    _since: tuple[float, int] = (0.0, 0)

    @property
    def dag_run(self) -> str:
        return f"faults_{self.attempt}"

    # Looking -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> str | None:
        return self.airflow.task(self.dag_id, self.dag_run)[0]

    @property
    def try_number(self) -> int:
        return self.airflow.task(self.dag_id, self.dag_run)[1]

    def is_over(self) -> bool:
        return self.state in FINISHED_TASK

    def runs(self) -> list[Run]:
        return self.service.runs(self.user)[self._runs_before :]

    def failed_reads(self) -> int:
        return sum(status != 200 for status in self.service.reads(self.user))

    def waits(self) -> bool:
        """Whether the task has waited for its run undisturbed."""
        state, number, _ = self.airflow.task(self.dag_id, self.dag_run)
        good = self.service.reads(self.user).count(200)
        if (state, number) != self._seen:
            self._seen, self._since = (state, number), (time.monotonic(), good)
        begin, read = self._since
        long_enough = time.monotonic() - begin >= UNDISTURBED
        return state in ("deferred", "running") and long_enough and good - read >= LOOKS

    def until(self, probe: Callable[[], Any], what: str, interval: float = 0.5) -> None:
        """Wait for something, or for the end of the task."""
        wait_until(
            lambda: probe() or self.is_over(),
            f"{self.dag_id}: {what}",
            timeout=PATIENCE,
            interval=interval,
        )

    # Acting ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        with self.airflow.writing:
            self.airflow.rest.trigger(self.dag_id, self.dag_run)
        self.until(lambda: self.state not in (None, "scheduled", "queued"), "a worker")

    def start_and_wait(self) -> None:
        """Start the task, and go on when it waits for its run."""
        self.start()
        self.until(self.waits, "it waits for its run")

    def fault(self, kind: str, **how: Any) -> str:
        self._faults.append(self.service.fault(self.user, kind, **how))
        return self._faults[-1]

    def heal(self, fault_id: str) -> None:
        self._faults.remove(fault_id)
        self.service.heal(fault_id)

    def kill_worker(self) -> None:
        """``kill -9`` the process of the task. The one that watches over it lives."""
        _, _, pid = self.airflow.task(self.dag_id, self.dag_run)
        if pid is None or pid == os.getpid():
            raise RuntimeError(f"{self.dag_id} has no worker")
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(pid).send_signal(signal.SIGKILL)
        self.until(lambda: self.state != "running" or self.try_number > 1, "its worker is missed")

    def mark_failed(self) -> None:
        with self.airflow.writing:
            self.airflow.rest.set_task_state(self.dag_id, self.dag_run, TASK_ID, "failed")

    def clear(self) -> None:
        """As a person does in the UI; go on when the next try is there."""
        before = self.try_number
        if self.is_over():
            # If its DAG run ends in the same moment, Airflow can forget a task that was cleared.
            ended = f"{self.dag_id}: its DAG run ends"
            wait_until(
                lambda: self.airflow.dag_run_state(self.dag_id, self.dag_run) in FINISHED_RUN,
                ended,
                timeout=PATIENCE,
            )
        with self.airflow.writing:
            self.airflow.rest.clear_task(self.dag_id, self.dag_run, TASK_ID)
        wait_until(lambda: self.try_number > before, f"{self.dag_id}: another try", timeout=PATIENCE)

    def conclude(self) -> None:
        """Let the newest run succeed as soon as the task waits for one, until the task has ended."""
        # What it has read before a fault does not show that it has survived it.
        self._seen = (None, 0)

        def ends() -> bool:
            if self.waits() and (newest := self.runs()[-1]).is_active:
                self.service.end(newest.id)
            return self.is_over()

        self.until(ends, "it ends")

    # What came of it ---------------------------------------------------------------------------------------

    def measure(self, act: Callable[[Play], None]) -> Result:
        """Play it, and count; again, if the machine was too busy to play it.

        :raises WaitTimeout: it could not be played
        """
        for self.attempt in range(1, ATTEMPTS + 1):
            self._runs_before = len(self.service.runs(self.user))
            try:
                act(self)
                if self.is_over():
                    time.sleep(SETTLED)
                # A task that has asked for nothing has lost its worker to something else than our faults.
                if runs := self.runs():
                    return self._result(runs)
            except WaitTimeout:
                if self.attempt == ATTEMPTS:
                    raise
            self._give_up()
        raise WaitTimeout(f"{self.dag_id} has asked for no run")

    def _give_up(self) -> None:
        """Leave nothing that could disturb the next attempt."""
        while self._faults:
            self.heal(self._faults[-1])
        with self.airflow.writing:
            self.airflow.rest.set_run_state(self.dag_id, self.dag_run, "failed")
        time.sleep(SETTLED)

    def _result(self, runs: list[Run]) -> Result:
        return Result(
            runs=len(runs),
            cancelled=sum(run.is_cancelled for run in runs),
            left=sum(run.is_active for run in runs),
            outcome=str(self.state),
        )
