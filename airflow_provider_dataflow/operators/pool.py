"""Operators that create, start, stop and delete pools, for setup and teardown around runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.cost.settings import with_configured_tags
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.pool import GONE_STATES, IDLE_STATES, Pool, PoolDetails, PoolState
from airflow_provider_dataflow.operators.base import WAIT_ARGUMENTS, retry_token_of_try
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.operators.pool_base import PoolOperator
from airflow_provider_dataflow.operators.stoppable_resource import (
    DeleteResourceOperator,
    ExistingResourceOperator,
    NextWait,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context

#: XCom of the pool's OCID.
POOL_ID = "pool_id"


class _ExistingPoolOperator(ExistingResourceOperator[Pool], PoolOperator):
    template_fields: Sequence[str] = ("pool_id", *WAIT_ARGUMENTS, *HOOK_ARGUMENTS)

    def __init__(self, *, pool_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_id: Any = pool_id
        self.read_settings_at_parse()


class CreatePoolOperator(PoolOperator):
    """Creates a pool and waits until it is ACTIVE or, with schedules, SCHEDULED (CreatePool).

    A SCHEDULED pool starts at the time of its schedule, with a run, or with :class:`StartPoolOperator`.
    If the compartment has a pool of this display name, the task uses it and starts it if necessary. It does
    not update it, but logs a warning with the fields that differ from the arguments. The pool's OCID is the
    task's result, and is pushed to XCom as ``pool_id`` too.

    All arguments up to ``schedules`` are templated, and are the fields of the API's ``CreatePoolDetails``.

    :param configurations: nodes of the pool, a list of
        ``{"shape": ..., "shape_config": {"ocpus": ..., "memory_in_gbs": ...}, "min": ..., "max": ...}``
        (``configurations``).
    :param display_name: name of the pool, by which an existing one is found (``displayName``).
    :param compartment_id: OCID of the compartment (``compartmentId``). Default: the connection's.
    :param defined_tags: ``{"Namespace": {"Key": "value"}}`` or ``{"Namespace.Key": "value"}``
        (``definedTags``).
    :param description: description of the pool (``description``).
    :param freeform_tags: dict of strings (``freeformTags``).
    :param idle_timeout_in_minutes: minutes without a run after which the service stops the pool
        (``idleTimeoutInMinutes``).
    :param schedules: when the service starts and stops the pool, hours in UTC:
        ``[{"day_of_week": "MONDAY", "start_time": 8, "stop_time": 18}]`` (``schedules``).

    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the pool is ACTIVE; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the pool; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises InvalidArgument: an argument is invalid; nothing was sent.
    :raises AmbiguousName: several pools of the compartment have this name.
    :raises PoolError: the pool is not ACTIVE in time, or cannot become ACTIVE.
    :raises ServiceError: the service refused the request, or did not respond.
    """

    template_fields: Sequence[str] = (*PoolDetails.argument_names(), *WAIT_ARGUMENTS, *HOOK_ARGUMENTS)
    body_arguments = frozenset(PoolDetails.argument_names())
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(
        ("configurations", "defined_tags", "freeform_tags", "schedules"), "json"
    )

    def __init__(
        self,
        *,
        configurations: Sequence[Mapping[str, Any]] | str,
        display_name: str,
        compartment_id: str | None = None,
        defined_tags: Mapping[str, Any] | str | None = None,
        description: str | None = None,
        freeform_tags: Mapping[str, str] | str | None = None,
        idle_timeout_in_minutes: int | str | None = None,
        schedules: Sequence[Mapping[str, Any]] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.configurations = configurations
        self.display_name = display_name
        self.compartment_id = compartment_id
        self.defined_tags = defined_tags
        self.description = description
        self.freeform_tags = freeform_tags
        self.idle_timeout_in_minutes = idle_timeout_in_minutes
        self.schedules = schedules
        PoolDetails.check_at_parse({name: getattr(self, name) for name in PoolDetails.argument_names()})

    @called_by_airflow
    def execute(self, context: Context) -> str:
        self.read_settings()
        arguments = {name: getattr(self, name) for name in PoolDetails.argument_names()}
        arguments["compartment_id"] = self.hook.compartment(self.compartment_id)
        details = PoolDetails.build(arguments)
        details.check()
        found = self.hook.pools.named(str(details.compartment_id), str(details.display_name))
        if found is None:
            pool = self.hook.pools.create(with_configured_tags(details), retry_token_of_try(context))
            self.log.info("Pool %s (%s): created", pool.id, pool.display_name)
        else:
            pool = self.hook.pools.get(found.id)
            self.log.info("Pool %s (%s) already exists and is %s", pool.id, pool.display_name, pool.state)
            if different := details.argument_names_of(details.differences(pool.raw)):
                self.log.warning("Pool %s is not updated, but differs in %s", pool.id, ", ".join(different))
        # Before the wait, so that a teardown task finds the pool even if the wait fails.
        context["ti"].xcom_push(key=POOL_ID, value=pool.id)
        return self._request_until_done(pool, context)

    def _request_next(self, pool: Pool) -> NextWait | None:
        if pool.state == PoolState.SCHEDULED:
            self.log.info("Pool %s (%s) is SCHEDULED", pool.id, pool.display_name)
            return None
        return self._start(pool)


class StartPoolOperator(_ExistingPoolOperator):
    """Starts a pool and waits until it is ACTIVE (StartPool). If it is already ACTIVE, nothing is sent.

    The pool's OCID is the task's result.

    :param pool_id: OCID of the pool (``poolId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the pool is ACTIVE; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the pool; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises PoolError: the pool is not ACTIVE in time, or cannot become ACTIVE.
    :raises ServiceError: the service refused the request, or did not respond.
    """

    def _request_next(self, pool: Pool) -> NextWait | None:
        return self._start(pool)


class StopPoolOperator(_ExistingPoolOperator):
    """Stops a pool, which ends the runs in it, and waits until it is STOPPED (StopPool).

    If it is already stopped or deleted, or SCHEDULED and not started yet, nothing is sent. The pool's OCID is
    the task's result.

    :param pool_id: OCID of the pool (``poolId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the pool is STOPPED; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the pool; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises PoolError: the pool is not STOPPED in time, or cannot be stopped.
    :raises ServiceError: the service refused the request, or did not respond.
    """

    def _request_next(self, pool: Pool) -> NextWait | None:
        if pool.state in IDLE_STATES | GONE_STATES:
            self.log.info("Pool %s (%s) is %s: nothing to stop", pool.id, pool.display_name, pool.state)
            return None
        if pool.state == PoolState.FAILED:
            raise self._failed(pool, "it cannot be stopped")
        if pool.state == PoolState.ACTIVE:
            self._send("stop", self.hook.pools.stop, pool)
            return NextWait({PoolState.STOPPED}, is_last=True)
        return NextWait({PoolState.ACTIVE, *IDLE_STATES}, is_last=pool.state == PoolState.STOPPING)


class DeletePoolOperator(DeleteResourceOperator[Pool], _ExistingPoolOperator):
    """Deletes a pool and waits until it is DELETED (DeletePool). An active pool is stopped first.

    If it is already deleted, nothing is sent. The pool's OCID is the task's result.

    :param pool_id: OCID of the pool (``poolId``); templated.
    :param ignore_if_missing: succeed also if the pool does not exist; templated. Default: False.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the pool is DELETED; templated. Default: True. Without it, the
        task still waits until an active pool is STOPPED, since the service deletes only stopped pools.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the pool; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises PoolError: the pool is not DELETED in time.
    :raises ServiceError: the pool does not exist, or the service refused the request or did not respond.
    """

    template_fields: Sequence[str] = (*_ExistingPoolOperator.template_fields, "ignore_if_missing")

    def _request_next(self, pool: Pool) -> NextWait | None:
        if pool.state == PoolState.DELETED:
            self.log.info("Pool %s is DELETED", pool.id)
            return None
        if pool.state == PoolState.DELETING:
            return NextWait({PoolState.DELETED}, is_last=True)
        if pool.state in (*IDLE_STATES, PoolState.FAILED):
            self._send("delete", self.hook.pools.delete, pool)
            return NextWait({PoolState.DELETED}, is_last=True)
        if pool.state == PoolState.ACTIVE:
            self._send("stop", self.hook.pools.stop, pool)
            return NextWait({PoolState.STOPPED}, is_last=False)
        return NextWait({PoolState.ACTIVE, *IDLE_STATES}, is_last=False)
