"""Operators for pools: create, start, stop and delete one, as setup and teardown around runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.pool import GONE_STATES, Pool, PoolDetails, PoolState
from airflow_provider_dataflow.operators.base import WAIT_ARGUMENTS, require, token_of_try
from airflow_provider_dataflow.operators.entry_point import entry_point
from airflow_provider_dataflow.operators.pool_steps import PoolOperator, Step, failed

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context

#: XCom of the pool's OCID.
POOL_ID = "pool_id"


class _ExistingPoolOperator(PoolOperator):
    template_fields: Sequence[str] = ("pool_id", *WAIT_ARGUMENTS, *HOOK_ARGUMENTS)

    def __init__(self, *, pool_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_id: Any = pool_id
        self.read_settings_at_parse()

    @entry_point
    def execute(self, context: Context) -> str:
        self.read_settings()
        require(pool_id=self.pool_id)
        return self._bring_about(self.hook.pools.get(self.pool_id), context)


class CreatePoolOperator(PoolOperator):
    """Creates a pool, and waits until it is ACTIVE (CreatePool).

    If a pool of the display name is in the compartment, it is taken: started if it is stopped, and otherwise
    left as it is; in what it differs from the arguments is a warning. The pool's OCID is the task's result,
    and is pushed to XCom as ``pool_id`` too.

    All arguments up to ``schedules`` are templated, and are the fields of the API's ``CreatePoolDetails``.

    :param configurations: which nodes the pool has, at least one of
        ``{"shape": ..., "shape_config": {"ocpus": ..., "memory_in_gbs": ...}, "min": ..., "max": ...}``
        (``configurations``).
    :param display_name: name of the pool, by which it is found again (``displayName``).
    :param compartment_id: OCID of the compartment (``compartmentId``). Default: the connection's.
    :param defined_tags: ``{"Namespace": {"Key": "value"}}`` or ``{"Namespace.Key": "value"}``
        (``definedTags``).
    :param description: of the pool (``description``).
    :param freeform_tags: dict of strings (``freeformTags``).
    :param idle_timeout_in_minutes: minutes without a run after which the pool stops by itself
        (``idleTimeoutInMinutes``).
    :param schedules: when the pool starts and stops by itself, hours in UTC:
        ``[{"day_of_week": "MONDAY", "start_time": 8, "stop_time": 18}]`` (``schedules``).

    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: how to sign in; templated. Default: as the connection says.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the pool is ACTIVE; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the pool; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task for which it waits; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises InvalidArgument: an argument is refused, before anything is sent.
    :raises AmbiguousName: several pools of the compartment have the name.
    :raises PoolError: the pool is not ACTIVE in time, or cannot be.
    :raises ServiceError: the service refused, or could not be asked.
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

    @entry_point
    def execute(self, context: Context) -> str:
        self.read_settings()
        arguments = {name: getattr(self, name) for name in PoolDetails.argument_names()}
        arguments["compartment_id"] = self.hook.compartment(self.compartment_id)
        details = PoolDetails.build(arguments)
        details.check()
        found = self.hook.pools.named(str(details.compartment_id), str(details.display_name))
        if found is None:
            pool = self.hook.pools.create(details, token_of_try(context))
            self.log.info("Pool %s (%s) is created", pool.id, pool.display_name)
        else:
            pool = self.hook.pools.get(found.id)
            self.log.info("Pool %s (%s) is there already: it is %s", pool.id, pool.display_name, pool.state)
            if others := details.argument_names_of(details.differences(pool.raw)):
                self.log.warning("Pool %s is left as it is, but differs in %s", pool.id, ", ".join(others))
        # Before the wait: who tears down must know what.
        context["ti"].xcom_push(key=POOL_ID, value=pool.id)
        return self._bring_about(pool, context)

    def _next(self, pool: Pool) -> Step | None:
        return self._start(pool)


class StartPoolOperator(_ExistingPoolOperator):
    """Starts a pool, and waits until it is ACTIVE (StartPool). One that is ACTIVE is left as it is.

    The pool's OCID is the task's result.

    :param pool_id: OCID of the pool (``poolId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: how to sign in; templated. Default: as the connection says.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the pool is ACTIVE; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the pool; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task for which it waits; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises PoolError: the pool is not ACTIVE in time, or cannot be.
    :raises ServiceError: the service refused, or could not be asked.
    """

    def _next(self, pool: Pool) -> Step | None:
        return self._start(pool)


class StopPoolOperator(_ExistingPoolOperator):
    """Stops a pool, which ends the runs in it, and waits until it is STOPPED (StopPool).

    One that is stopped or deleted is left as it is. The pool's OCID is the task's result.

    :param pool_id: OCID of the pool (``poolId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: how to sign in; templated. Default: as the connection says.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the pool is STOPPED; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the pool; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task for which it waits; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises PoolError: the pool is not STOPPED in time, or cannot be.
    :raises ServiceError: the service refused, or could not be asked.
    """

    def _next(self, pool: Pool) -> Step | None:
        if pool.state in {PoolState.STOPPED} | GONE_STATES:
            self.log.info("Pool %s (%s) is %s: nothing to stop", pool.id, pool.display_name, pool.state)
            return None
        if pool.state == PoolState.FAILED:
            raise failed(pool, "it cannot be stopped")
        if pool.state == PoolState.ACTIVE:
            self._ask("stop", self.hook.pools.stop, pool)
            return Step({PoolState.STOPPED}, is_last=True)
        return Step({PoolState.ACTIVE, PoolState.STOPPED}, is_last=pool.state == PoolState.STOPPING)


class DeletePoolOperator(_ExistingPoolOperator):
    """Deletes a pool, and waits until it is DELETED (DeletePool). One that is active is stopped first.

    One that is deleted is left as it is. The pool's OCID is the task's result.

    :param pool_id: OCID of the pool (``poolId``); templated.
    :param ignore_if_missing: succeed also when the service does not know the pool; templated. Default: False.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: how to sign in; templated. Default: as the connection says.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the pool is DELETED; templated. Default: True. Without it, a pool
        that is active is still waited for until it is STOPPED, since it cannot be deleted before.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the pool; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task for which it waits; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises PoolError: the pool is not DELETED in time.
    :raises ServiceError: the service refused, does not know the pool, or could not be asked.
    """

    template_fields: Sequence[str] = (*_ExistingPoolOperator.template_fields, "ignore_if_missing")

    def __init__(self, *, ignore_if_missing: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ignore_if_missing: Any = ignore_if_missing
        self.read_settings_at_parse()

    @entry_point
    def execute(self, context: Context) -> str:
        try:
            return super().execute(context)
        except ServiceError as error:
            if error.status != 404 or not self.ignore_if_missing:
                raise
            self.log.info("There is no pool %s: nothing to delete", self.pool_id)
            return self.pool_id

    def _next(self, pool: Pool) -> Step | None:
        if pool.state == PoolState.DELETED:
            self.log.info("Pool %s is DELETED", pool.id)
            return None
        if pool.state == PoolState.DELETING:
            return Step({PoolState.DELETED}, is_last=True)
        if pool.state in (PoolState.STOPPED, PoolState.FAILED):
            self._ask("delete", self.hook.pools.delete, pool)
            return Step({PoolState.DELETED}, is_last=True)
        if pool.state == PoolState.ACTIVE:
            self._ask("stop", self.hook.pools.stop, pool)
            return Step({PoolState.STOPPED}, is_last=False)
        return Step({PoolState.ACTIVE, PoolState.STOPPED}, is_last=False)
