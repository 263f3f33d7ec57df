"""Getting a run for a task: when it may be asked for, and what is waited for until then."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from logging import Logger
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_dataflow.client.cancel import DEFAULT_CANCEL_TIMEOUT
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument, ServiceError
from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.operators.timeouts import DEFERRAL_MARGIN
from airflow_provider_dataflow.ownership.acquire import RunOwnership
from airflow_provider_dataflow.ownership.capacity import DEFAULT_SUBMIT_TIMEOUT, seconds_until_next_submit
from airflow_provider_dataflow.ownership.private_endpoint_guard import PrivateEndpointGuard
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run import Run


class NotYet(Exception):
    """The run is to be asked for later. Never leaves the operator.

    :param reason: why, for the log.
    :param seconds: how long to wait; with ``run_id``, at most.
    :param run_id: OCID of a run whose end is waited for, if it is one that stands in the way.
    """

    def __init__(self, reason: str, seconds: float, run_id: str | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.run_id = run_id


def request_for(
    hook: DataFlowHook, arguments: Mapping[str, Any], json: Any, *, timeout: float | None
) -> RunRequest:
    """What is asked for: arguments, the connection's compartment, and a duration if the task has a timeout.

    :param timeout: seconds from the start of the task to the end of the run.
    :raises InvalidArgument: it would be refused.
    """
    given = dict(arguments)
    if not given.get("compartment_id") and "compartmentId" not in (json or {}):
        given["compartment_id"] = hook.compartment_id
    request = RunRequest.build(given, json)
    request.check()
    if request.max_duration_in_minutes is None and timeout is not None:
        request = replace(request, max_duration_in_minutes=math.ceil((timeout + DEFERRAL_MARGIN) / 60))
    return request


@dataclass(frozen=True, kw_only=True)
class SubmitSettings:
    """How a task submits, as its author has it. Plain JSON, since a trigger's row may have to hold it.

    :param error_budget: seconds for which errors of the service are borne.
    :param submit_timeout: seconds from the start of the task for which the submit may wait.
    :param cancel_timeout: seconds for which a cancel is repeated until the service confirms it.
    :param airflow_tags: whether runs get tags that say whose they are.
    :param outlives_task: whether the run is meant to go on when its task has ended.
    :param private_endpoint_guard: whether to keep runs with private endpoints apart, or where.
    """

    error_budget: float = DEFAULT_ERROR_BUDGET
    submit_timeout: float = DEFAULT_SUBMIT_TIMEOUT
    cancel_timeout: float = DEFAULT_CANCEL_TIMEOUT
    airflow_tags: bool = True
    outlives_task: bool = False
    private_endpoint_guard: bool | Sequence[str] = False

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """As a trigger's row has them; what a newer version of this class has written is ignored."""
        return cls(**{item.name: row[item.name] for item in fields(cls) if item.name in row})

    def submit(
        self,
        request: RunRequest,
        *,
        hook: DataFlowHook,
        context: Context,
        log: Logger | Any,
        cancel: Callable[[str], object],
        check: Callable[[], None],
        started: float,
    ) -> Submit:
        """What gets the run of one try.

        :param context: of the task.
        :param cancel: cancels a run from before the task was cleared; does not raise.
        :param check: raises when the task was killed.
        :param started: of the task, in seconds since the epoch.
        :raises InvalidArgument: a placeholder has no value.
        """
        from airflow_provider_dataflow.client.cancel import cancel as cancel_run

        _check_placeholders(request, hook)
        for warning in request.warnings():
            log.warning("%s", warning)
        ownership = RunOwnership(
            hook=hook,
            context=context,
            log=log,
            request=request,
            cancel=cancel,
            check=check,
            tagged=self.airflow_tags,
            outlives_task=self.outlives_task,
            error_budget=self.error_budget,
        )
        return Submit(
            ownership=ownership,
            guard=self._guard(request, hook),
            cancel=lambda run_id: cancel_run(hook.client, run_id, timeout=self.cancel_timeout),
            started=started,
            submit_timeout=self.submit_timeout,
            error_budget=self.error_budget,
        )

    def _guard(self, request: RunRequest, hook: DataFlowHook) -> PrivateEndpointGuard | None:
        if not self.private_endpoint_guard or request.application_id is None:
            return None
        if isinstance(self.private_endpoint_guard, bool):
            compartments = hook.visible_compartments()
        else:
            compartments = list(self.private_endpoint_guard)
        everywhere = dict.fromkeys([request.compartment_id or "", *compartments])
        return PrivateEndpointGuard(hook, request.application_id, list(everywhere))


def _check_placeholders(request: RunRequest, hook: DataFlowHook) -> None:
    """A ``${name}`` that this run has no parameter for may have one of its application's."""
    try:
        request.check_placeholders()
    except InvalidArgument:
        if request.application_id is None:
            raise
        application = hook.applications.get(request.application_id)
        request.check_placeholders(application.parameters or ())


@dataclass
class Submit:
    """One try's way to its run.

    :param ownership: finds the run, or asks for it.
    :param guard: keeps runs with private endpoints apart, if that is wanted.
    :param cancel: cancels a run by its OCID; raises if that fails.
    :param started: of the task, in seconds since the epoch.
    :param submit_timeout: seconds from there for which the submit may wait.
    :param error_budget: seconds from there for which errors of the service are borne.
    """

    ownership: RunOwnership
    guard: PrivateEndpointGuard | None
    cancel: Callable[[str], object]
    started: float
    submit_timeout: float
    error_budget: float

    def acquire(self) -> Run:
        """The task's run.

        :raises NotYet: it is to be tried again later.
        :raises SubmitRejected: the service refused; no run exists.
        :raises DataFlowError: nothing was submitted within ``submit_timeout``.
        """
        try:
            while True:
                run = self.ownership.acquire(before_submit=self._stand_back)
                if not self._is_to_be_taken_back(run):
                    return run
        except ServiceError as error:
            pause = seconds_until_next_submit(
                error,
                time.time() - self.started,
                submit_timeout=self.submit_timeout,
                error_budget=self.error_budget,
            )
            if pause is None:
                raise
            raise NotYet(str(error), pause) from error

    def _stand_back(self) -> None:
        """Wait while another run stands in the way."""
        if self.guard is None or (rival := self.guard.rival()) is None:
            return
        reason = (
            f"run {rival.id} of application {rival.application_id} has a private endpoint, too, and is "
            f"{rival.state}"
        )
        left = self.started + self.submit_timeout - time.time()
        if left <= 0:
            raise DataFlowError(
                f"Nothing was submitted within {self.submit_timeout:g} seconds (submit_timeout): {reason}"
            )
        raise NotYet(reason, left, rival.id)

    def _is_to_be_taken_back(self, run: Run) -> bool:
        """Two tasks may have looked at the same moment: then the later run makes way."""
        if self.guard is None or run.state != LifecycleState.ACCEPTED:
            return False
        rival = self.guard.rival(own=run)
        if rival is None:
            return False
        self.ownership.log.info("Run %s is taken back, as run %s was there before it", run.id, rival.id)
        self.cancel(run.id)
        self.ownership.withdraw()
        return True
