"""One try of a task instance, as far as the ownership of runs depends on it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_dataflow.compat import clear_number, dag_run_start
from airflow_provider_dataflow.models.task_identity import TaskIdentity

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context

#: A trigger uses the last 48 bits of the try's UUID as clear epoch: JSON keeps such a number exact.
EPOCH_BITS = 48


@dataclass(frozen=True, kw_only=True)
class TaskAttempt:
    """One try of a task instance.

    :param identity: the task instance.
    :param try_number: Airflow's number of the try, from 1.
    :param clear_epoch: equal for all tries between two clears, different after a clear.
    :param first_after_clear: whether the task was cleared since the last try, as far as that can be told from
        the numbers of the tries.
    :param is_last: whether Airflow retries the task no more if this try fails.
    :param start_time: of the try.
    :param dag_run_start: start of the DAG run; distinguishes it from a deleted DAG run of the same id.
    :param clear_number: how often tasks of the DAG run were cleared; ``None`` if Airflow does not tell.
    """

    identity: TaskIdentity
    try_number: int
    clear_epoch: int
    first_after_clear: bool = False
    is_last: bool = False
    start_time: datetime | None = None
    dag_run_start: str = ""
    clear_number: int | None = None

    @classmethod
    def in_worker(cls, context: Context) -> Self:
        """Read the try from a task's context.

        ``max_tries`` is the clear epoch: no retry changes it, and a clear does, unless the task runs in a
        worker; see ``SubmissionRecord.is_before_clear``.
        """
        ti: Any = context["ti"]
        # A clear adds the task's retries to the tries so far. If the author has lowered the retries
        # meanwhile, max_tries may be what it was before the clear.
        retries = getattr(getattr(ti, "task", None), "retries", None)
        cleared = isinstance(retries, int) and ti.max_tries == ti.try_number - 1 + retries
        return cls(
            identity=TaskIdentity.of(ti),
            try_number=ti.try_number,
            clear_epoch=ti.max_tries,
            first_after_clear=cleared and ti.try_number > 1,
            is_last=ti.try_number > ti.max_tries,
            start_time=getattr(ti, "start_date", None),
            dag_run_start=dag_run_start(context),
            clear_number=clear_number(context),
        )

    @classmethod
    def in_trigger(cls, ti: Any, started: float) -> Self:
        """Read the try from a trigger's task instance.

        Airflow does not tell a trigger ``max_tries``. Each try has its own UUID, so that each try is its own
        clear epoch: it submits another run and cancels the one of the try before.

        :param started: when the trigger started, in seconds since the epoch.
        """
        return cls(
            identity=TaskIdentity.of(ti),
            try_number=ti.try_number,
            clear_epoch=ti.id.int % 2**EPOCH_BITS,
            start_time=datetime.fromtimestamp(started, UTC),
        )

    @property
    def started(self) -> float:
        """Start of the try in seconds since the epoch; now, if Airflow does not tell it."""
        return self.start_time.timestamp() if self.start_time else time.time()
