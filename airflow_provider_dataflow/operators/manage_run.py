"""Operators for runs that exist: read one, list several, update one, cancel one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.client.cancel import cancel_run
from airflow_provider_dataflow.client.conditional_update import bring_about
from airflow_provider_dataflow.compat import sensitive_names
from airflow_provider_dataflow.exceptions import InvalidArgument, RunLost, RunTimedOut
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.links.run import RunLink
from airflow_provider_dataflow.models.argument_values import is_given, is_literal, redacted_repr, unwrap
from airflow_provider_dataflow.models.coercion import choice, ocid, text
from airflow_provider_dataflow.models.decoding import decode_time
from airflow_provider_dataflow.models.resource import as_json
from airflow_provider_dataflow.models.run import TERMINAL_STATES, LifecycleState, Run
from airflow_provider_dataflow.models.run_request import RunUpdate
from airflow_provider_dataflow.operators.base import (
    WAIT_ARGUMENTS,
    DataFlowOperator,
    WaitingOperator,
    require,
)
from airflow_provider_dataflow.operators.entry_point import entry_point
from airflow_provider_dataflow.operators.outcome import log_end_of_wait
from airflow_provider_dataflow.polling import DEFAULT_CANCEL_TIMEOUT_SECONDS
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration


def _time(value: Any, path: str) -> str:
    time = unwrap(value)
    try:
        time = decode_time(time) if isinstance(time, str) else time
        if not isinstance(time, datetime) or time.utcoffset() is None:
            raise ValueError
        return time.isoformat()
    except ValueError:
        raise InvalidArgument(
            path, f"expected a time with its offset, as 2026-01-01T00:00:00Z, got {redacted_repr(value)}"
        ) from None


#: What a list tells of each run (``RunSummary``).
SUMMARY_ATTRIBUTES = (
    *("id", "application_id", "compartment_id", "data_read_in_bytes", "data_written_in_bytes"),
    *("defined_tags", "display_name", "freeform_tags", "language", "lifecycle_details", "opc_request_id"),
    *("owner_principal_id", "owner_user_name", "pool_id", "run_duration_in_milliseconds", "state"),
    *("time_created", "time_updated", "total_ocpu", "type"),
)

#: The filters of ListRunsOperator, and how each is read.
FILTERS = {
    "application_id": ocid("dataflowapplication"),
    "display_name": text,
    "display_name_starts_with": text,
    "lifecycle_state": choice(*LifecycleState),
    "owner_principal_id": text,
    "pool_id": ocid("dataflowpool"),
    "time_created_greater_than": _time,
}


class GetRunOperator(DataFlowOperator):
    """Reads a run (GetRun).

    The result is a dict of all attributes of the run, by the names of Terraform's data source
    ``oci_dataflow_invoke_run``: ``state``, ``time_created``, ``total_ocpu``, ... Times are texts in ISO 8601
    with their offset; what the service leaves out is ``None``. Secrets in ``arguments``, ``parameters`` and
    the like are replaced by ``***``.

    :param run_id: OCID of the run (``runId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: how to sign in; templated. Default: as the connection says.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises ServiceError: the service does not know the run, or could not be asked.
    """

    template_fields: Sequence[str] = ("run_id", *HOOK_ARGUMENTS)
    operator_extra_links = (RunLink(),)

    def __init__(self, *, run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id: Any = run_id
        self.read_settings_at_parse()

    @entry_point
    def execute(self, context: Context) -> dict[str, Any]:
        self.read_settings()
        require(run_id=self.run_id)
        self._publish_link(self.run_id, context)
        run = self.hook.get_run(self.run_id)
        self.log.info("Run %s (%s) is %s", run.id, run.display_name, run.state)
        return as_json(run.attributes(hide_secrets=True, sensitive_names=sensitive_names()))


class ListRunsOperator(DataFlowOperator):
    """Lists runs of a compartment, newest first (ListRuns).

    The result is a list of dicts with the attributes that a list has of a run, by the same names as those of
    :class:`GetRunOperator`. The service takes one filter beside the compartment, so give at most one.

    :param compartment_id: OCID of the compartment (``compartmentId``); templated. Default: the connection's.
    :param application_id: only runs of this application, an OCID (``applicationId``); templated.
    :param display_name: only runs of exactly this name (``displayName``); templated.
    :param display_name_starts_with: only runs whose name begins so (``displayNameStartsWith``); templated.
    :param lifecycle_state: only runs in this state now, for example ``FAILED`` (``lifecycleState``);
        templated.
    :param owner_principal_id: only runs of this user, an OCID (``ownerPrincipalId``); templated.
    :param pool_id: only runs in this pool, an OCID (``poolId``); templated.
    :param time_created_greater_than: only runs created after this, a datetime or its ISO 8601 text
        (``timeCreatedGreaterThan``); templated.
    :param limit: number of runs at most; pages are followed until then; templated. Default: 100.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: how to sign in; templated. Default: as the connection says.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises InvalidArgument: two filters, when the DAG is parsed; or a value of the wrong form.
    :raises ServiceError: the service could not be asked.
    """

    template_fields: Sequence[str] = ("compartment_id", *FILTERS, "limit", *HOOK_ARGUMENTS)
    body_arguments = frozenset(FILTERS)

    def __init__(
        self,
        *,
        compartment_id: str | None = None,
        application_id: str | None = None,
        display_name: str | None = None,
        display_name_starts_with: str | None = None,
        lifecycle_state: str | None = None,
        owner_principal_id: str | None = None,
        pool_id: str | None = None,
        time_created_greater_than: Any = None,
        limit: int | str = 100,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.compartment_id = compartment_id
        self.application_id = application_id
        self.display_name = display_name
        self.display_name_starts_with = display_name_starts_with
        self.lifecycle_state = lifecycle_state
        self.owner_principal_id = owner_principal_id
        self.pool_id = pool_id
        self.time_created_greater_than = time_created_greater_than
        self.limit: Any = limit
        given = self._given()
        if len(given) > 1:
            raise InvalidArgument(
                " and ".join(given), "the service takes one filter beside the compartment, not two"
            )
        for name, value in given.items():
            if is_literal(value):
                FILTERS[name](value, name)
        self.read_settings_at_parse()

    def _given(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in FILTERS}
        return {name: value for name, value in given.items() if is_given(value)}

    @entry_point
    def execute(self, context: Context) -> list[dict[str, Any]]:
        self.read_settings()
        filters = {name: FILTERS[name](value, name) for name, value in self._given().items()}
        limit = self.limit
        found = self.hook.list_runs(self.compartment_id, **filters)
        runs = [_summary(run) for run in islice(found, limit)]
        self.log.info("%d runs%s", len(runs), ", and no more were asked for" if len(runs) == limit else "")
        return runs


class UpdateRunOperator(DataFlowOperator):
    """Changes what of a run can be changed after its submit (UpdateRun, ChangeRunCompartment).

    The run is read first, and only what differs is sent. If somebody else changes it in between, it is read
    again, so nobody's change is lost. The result is the list of the arguments that made a difference; it is
    empty if nothing was sent.

    :param run_id: OCID of the run (``runId``); templated.
    :param freeform_tags: dict of strings, all that the run is to have (``freeformTags``); templated.
    :param defined_tags: ``{"Namespace": {"Key": "value"}}`` or ``{"Namespace.Key": "value"}``; namespaces
        that are not named are left as they are (``definedTags``); templated.
    :param max_duration_in_minutes: minutes in progress after which the service cancels the run
        (``maxDurationInMinutes``); templated.
    :param idle_timeout_in_minutes: minutes without work after which a SESSION run ends
        (``idleTimeoutInMinutes``); templated.
    :param compartment_id: OCID of the compartment that the run is moved to; only a run that has ended can be
        moved (``compartmentId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: how to sign in; templated. Default: as the connection says.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises InvalidArgument: nothing is given that could be changed, or a value of the wrong form.
    :raises ServiceError: the service refused, or could not be asked.
    """

    template_fields: Sequence[str] = (
        "run_id",
        *RunUpdate.argument_names(),
        "compartment_id",
        *HOOK_ARGUMENTS,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"freeform_tags": "json", "defined_tags": "json"}
    body_arguments = frozenset(RunUpdate.argument_names())
    operator_extra_links = (RunLink(),)

    def __init__(
        self,
        *,
        run_id: str,
        freeform_tags: Mapping[str, str] | str | None = None,
        defined_tags: Mapping[str, Any] | str | None = None,
        max_duration_in_minutes: int | str | None = None,
        idle_timeout_in_minutes: int | str | None = None,
        compartment_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
        self.freeform_tags = freeform_tags
        self.defined_tags = defined_tags
        self.max_duration_in_minutes = max_duration_in_minutes
        self.idle_timeout_in_minutes = idle_timeout_in_minutes
        self.compartment_id = compartment_id
        names = (*RunUpdate.argument_names(), "compartment_id")
        if all(getattr(self, name) is None for name in names):
            raise InvalidArgument(names[0], f"expected at least one of {', '.join(names)}")
        self.read_settings_at_parse()
        RunUpdate.check_at_parse({name: getattr(self, name) for name in RunUpdate.argument_names()})

    @entry_point
    def execute(self, context: Context) -> list[str]:
        self.read_settings()
        require(run_id=self.run_id)
        update = RunUpdate.build({name: getattr(self, name) for name in RunUpdate.argument_names()})
        destination = self.compartment_id
        self._publish_link(self.run_id, context)
        run, changes = bring_about(
            lambda: self.hook.client.get_run_with_etag(self.run_id),
            lambda found: update.differences(found.raw),
            lambda changes, etag: self.hook.update_run(self.run_id, changes, if_match=etag),
        )
        changed = update.argument_names_of(changes)
        if destination is not None and destination != run.compartment_id:
            self.hook.change_run_compartment(self.run_id, destination)
            changed.append("compartment_id")
        if changed:
            self.log.info("Run %s: changed %s", self.run_id, ", ".join(changed))
        else:
            self.log.info("Run %s is as it is to be; nothing was sent", self.run_id)
        return changed


class CancelRunOperator(WaitingOperator):
    """Cancels a run (DeleteRun). A run that has ended already is left as it is, which the log says.

    The result is the state of the run: CANCELED, or STOPPED for a run of type STREAMING or SESSION; or
    another end, if the run was faster.

    :param run_id: OCID of the run (``runId``); templated.
    :param wait_for_completion: wait until the run has ended; templated. Default: True. Without it the task
        succeeds as soon as the service has taken the cancel in.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the run; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task for which it waits; templated.
        Default: 1200.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :param cancel_timeout: seconds (or a timedelta) for which the cancel is repeated until the service
        confirms it; templated. Default: 25.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: how to sign in; templated. Default: as the connection says.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises ServiceError: the service did not take the cancel in.
    :raises RunTimedOut: the run had not ended in time; its cancel is under way.
    :raises RunLost: the service could not be asked for longer than the error budget.
    """

    template_fields: Sequence[str] = ("run_id", "cancel_timeout", *WAIT_ARGUMENTS, *HOOK_ARGUMENTS)
    operator_extra_links = (RunLink(),)

    def __init__(
        self,
        *,
        run_id: str,
        timeout: Duration | None = 20 * 60,
        cancel_timeout: Duration = DEFAULT_CANCEL_TIMEOUT_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self.run_id = run_id
        self.cancel_timeout: Any = cancel_timeout
        self.read_settings_at_parse()

    @entry_point
    def execute(self, context: Context) -> str:
        self.read_settings()
        require(run_id=self.run_id)
        self._publish_link(self.run_id, context)
        run = self.hook.get_run(self.run_id)
        if run.is_terminal:
            self.log.info("Run %s has ended %s already: nothing to cancel", run.id, run.state)
            return run.state
        result = cancel_run(lambda: self.hook.client, self.run_id, timeout=self.cancel_timeout)
        run = result.confirmed_run()
        self.log.info("%s", result)
        if run.is_terminal or not self.wait_for_completion:
            return run.state
        if self.deferrable:
            from airflow_provider_dataflow.triggers.run import RunTrigger

            self.defer(
                trigger=RunTrigger(
                    run_id=run.id, target_states=TERMINAL_STATES, **self._trigger_arguments(context)
                ),
                method_name=self.execute_complete.__name__,
                timeout=self._backstop(context),
            )
        return self._wait(run, context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Go on where the trigger ended."""
        end = RunEvent.parse(event)
        log_end_of_wait(self.log, end)
        if end.outcome is Outcome.REACHED:
            return str(end.state)
        kind = RunTimedOut if end.outcome is Outcome.TIMEOUT else RunLost
        raise kind(
            run_id=end.run_id,
            state=end.state,
            url=self.hook.run_page_url(end.run_id),
            note=end.message or "its cancel was requested",
        )

    def _wait(self, run: Run, context: Context) -> str:
        from airflow_provider_dataflow.client.wait import wait_for_run

        return wait_for_run(
            self.hook.client,
            run.id,
            states=TERMINAL_STATES,
            poll_interval=self.poll_interval,
            error_budget=self.error_budget,
            until=self._deadline(context),
            check=self._raise_if_killed,
            log=self.log,
            last_state=run.state,
        ).state


def _summary(run: Run) -> dict[str, Any]:
    return as_json({name: getattr(run, name) for name in SUMMARY_ATTRIBUTES})
