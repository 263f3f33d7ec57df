"""Settings of :class:`~.acquire.RunAcquirer`: the author's, and the pauses of its retries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Any, Self

from airflow_provider_dataflow.arguments.timeouts import tightest
from airflow_provider_dataflow.models.run import TERMINAL_STATES
from airflow_provider_dataflow.polling import (
    DEFAULT_CANCEL_TIMEOUT_SECONDS,
    DEFAULT_ERROR_BUDGET,
    DEFAULT_SUBMIT_TIMEOUT_SECONDS,
    DEFAULT_SUCCESSOR_TIMEOUT_SECONDS,
)


def outlives_task(wait_for_completion: bool, target_states: Collection[str], cancel_on_kill: bool) -> bool:
    """Return whether a run is meant to continue after its task has ended."""
    return not (wait_for_completion and TERMINAL_STATES.issuperset(target_states) and cancel_on_kill)


@dataclass(frozen=True, kw_only=True)
class AcquireSettings:
    """Arguments of the operator that concern the submit. Plain JSON, since a trigger's row may hold them.

    :param error_budget: seconds for which service errors are retried.
    :param submit_timeout: seconds from the start of the task for which the submit may wait.
    :param cancel_timeout: seconds for which a cancel is repeated until the service confirms it.
    :param cancel_on_kill: whether to cancel the run from before a clear.
    :param airflow_tags: whether to add freeform tags with the task's identity to the run.
    :param outlives_task: whether the run continues after its task has ended.
    :param private_endpoint_guard: whether to wait for conflicting runs with private endpoints, or
        the compartments to search for them.
    :param if_already_running: ``fail`` or ``adopt``, if a streaming application has a live run of another.
    :param successor_timeout: seconds from the end of a STREAMING run in which its successor may appear.
    :param on_cause: settings of the run that follows a failure, by cause; see ``retries.on_cause``.
    """

    error_budget: float = DEFAULT_ERROR_BUDGET
    submit_timeout: float = DEFAULT_SUBMIT_TIMEOUT_SECONDS
    cancel_timeout: float = DEFAULT_CANCEL_TIMEOUT_SECONDS
    cancel_on_kill: bool = True
    airflow_tags: bool = True
    outlives_task: bool = False
    private_endpoint_guard: bool | Sequence[str] = False
    if_already_running: str = "fail"
    successor_timeout: float = DEFAULT_SUCCESSOR_TIMEOUT_SECONDS
    on_cause: Mapping[str, Sequence[Mapping[str, Any]]] | None = None

    def limited(self, *limits: float | timedelta | None) -> Self:
        """Return the settings with a ``submit_timeout`` that is no longer than these limits of the task."""
        shortest = tightest(self.submit_timeout, *limits)
        return replace(self, submit_timeout=self.submit_timeout if shortest is None else shortest)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Read a trigger's row. Fields that a newer version of this package has written are ignored."""
        return cls(**{item.name: row[item.name] for item in fields(cls) if item.name in row})


@dataclass(frozen=True, kw_only=True)
class AcquirePauses:
    """Pauses and limits of retries, in seconds unless named otherwise.

    :param capacity_min: lower bound of the pause of a capacity wait or an outage.
    :param capacity_max: upper bound of it.
    :param refusal_retries: number of retries of a refusal that may come from IAM's delayed consistency.
    :param refusal: pause before each of them.
    :param read: pause between reads of an earlier try's run, after errors.
    :param list_lag: how long a run that exists may be missing from ListRuns.
    :param list: pause between two searches for such a run.
    """

    capacity_min: float = 30.0
    capacity_max: float = 600.0
    refusal_retries: int = 2
    refusal: float = 2.0
    read: float = 10.0
    list_lag: float = 45.0
    list: float = 3.0
