"""Base of the operators that change the state of a pool or a SQL endpoint and wait for it."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, TypeVar

from airflow_provider_dataflow.arguments.masking import secrets_among, without_secrets
from airflow_provider_dataflow.exceptions import ServiceError, StoppableResourceError
from airflow_provider_dataflow.models.pool import Pool
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpoint
from airflow_provider_dataflow.operators.base import WaitingOperator, check_given
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.polling import limited
from airflow_provider_dataflow.triggers.events import Outcome, PoolEvent, SqlEndpointEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.stoppable_resources import StoppableResourceClient
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration

#: A cold pool or a new SQL endpoint takes up to ten minutes and more to start.
DEFAULT_TIMEOUT_SECONDS = 30 * 60

ACTIVE, DELETED = "ACTIVE", "DELETED"

R = TypeVar("R", Pool, SqlEndpoint)


class NextWait(NamedTuple):
    """Wait that an operator needs next.

    :param states: that end the wait.
    :param is_last: whether the operator has sent its last request, so that only this wait is left.
    """

    states: Collection[str]
    is_last: bool


class StoppableResourceOperator(WaitingOperator, Generic[R]):
    """Base: sends requests and waits until a resource is in the wanted state.

    The next request depends on the resource's state alone. So a task continues after a deferral, and a retry
    after a failure, without any record of what was sent before.
    """

    #: Name of the argument with the resource's OCID, in the operator, its trigger and its errors.
    id_argument: ClassVar[str]
    #: Name of the resource in log lines.
    label: ClassVar[str]
    resource_class: type[R]
    event_class: ClassVar[type[PoolEvent | SqlEndpointEvent]]
    #: States that a request to start the resource leads out of, such as that after a stop.
    idle_states: ClassVar[frozenset[str]]
    #: States that lead to ACTIVE without another request.
    starting_states: ClassVar[frozenset[str]]
    #: States of a resource that is deleted, or about to be.
    gone_states: ClassVar[frozenset[str]]
    #: States that the resource cannot leave by itself.
    dead_states: ClassVar[frozenset[str]]
    failed_error: ClassVar[type[StoppableResourceError]]
    timed_out_error: ClassVar[type[StoppableResourceError]]
    lost_error: ClassVar[type[StoppableResourceError]]

    def __init__(self, *, timeout: Duration | None = DEFAULT_TIMEOUT_SECONDS, **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)

    @property
    @abstractmethod
    def _resources(self) -> StoppableResourceClient[R]:
        """Client of the resource."""

    @property
    @abstractmethod
    def _trigger_class(self) -> type[Any]:
        """Trigger of the wait. Imported late, so that a DAG is parsed without it."""

    @abstractmethod
    def _request_next(self, resource: R) -> NextWait | None:
        """Send the request that the resource needs next.

        :return: the wait for its effect; ``None`` if the resource is in the wanted state.
        """

    def _push_result(self, resource: R, context: Context) -> None:
        """Push XComs at the end of the task, besides its result."""

    def _progress(self) -> dict[str, Any]:
        """Return keyword arguments for ``execute_complete`` after a deferral."""
        return {}

    def _request_until_done(self, resource: R, context: Context) -> str:
        """Alternate requests and waits until the resource is in the wanted state. Return its OCID."""
        next_wait: NextWait | None
        while True:
            try:
                next_wait = self._request_next(resource)
            except ServiceError as error:
                # Another task, a schedule or the service changed the resource after it was read.
                if error.status not in (409, 412):
                    raise
                resource = self._read_again_later(resource, error, context)
                continue
            if next_wait is None or (next_wait.is_last and not self.wait_for_completion):
                break
            # A resource cannot leave a dead state by itself, so such a state also ends the wait, unless the
            # wait starts in it.
            targets = frozenset(map(str, next_wait.states))
            states = targets | (self.dead_states - {resource.state})
            # After a delete, an unknown resource is a deleted one. Without, it is an error.
            missing_is_deleted = next_wait.is_last and DELETED in targets
            if self.deferrable:
                self._defer(resource, states, missing_is_deleted, context)
            resource = self._wait(resource, states, missing_is_deleted, context)
        self._push_result(resource, context)
        return resource.id

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Resume after the trigger's event."""
        end = self.event_class.parse(event)
        if end.outcome is not Outcome.REACHED:
            error_class = self.timed_out_error if end.outcome is Outcome.TIMEOUT else self.lost_error
            raise self._error(error_class, end.resource_id, state=end.state, note=end.message)
        self.log.info("%s %s is %s", self.label, end.resource_id, end.state)
        resource = self.resource_class(end.resource_id, str(end.state))
        if resource.state != DELETED:
            # With the retries of a wait, so that an outage at this moment does not fail the task.
            resource = self._wait(resource, None, False, context)
        return self._request_until_done(resource, context)

    def _defer(
        self, resource: R, states: Collection[str], missing_is_deleted: bool, context: Context
    ) -> None:
        self.defer(
            trigger=self._trigger_class(
                **{self.id_argument: resource.id},
                target_states=states,
                missing_is_deleted=missing_is_deleted,
                **self._trigger_arguments(context),
            ),
            method_name=self.execute_complete.__name__,
            kwargs=self._progress(),
            timeout=self._deferral_timeout(context),
        )

    def _wait(
        self, resource: R, states: Collection[str] | None, missing_is_deleted: bool, context: Context
    ) -> R:
        """Poll until the resource is in one of the states or, for ``None``, until it can be read at all."""
        from airflow_provider_dataflow.client.wait import ErrorBudgetExceeded, Wait, WaitTimedOut

        def poll() -> R:
            try:
                return self._resources.get(resource.id)
            except ServiceError as error:
                if error.status == 404 and missing_is_deleted:
                    return self.resource_class(resource.id, DELETED)
                raise

        wait = Wait(
            subject=f"{self.label} {resource.id}",
            is_over=lambda state: states is None or state in states,
            poll_interval=self.poll_interval,
            log=self.log,
            deadline=self._deadline(context),
            error_budget=self.error_budget,
            state=resource.state,
        )
        try:
            return wait.in_worker(poll, self._raise_if_killed)
        except WaitTimedOut:
            raise self._error(self.timed_out_error, resource.id, state=wait.state) from None
        except ErrorBudgetExceeded as error:
            raise self._error(self.lost_error, resource.id, state=wait.state, note=str(error)) from None

    def _read_again_later(self, resource: R, error: ServiceError, context: Context) -> R:
        """Read the resource again after a refused request, once it has had time to change."""
        from airflow_provider_dataflow.client.wait import sleep

        self.log.warning(
            "%s %s: the request was refused; reading its state again in %.0f s: %s",
            self.label,
            resource.id,
            self.poll_interval,
            error,
        )
        deadline = self._deadline(context)
        if deadline is not None and time.time() >= deadline:
            raise self._error(
                self.timed_out_error, resource.id, state=resource.state, note=str(error)
            ) from None
        sleep(limited(self.poll_interval), self._raise_if_killed)
        return self._wait(resource, None, False, context)

    def _start(self, resource: R) -> NextWait | None:
        """Send the request to start the resource if it needs one. Returns what :meth:`_request_next` does."""
        if resource.state == ACTIVE:
            self.log.info("%s %s (%s) is ACTIVE", self.label, resource.id, resource.display_name)
            return None
        if resource.state in self.dead_states | self.gone_states:
            raise self._failed(resource, "it cannot be started")
        if resource.state in self.idle_states:
            self._send("start", self._resources.start, resource)
            return NextWait({ACTIVE}, is_last=True)
        return NextWait({ACTIVE, *self.idle_states}, is_last=resource.state in self.starting_states)

    def _send(self, action: str, request: Callable[[str], None], resource: R) -> None:
        request(resource.id)
        self.log.info(
            *("%s %s (%s) is %s: %s requested", self.label, resource.id, resource.display_name),
            *(resource.state, action),
        )

    def _failed(self, resource: R, note: str) -> StoppableResourceError:
        """Return the error of a resource that cannot get into the wanted state."""
        details = resource.lifecycle_details
        if details:
            # They may quote the Spark configuration of a SQL endpoint.
            secrets = secrets_among(resource.raw) | secrets_among(self.templated_arguments())
            details = without_secrets(details, secrets)
        return self._error(
            self.failed_error,
            resource.id,
            state=resource.state,
            lifecycle_details=details,
            note=note,
        )

    def _error(
        self, error_class: type[StoppableResourceError], resource_id: str, **details: Any
    ) -> StoppableResourceError:
        return error_class(**{self.id_argument: resource_id}, **details)


class ExistingResourceOperator(StoppableResourceOperator[R]):
    """Base of the operators whose argument ``id_argument`` names the resource."""

    @called_by_airflow
    def execute(self, context: Context) -> str:
        self.read_settings()
        resource_id = getattr(self, self.id_argument)
        check_given(**{self.id_argument: resource_id})
        return self._request_until_done(self._resources.get(resource_id), context)


class DeleteResourceOperator(ExistingResourceOperator[R]):
    """Base of the operators that delete a resource.

    :param ignore_if_missing: succeed also if the resource does not exist.
    """

    def __init__(self, *, ignore_if_missing: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_if_missing: Any = ignore_if_missing
        self.read_settings_at_parse()

    @called_by_airflow
    def execute(self, context: Context) -> str:
        try:
            return super().execute(context)
        except ServiceError as error:
            if error.status != 404 or not self.ignore_if_missing:
                raise
            resource_id: str = getattr(self, self.id_argument)
            self.log.info("%s %s does not exist: nothing to delete", self.label, resource_id)
            return resource_id
