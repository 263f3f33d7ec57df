"""Operators that read, list, update and cancel existing runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.arguments.masking import details_without_secrets
from airflow_provider_dataflow.client.cancel import cancel_run
from airflow_provider_dataflow.client.conditional_update import update_if_different
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
    check_given,
)
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.operators.ended_run import log_event
from airflow_provider_dataflow.polling import DEFAULT_CANCEL_TIMEOUT_SECONDS
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.durations import Duration


def _time_filter(value: Any, path: str) -> str:
    """Read a time as ISO 8601 text."""
    time = unwrap(value)
    try:
        time = decode_time(time) if isinstance(time, str) else time
        if not isinstance(time, datetime) or time.utcoffset() is None:
            raise ValueError
        return time.isoformat()
    except ValueError:
        raise InvalidArgument(
            path, f"expected a time with an offset, like 2026-01-01T00:00:00Z, got {redacted_repr(value)}"
        ) from None


#: Attributes of a run in a list (``RunSummary``), without ``lifecycle_details``: they may quote a secret in
#: the run's arguments. A list does not have the arguments, so the secret could not be hidden in the XCom.
SUMMARY_ATTRIBUTES = (
    *("id", "application_id", "compartment_id", "data_read_in_bytes", "data_written_in_bytes"),
    *("defined_tags", "display_name", "freeform_tags", "language", "opc_request_id", "owner_principal_id"),
    *("owner_user_name", "pool_id", "run_duration_in_milliseconds", "state"),
    *("time_created", "time_updated", "total_ocpu", "type"),
)

#: Filters of ListRunsOperator, and the function that reads each value.
FILTERS = {
    "application_id": ocid("dataflowapplication"),
    "display_name": text,
    "display_name_starts_with": text,
    "lifecycle_state": choice(*LifecycleState),
    "owner_principal_id": text,
    "pool_id": ocid("dataflowpool"),
    "time_created_greater_than": _time_filter,
}


class GetRunOperator(DataFlowOperator):
    """Reads a run (GetRun).

    The result is a dict of all attributes of the run, by the names of Terraform's data source
    ``oci_dataflow_invoke_run``: ``state``, ``time_created``, ``total_ocpu``, ... Times are ISO 8601 text with
    an offset; an attribute that the service omits is ``None``. Secrets in ``arguments``, ``parameters``,
    ``lifecycle_details`` and similar attributes are replaced by ``***``.

    :param run_id: OCID of the run (``runId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises ServiceError: the run does not exist, or the service did not respond.
    """

    template_fields: Sequence[str] = ("run_id", *HOOK_ARGUMENTS)
    operator_extra_links = (RunLink(),)

    def __init__(self, *, run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id: Any = run_id
        self.read_settings_at_parse()

    @called_by_airflow
    def execute(self, context: Context) -> dict[str, Any]:
        self.read_settings()
        check_given(run_id=self.run_id)
        self._push_link(self.run_id, context)
        run = self.hook.get_run(self.run_id)
        self.log.info("Run %s (%s) is %s", run.id, run.display_name, run.state)
        return as_json(_shown(run) | {"lifecycle_details": details_without_secrets(run)})


class ListRunsOperator(DataFlowOperator):
    """Lists runs of a compartment, newest first (ListRuns).

    The result is a list of dicts with the attributes that the service lists, by the same names as in
    :class:`GetRunOperator`. It does not contain ``lifecycle_details``, which may quote secrets in the
    arguments of a run. The service accepts one filter in addition to the compartment.

    :param compartment_id: OCID of the compartment (``compartmentId``); templated. Default: the connection's.
    :param application_id: only runs of this application, an OCID (``applicationId``); templated.
    :param display_name: only runs of exactly this name (``displayName``); templated.
    :param display_name_starts_with: only runs whose name has this prefix
        (``displayNameStartsWith``); templated.
    :param lifecycle_state: only runs in this state, for example ``FAILED`` (``lifecycleState``);
        templated.
    :param owner_principal_id: only runs of this user, an OCID (``ownerPrincipalId``); templated.
    :param pool_id: only runs in this pool, an OCID (``poolId``); templated.
    :param time_created_greater_than: only runs created after this, a datetime or its ISO 8601 text
        (``timeCreatedGreaterThan``); templated.
    :param limit: maximum number of runs, over all pages; templated. Default: 100.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises InvalidArgument: a value is invalid, or two filters are given; the latter is raised when the DAG
        is parsed.
    :raises ServiceError: the service did not respond.
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
                " and ".join(given), "the service accepts only one filter in addition to the compartment"
            )
        for name, value in given.items():
            if is_literal(value):
                FILTERS[name](value, name)
        self.read_settings_at_parse()

    def _given(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in FILTERS}
        return {name: value for name, value in given.items() if is_given(value)}

    @called_by_airflow
    def execute(self, context: Context) -> list[dict[str, Any]]:
        self.read_settings()
        filters = {name: FILTERS[name](value, name) for name, value in self._given().items()}
        limit = self.limit
        found = self.hook.list_runs(self.compartment_id, **filters)
        runs = [_summary(run) for run in islice(found, limit)]
        self.log.info("Listed %d runs%s", len(runs), " (limit reached)" if len(runs) == limit else "")
        return runs


class UpdateRunOperator(DataFlowOperator):
    """Updates a run's tags or limits, or moves it to another compartment (UpdateRun, ChangeRunCompartment).

    The task reads the run first and sends only the fields that differ. If the run changes in between, the
    task reads it again, so that no other client's change is lost. The result is the list of the arguments
    that differed; it is empty if nothing was sent.

    :param run_id: OCID of the run (``runId``); templated.
    :param freeform_tags: dict of strings; replaces all freeform tags of the run (``freeformTags``);
        templated.
    :param defined_tags: ``{"Namespace": {"Key": "value"}}`` or ``{"Namespace.Key": "value"}``; other
        namespaces stay unchanged (``definedTags``); templated.
    :param max_duration_in_minutes: minutes in progress after which the service cancels the run
        (``maxDurationInMinutes``); templated.
    :param idle_timeout_in_minutes: minutes without work after which a SESSION run ends
        (``idleTimeoutInMinutes``); templated.
    :param compartment_id: OCID of the compartment to move the run to; the service moves only runs that have
        ended (``compartmentId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises InvalidArgument: a value is invalid, or there is no argument to change.
    :raises ServiceError: the service refused the request, or did not respond.
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

    @called_by_airflow
    def execute(self, context: Context) -> list[str]:
        self.read_settings()
        check_given(run_id=self.run_id)
        update = RunUpdate.build({name: getattr(self, name) for name in RunUpdate.argument_names()})
        destination = self.compartment_id
        self._push_link(self.run_id, context)
        run, changes = update_if_different(
            lambda: self.hook.client.get_run_with_etag(self.run_id),
            lambda found: update.differences(found.raw),
            lambda changes, etag: self.hook.update_run(self.run_id, changes, if_match=etag),
        )
        changed = update.argument_names_of(changes)
        if destination is not None and destination != run.compartment_id:
            self.hook.change_run_compartment(self.run_id, destination)
            changed.append("compartment_id")
        if changed:
            self.log.info("Run %s: updated %s", self.run_id, ", ".join(changed))
        else:
            self.log.info("Run %s is up to date: nothing was sent", self.run_id)
        return changed


class CancelRunOperator(WaitingOperator):
    """Cancels a run (DeleteRun). If the run has already ended, nothing is sent.

    The result is the state of the run: CANCELED, or STOPPED for a run of type STREAMING or SESSION; another
    terminal state if the run ended before the cancel.

    :param run_id: OCID of the run (``runId``); templated.
    :param wait_for_completion: wait until the run has ended; templated. Default: True. Without it, the
        task succeeds when the service has confirmed the cancel.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the run; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait; templated.
        Default: 1200.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :param cancel_timeout: seconds (or a timedelta) for which the cancel is repeated until the service
        confirms it; templated. Default: 25.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises ServiceError: the service did not confirm the cancel.
    :raises RunTimedOut: the run did not end in time, although its cancel was requested.
    :raises RunLost: service errors lasted longer than ``error_budget``.
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

    @called_by_airflow
    def execute(self, context: Context) -> str:
        self.read_settings()
        check_given(run_id=self.run_id)
        self._push_link(self.run_id, context)
        run = self.hook.get_run(self.run_id)
        if run.is_terminal:
            self.log.info("Run %s is already %s: nothing to cancel", run.id, run.state)
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
                    run_id=run.id,
                    target_states=TERMINAL_STATES,
                    compartment_id=run.compartment_id,
                    **self._trigger_arguments(context),
                ),
                method_name=self.execute_complete.__name__,
                timeout=self._deferral_timeout(context),
            )
        return self._wait(run, context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Resume after the trigger's event."""
        end = RunEvent.parse(event)
        log_event(self.log, end)
        if end.outcome is Outcome.REACHED:
            return str(end.state)
        error_class = RunTimedOut if end.outcome is Outcome.TIMEOUT else RunLost
        raise error_class(
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
            deadline=self._deadline(context),
            raise_if_killed=self._raise_if_killed,
            log=self.log,
            last_state=run.state,
        ).state


def _summary(run: Run) -> dict[str, Any]:
    shown = _shown(run)
    return as_json({name: shown[name] for name in SUMMARY_ATTRIBUTES})


def _shown(run: Run) -> dict[str, Any]:
    return run.attributes(hide_secrets=True, sensitive_names=sensitive_names())
