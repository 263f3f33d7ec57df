"""InvokeRunOperator: submits a Spark application to OCI Data Flow and waits for the run."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider_dataflow.arguments.masking import mask_secrets_of_run, secrets_among, without_secrets
from airflow_provider_dataflow.arguments.run_arguments import ATTRIBUTES
from airflow_provider_dataflow.arguments.settings import TASK_SETTINGS
from airflow_provider_dataflow.arguments.timeouts import backstop, started_at, tightest
from airflow_provider_dataflow.compat import (
    TRIGGER_FAILED,
    TaskDeferralError,
    TaskDeferralTimeout,
    conf,
    delay_trigger,
    own_xcom,
    sensitive_names,
    task_state_store,
)
from airflow_provider_dataflow.exceptions import InvalidArgument, NotSubmitted, RunLost, RunTimedOut
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.links.run import LogsBucketLink, RunLink
from airflow_provider_dataflow.models.run import KNOWN_STATES, SUCCESS_STATES, TERMINAL_STATES, has_reached
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.operators.ended_run import finish_wait, log_event
from airflow_provider_dataflow.operators.owned_run import OwnedRunOperator
from airflow_provider_dataflow.operators.start_from_trigger import check_can_start_from_trigger, given_as_json
from airflow_provider_dataflow.operators.trigger_errors import cause_of_failure, trigger_error
from airflow_provider_dataflow.ownership.acquire import (
    AcquireSettings,
    RunAcquirer,
    SubmitLater,
    outlives_task,
)
from airflow_provider_dataflow.ownership.record import SubmissionRecord
from airflow_provider_dataflow.ownership.record_store import RECORD_KEY, TaskStateRecordStore
from airflow_provider_dataflow.ownership.request import build_request
from airflow_provider_dataflow.ownership.successor import LIVE_STATES, STREAMING
from airflow_provider_dataflow.ownership.successor_search import SuccessorWait, follows
from airflow_provider_dataflow.ownership.task_attempt import TaskAttempt
from airflow_provider_dataflow.polling import (
    DEFAULT_CANCEL_TIMEOUT_SECONDS,
    DEFAULT_ERROR_BUDGET,
    DEFAULT_POLL_INTERVAL,
    DEFAULT_SUBMIT_TIMEOUT_SECONDS,
    DEFAULT_SUCCESSOR_TIMEOUT_SECONDS,
)
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.xcom_keys import (
    LIFECYCLE_STATE,
    LOG_CURSOR,
    LOGS_BUCKET_URL,
    RUN_ID,
    RUN_IDS,
    RUN_PAGE_URL,
    TRIGGER_FAILURES,
    USAGE,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.logs.follower import LogFollower
    from airflow_provider_dataflow.compat import Context, StartTriggerArgs
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.run import Run
    from airflow_provider_dataflow.triggers.run import RunTrigger

#: Templated arguments that are not fields of the request.
TEMPLATED_SETTINGS = (
    *("run_id", "wait_for_completion", "target_states", "deferrable", "poll_interval", "error_budget"),
    *("submit_timeout", "completion_timeout", "cancel_timeout", "cancel_on_kill", "airflow_tags"),
    *("private_endpoint_guard", "if_already_running", "successor_timeout", "fetch_logs"),
)

#: Maximum number of crashed triggers that are replaced before the task gives up its run.
MAX_TRIGGER_FAILURES = 3


class InvokeRunOperator(OwnedRunOperator):
    """Submits a run to OCI Data Flow and, by default, waits for its end.

    The run's OCID is the task's result, and is pushed to XCom as ``run_id`` right after the submit, with the
    URL of the run's page as ``run_page_url``. A run that does not end SUCCEEDED fails the task with
    :class:`~airflow_provider_dataflow.exceptions.RunFailed`, ``RunCanceled`` or ``RunStopped``. These errors
    carry the run id, the state, ``lifecycle_details`` and the end of the driver's stderr. A task that is
    killed cancels its run, also while it is deferred.

    The task owns at most one active run. A retry re-attaches to the run of an earlier try if it is still
    active, adopts it if it has succeeded, and submits another run if it failed or was cancelled. A task that
    is cleared starts over: it cancels the active run from before the clear and submits another one.

    The service stops STREAMING runs for maintenance and starts another run by itself. The task then goes on
    with that successor, see ``successor_timeout``, and never submits while one lives.

    XComs: ``run_id``, ``run_page_url``, ``lifecycle_state`` (the run's state when the task ended) and
    ``usage`` (times, OCPU hours and bytes, see :class:`~airflow_provider_dataflow.models.usage.Usage`).

    Give ``application_id`` or ``execute``. If both are given, the service uses only ``execute``, and the task
    logs a warning. All arguments except ``start_from_trigger`` are templated and accept results of other
    tasks. The arguments up to ``json`` are the fields of the API's ``CreateRunDetails``; their values are
    converted to the type that the API expects. Durations are seconds or a timedelta.

    :param application_id: OCID of the application to run (``applicationId``).
    :param application_log_config: ``{"log_group_id": ..., "log_id": ...}``, OCIDs of the log in OCI Logging
        (``applicationLogConfig``).
    :param archive_uri: ``oci://`` URI of an archive with dependencies, or several separated by commas
        (``archiveUri``).
    :param arguments: arguments of the application, a list of strings; ``${name}`` is replaced by the
        parameter of that name (``arguments``).
    :param compartment_id: OCID of the compartment for the run (``compartmentId``). Default: the connection's.
    :param configuration: Spark properties, a dict of strings (``configuration``).
    :param defined_tags: ``{"Namespace": {"Key": "value"}}`` or ``{"Namespace.Key": "value"}``
        (``definedTags``).
    :param display_name: name of the run (``displayName``). Default: the application's.
    :param driver_shape: shape of the driver, for example ``VM.Standard.E4.Flex`` (``driverShape``).
        Default: the application's.
    :param driver_shape_config: ``{"ocpus": 1, "memory_in_gbs": 16}`` for a flexible shape
        (``driverShapeConfig``).
    :param execute: a spark-submit command line without ``spark-submit``, for example
        ``oci://bucket@namespace/app.py --date 2026-01-01``, instead of an application (``execute``).
    :param executor_shape: shape of the executors (``executorShape``). Default: the application's.
    :param executor_shape_config: like ``driver_shape_config``, for the executors (``executorShapeConfig``).
    :param freeform_tags: dict of strings (``freeformTags``).
    :param idle_timeout_in_minutes: minutes without work after which a SESSION run ends
        (``idleTimeoutInMinutes``).
    :param logs_bucket_uri: ``oci://bucket@namespace/`` that receives the logs (``logsBucketUri``).
    :param max_duration_in_minutes: minutes in progress after which the service cancels the run
        (``maxDurationInMinutes``). Default: slightly more than the task's timeout, if it has one, so that the
        run ends even if Airflow cannot cancel it.
    :param metastore_id: OCID of a Data Catalog metastore (``metastoreId``).
    :param num_executors: number of executors (``numExecutors``). Default: the application's.
    :param opc_parent_rpt_url: URL of the parent's resource principal token, required for resource principals
        of version 3 (header ``opc-parent-rpt-url``).
    :param parameters: values of the placeholders, ``{"name": "value"}`` or ``[{"name": ..., "value": ...}]``
        (``parameters``).
    :param pool_id: OCID of the pool that the run uses (``poolId``).
    :param spark_version: only with ``execute``, for example ``3.5.0`` (``sparkVersion``).
    :param type: ``BATCH``, ``STREAMING`` or ``SESSION`` (``type``). Default: the application's.
    :param warehouse_bucket_uri: ``oci://bucket@namespace/`` of the SQL warehouse (``warehouseBucketUri``).
    :param json: further fields of ``CreateRunDetails`` by the API's names; the arguments above override them.

    :param run_id: OCID of an existing run to wait for instead of submitting one; templated. No argument of
        the request may be given with it.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. For the list, see
        :class:`~airflow_provider_dataflow.hooks.data_flow.DataFlowHook`. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated. For the methods
        ``config_file`` and ``security_token``.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait for the end of the run. Default: True. Without it, the task succeeds when
        the run is accepted, and killing the task later does not cancel the run.
    :param target_states: lifecycle states to wait for, each of which is a success. Default: ``SUCCEEDED``.
        For a STREAMING or SESSION run, which continues after its task: ``IN_PROGRESS``.
    :param deferrable: wait in the triggerer, without a worker slot. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: maximum seconds (or a timedelta) between two polls of the run. The wait ends at most
        this long, and a second, after the end of the run. Default: 30.
    :param error_budget: seconds (or a timedelta) for which service errors are retried before the run counts
        as lost. Default: 1800.
    :param submit_timeout: seconds (or a timedelta) from the start of the task for which a submit is retried
        after ``LimitExceeded`` or ``QuotaExceeded``; a deferrable task waits in the triggerer. Default:
        21600 (six hours). Other service errors are retried for ``error_budget``.
    :param completion_timeout: seconds (or a timedelta) from the start of the task to the end of the run, also
        while the task is deferred. Afterwards the run is cancelled and the task fails with ``RunTimedOut``.
        Default: none, or the task's ``execution_timeout``.
    :param cancel_timeout: seconds (or a timedelta) for which a cancel is repeated until the service confirms
        it. Default: 25. Airflow gives a worker about 5 seconds and a triggerer 30.
    :param cancel_on_kill: cancel the run when the task is killed, cleared, or times out. Default: True.
    :param airflow_tags: add freeform tags with the DAG, DAG run, task, map index and try to the run
        (``airflow_dag_id``, ...). A run whose submit got no response is found by them. Default: True.
    :param private_endpoint_guard: before the submit, wait until no run of another application with a private
        endpoint is active, since the service lets only one of them succeed; a deferrable task waits in the
        triggerer, for at most ``submit_timeout``. True searches all compartments that the connection may
        read, a list of OCIDs only these. Before Airflow 3.3, it does not protect two tasks that submit at the
        same moment. Default: False.
    :param if_already_running: what to do if the streaming application has a live run that is not the task's:
        ``fail`` with :class:`~airflow_provider_dataflow.exceptions.AlreadyRunning`, or ``adopt`` it: wait for
        it, and cancel it like an own run. Default: ``fail``.
    :param successor_timeout: seconds (or a timedelta) after the end of a STREAMING run that became STOPPED,
        in which its successor may appear. The task waits for it and goes on with it; if none appears, it
        fails with ``RunStopped``. Default: 3600. Not if ``lifecycleDetails`` say that somebody stopped the
        run, or if STOPPED is a target state.
    :param fetch_logs: when to copy the driver's output into the task's log: ``always`` (during the run, as
        soon as the service stores it, and the rest at the end), ``on_failure`` or ``never``. Default:
        ``always``. A triggerer follows at most 32 runs at a time; the output of others is copied at the end.
    :param start_from_trigger: submit from the triggerer, so that the task needs no worker to start. Implies
        ``deferrable``; needs Airflow 3.3. Airflow features that need a worker are not available, see the
        guide. Default: False.
    :raises InvalidArgument: an argument is invalid; nothing was submitted.
    :raises InvalidConnection: the connection is incomplete; nothing was submitted.
    :raises SubmitRejected: the service refused the submit; no run exists.
    :raises AlreadyRunning: the streaming application has another live run; nothing was submitted.
    :raises RunError: the run ended in another state, timed out, or cannot be read.
    """

    template_fields: Sequence[str] = (*ATTRIBUTES.values(), "json", *TEMPLATED_SETTINGS, *HOOK_ARGUMENTS)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "execute_string": "bash",
        **dict.fromkeys(("application_log_config", "arguments", "configuration", "defined_tags"), "json"),
        **dict.fromkeys(("driver_shape_config", "executor_shape_config", "freeform_tags"), "json"),
        **dict.fromkeys(("parameters", "json"), "json"),
    }
    operator_extra_links = (RunLink(), LogsBucketLink())
    body_arguments = frozenset(RunRequest.argument_names())

    def __init__(
        self,
        *,
        application_id: str | None = None,
        application_log_config: Mapping[str, str] | None = None,
        archive_uri: str | None = None,
        arguments: Sequence[Any] | str | None = None,
        compartment_id: str | None = None,
        configuration: Mapping[str, Any] | str | None = None,
        defined_tags: Mapping[str, Any] | None = None,
        display_name: str | None = None,
        driver_shape: str | None = None,
        driver_shape_config: Mapping[str, Any] | None = None,
        execute: str | None = None,
        executor_shape: str | None = None,
        executor_shape_config: Mapping[str, Any] | None = None,
        freeform_tags: Mapping[str, str] | None = None,
        idle_timeout_in_minutes: int | str | None = None,
        logs_bucket_uri: str | None = None,
        max_duration_in_minutes: int | str | None = None,
        metastore_id: str | None = None,
        num_executors: int | str | None = None,
        opc_parent_rpt_url: str | None = None,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        pool_id: str | None = None,
        spark_version: str | None = None,
        type: str | None = None,
        warehouse_bucket_uri: str | None = None,
        json: Mapping[str, Any] | None = None,
        run_id: str | None = None,
        oci_conn_id: str | None = DataFlowHook.default_conn_name,
        region: str | None = None,
        service_endpoint: str | None = None,
        auth_type: str | None = None,
        config_file: str | None = None,
        profile: str | None = None,
        wait_for_completion: bool | str = True,
        target_states: Collection[str] | str = tuple(SUCCESS_STATES),
        deferrable: bool | str = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: Duration = DEFAULT_POLL_INTERVAL,
        error_budget: Duration = DEFAULT_ERROR_BUDGET,
        submit_timeout: Duration = DEFAULT_SUBMIT_TIMEOUT_SECONDS,
        completion_timeout: Duration | None = None,
        cancel_timeout: Duration = DEFAULT_CANCEL_TIMEOUT_SECONDS,
        cancel_on_kill: bool | str = True,
        airflow_tags: bool | str = True,
        private_endpoint_guard: bool | Sequence[str] | str = False,
        if_already_running: str = "fail",
        successor_timeout: Duration = DEFAULT_SUCCESSOR_TIMEOUT_SECONDS,
        fetch_logs: str = "always",
        start_from_trigger: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            oci_conn_id=oci_conn_id,
            region=region,
            service_endpoint=service_endpoint,
            auth_type=auth_type,
            config_file=config_file,
            profile=profile,
            cancel_on_kill=cancel_on_kill,
            cancel_timeout=cancel_timeout,
            **kwargs,
        )
        self.application_id = application_id
        self.application_log_config = application_log_config
        self.archive_uri = archive_uri
        self.arguments = arguments
        self.compartment_id = compartment_id
        self.configuration = configuration
        self.defined_tags = defined_tags
        self.display_name = display_name
        self.driver_shape = driver_shape
        self.driver_shape_config = driver_shape_config
        # Every operator has a method called execute.
        self.execute_string = execute
        self.executor_shape = executor_shape
        self.executor_shape_config = executor_shape_config
        self.freeform_tags = freeform_tags
        self.idle_timeout_in_minutes = idle_timeout_in_minutes
        self.logs_bucket_uri = logs_bucket_uri
        self.max_duration_in_minutes = max_duration_in_minutes
        self.metastore_id = metastore_id
        self.num_executors = num_executors
        self.opc_parent_rpt_url = opc_parent_rpt_url
        self.parameters = parameters
        self.pool_id = pool_id
        self.spark_version = spark_version
        self.type = type
        self.warehouse_bucket_uri = warehouse_bucket_uri
        self.json = json
        self.run_id = run_id
        self.wait_for_completion: Any = wait_for_completion
        self.target_states: Any = target_states
        self.deferrable: Any = deferrable
        self.poll_interval: Any = poll_interval
        self.error_budget: Any = error_budget
        self.submit_timeout: Any = submit_timeout
        self.completion_timeout: Any = completion_timeout
        self.airflow_tags: Any = airflow_tags
        self.private_endpoint_guard: Any = private_endpoint_guard
        self.if_already_running: Any = if_already_running
        self.successor_timeout: Any = successor_timeout
        self.fetch_logs: Any = fetch_logs
        # Airflow reads this before it renders anything.
        self.start_from_trigger = TASK_SETTINGS["start_from_trigger"].read(
            start_from_trigger, "start_from_trigger"
        )
        # OCIDs of a STREAMING run and those that it followed; empty for another run, None if not known yet.
        self._run_ids: list[str] | None = None
        self._follower: LogFollower | None = None
        # Why no successor is waited for any more.
        self._successor_note: str | None = None
        self.read_settings_at_parse()
        if self.run_id is None:
            RunRequest.check_at_parse(self._request_arguments(), json)
        if self.start_from_trigger:
            self.deferrable = True
            self.start_trigger_args = self._start_trigger_args()

    @called_by_airflow
    def execute(self, context: Context) -> str:
        return self._execute(context)

    def _execute(self, context: Context, submit_failing_since: float | None = None) -> str:
        self.read_settings()
        self._attempt = TaskAttempt.in_worker(context)
        if self.run_id:
            run = self._existing_run()
        else:
            run = self._acquire_run(context, self._attempt, submit_failing_since)
        with self._cancel_unless_retried():
            self._push_run(run, context)
            if not self.wait_for_completion:
                return run.id
            if self.deferrable and not self._is_done(run):
                self._defer(run.id, context, run.compartment_id)
            self._follower = self._log_follower(run)
            ended = self._wait_in_worker(run.id, run.state, context)
            return self._finish(ended, context, self._follower.cursor if self._follower else None)

    def dry_run(self) -> None:
        """Log the request that would be sent, with secrets masked."""
        self.read_settings()
        request = self._request()
        for warning in request.warnings():
            self.log.warning("%s", warning)
        self.log.info("CreateRun would be sent\n%s", request.redacted_text(sensitive_names()))

    def execute_again(
        self, context: Context, event: Any = None, submit_failing_since: float | None = None
    ) -> str:
        """Resume after a deferral that delayed the submit."""
        return self._execute(context, submit_failing_since)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Resume after the trigger's event."""
        end = RunEvent.parse(event)
        self._owned_run_id = end.run_id
        if end.outcome is Outcome.NOT_SUBMITTED:
            raise NotSubmitted(end.message or "The triggerer did not submit the run; its log has the reason")
        log_event(self.log, end)
        if end.outcome is not Outcome.REACHED:
            self._give_up(RunTimedOut if end.outcome is Outcome.TIMEOUT else RunLost, end.state, end.message)
        # The trigger has waited for a successor in vain.
        self._successor_note = end.message
        with self._cancel_unless_retried():
            ended = self._wait_in_worker(end.run_id, end.state, context)
            return self._finish(ended, context, end.log_cursor)

    @called_by_airflow
    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral. Airflow calls this instead of ``execute``.

        If the trigger crashed or timed out, Airflow calls neither ``execute_complete`` nor ``on_kill``. So
        this method replaces the trigger or cancels the run, which would otherwise continue without a task.
        """
        ti = context["ti"]
        self._attempt = TaskAttempt.in_worker(context)
        self._owned_run_id = self._run_before_deferral(ti)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralTimeout, TaskDeferralError) as error:
            if next_method != TRIGGER_FAILED:
                raise
            if self._owned_run_id is None:
                raise trigger_error(error, next_kwargs, "the submit of the run") from None
            if isinstance(error, TaskDeferralTimeout):
                self._give_up(RunTimedOut, None, "The trigger sent no event in time: is a triggerer running?")
            return self._replace_trigger(cause_of_failure(error, next_kwargs), context)

    def _run_before_deferral(self, ti: Any) -> str | None:
        """Return the run that this try had when it was deferred, if it had one."""
        if self.start_from_trigger and not self.run_id:
            # No worker has deleted the XComs of an earlier clear epoch: the run may be from there.
            record = SubmissionRecord.from_json(own_xcom(ti, RECORD_KEY))
            if record is not None:
                if record.clear_epoch != TaskAttempt.in_trigger(ti, 0).clear_epoch:
                    return None
                run_ids = own_xcom(ti, RUN_IDS) or []
                return run_ids[-1] if record.run_id in run_ids else record.run_id
        run_id: str | None = own_xcom(ti, RUN_ID)
        return run_id

    # --- Acquire the run ----------------------------------------------------------------------------------

    def _request_arguments(self) -> dict[str, Any]:
        """Return the fields of the request, by the names of the arguments."""
        return {name: getattr(self, attribute) for name, attribute in ATTRIBUTES.items()}

    def _request(self) -> RunRequest:
        timeout = self._timeout() if self.wait_for_completion else None
        return build_request(self.hook, self._request_arguments(), self.json, timeout=timeout)

    def _existing_run(self) -> Run:
        if others := ", ".join(RunRequest.given(self._request_arguments(), self.json)):
            raise InvalidArgument("run_id", f"names an existing run, so {others} cannot be given")
        self._owned_run_id = self.run_id
        self._run_ids = []
        return self.hook.get_run(str(self.run_id))

    def _acquire_run(self, context: Context, attempt: TaskAttempt, failing_since: float | None) -> Run:
        """Submit the run, or re-attach to, adopt or replace the run of an earlier try."""
        store = task_state_store(context)
        acquirer = RunAcquirer(
            hook=self.hook,
            attempt=attempt,
            records=TaskStateRecordStore(store) if store is not None else None,
            request=self._request(),
            settings=self._acquire_settings(),
            log=self.log,
            raise_if_killed=self._raise_if_killed,
            failing_since=failing_since,
        )
        while True:
            try:
                run = acquirer.acquire()
            except SubmitLater as later:
                self._wait_to_submit(later)
                continue
            self._owned_run_id = run.id
            self._run_ids = acquirer.run_ids if run.type == STREAMING else []
            if self._killed:
                # The task was killed during the submit, when on_kill did not know this run yet.
                self._cancel_owned_run()
            self._raise_if_killed()
            return run

    def _acquire_settings(self) -> AcquireSettings:
        return AcquireSettings(
            error_budget=self.error_budget,
            submit_timeout=self.submit_timeout,
            cancel_timeout=self.cancel_timeout,
            cancel_on_kill=self.cancel_on_kill,
            airflow_tags=self.airflow_tags,
            outlives_task=outlives_task(self.wait_for_completion, self.target_states, self.cancel_on_kill),
            private_endpoint_guard=self.private_endpoint_guard,
            if_already_running=self.if_already_running,
            successor_timeout=self.successor_timeout,
        )

    def _wait_to_submit(self, later: SubmitLater) -> None:
        """Wait, in the triggerer if the task is deferrable."""
        from airflow_provider_dataflow.client.wait import sleep

        self.log.warning("Submitting again in at most %.0f seconds: %s", later.seconds, later)
        until = time.time() + later.seconds
        # If a conflicting run is the reason, wait for its end; otherwise only for the pause.
        if self.deferrable:
            states = LIVE_STATES if later.awaits_successor else TERMINAL_STATES
            trigger = (
                self._trigger(later.run_id, until, states, is_own=False)
                if later.run_id
                else delay_trigger(datetime.fromtimestamp(until, UTC))
            )
            self.defer(
                trigger=trigger,
                method_name=self.execute_again.__name__,
                kwargs={"submit_failing_since": later.failing_since} if later.failing_since else None,
            )
        seconds = min(later.seconds, self.poll_interval) if later.run_id else later.seconds
        sleep(seconds, self._raise_if_killed)

    def _push_run(self, run: Run, context: Context) -> None:
        """Push the run's XComs before anything else can fail: a cancel needs the run id from there."""
        ti = context["ti"]
        ti.xcom_push(key=RUN_ID, value=run.id)
        url = self.hook.run_page_url(run.id)
        ti.xcom_push(key=RUN_PAGE_URL, value=url)
        if bucket_url := self.hook.bucket_page_url(run.logs_bucket_uri):
            ti.xcom_push(key=LOGS_BUCKET_URL, value=bucket_url)
        if run.type == STREAMING:
            self._run_ids = self._run_ids or [run.id]
            ti.xcom_push(key=RUN_IDS, value=self._run_ids)
        if self.deferrable and self.fetch_logs == "always":
            # The trigger reads it, and Airflow logs an error for a missing XCom.
            ti.xcom_push(key=LOG_CURSOR, value={})
        self.log.info("Run %s (%s) is %s: %s", run.id, run.display_name, run.state, url)

    # --- Wait for its end ---------------------------------------------------------------------------------

    def _timeout(self) -> float | None:
        """Return the limit in seconds from the start of the task to the end of the run, if there is one."""
        return tightest(self.completion_timeout, self.execution_timeout)

    def _is_done(self, run: Run) -> bool:
        if has_reached(run.state, self.target_states):
            return True
        return run.is_terminal and not self._follows(run)

    def _follows(self, run: Run) -> bool:
        """Return whether the task goes on with the successor of a run that has ended."""
        return self._successor_note is None and follows(run, self.target_states)

    def _defer(self, run_id: str, context: Context, compartment_id: str | None = None) -> NoReturn:
        if self._run_ids is None:
            self._run_ids = own_xcom(context["ti"], RUN_IDS)
        deadline = None
        if (timeout := self._timeout()) is not None:
            # Airflow does not enforce execution_timeout while a task is deferred, so the trigger does.
            deadline = started_at(context) + timeout
        trigger = self._trigger(run_id, deadline, self.target_states, compartment_id=compartment_id)
        trigger.record(context["ti"].xcom_push)
        self.defer(
            trigger=trigger,
            method_name=self.execute_complete.__name__,
            timeout=backstop(deadline),
        )

    def _trigger(
        self,
        run_id: str,
        deadline: float | None,
        states: Collection[str],
        *,
        compartment_id: str | None = None,
        is_own: bool = True,
    ) -> RunTrigger:
        """Return a trigger that waits for a run.

        :param is_own: False for the run of another task: do not cancel it, and do not copy its logs.
        """
        from airflow_provider_dataflow.triggers.run import RunTrigger

        settings = self._wait_settings()
        if is_own:
            settings["run_ids"] = self._run_ids or None
        else:
            settings |= {"cancel_on_kill": False, "follow_logs": False}
        return RunTrigger(
            run_id=run_id,
            **self.hook_arguments(),
            deadline=deadline,
            compartment_id=compartment_id,
            **settings | {"target_states": states},
        )

    def _wait_settings(self) -> dict[str, Any]:
        """Return the arguments of the trigger that do not depend on the run."""
        return {
            "target_states": self.target_states,
            "poll_interval": self.poll_interval,
            "error_budget": self.error_budget,
            "cancel_on_kill": self.cancel_on_kill,
            "cancel_timeout": self.cancel_timeout,
            "follow_logs": self.fetch_logs == "always",
            "successor_timeout": self.successor_timeout,
        }

    def _start_trigger_args(self) -> StartTriggerArgs:
        """Return the trigger that submits the run. Airflow renders its arguments in the triggerer."""
        from airflow_provider_dataflow.compat import StartTriggerArgs

        check_can_start_from_trigger(self.wait_for_completion)
        trigger_kwargs = given_as_json(
            {
                **self._request_arguments(),
                "json": self.json,
                "run_id": self.run_id,
                **self.hook_arguments(),
            }
        )
        # Refuse invalid values. The result is not needed: the settings below have the same values.
        given_as_json({name: getattr(self, name) for name in TEMPLATED_SETTINGS})
        settings = {
            "submit": asdict(self._acquire_settings()),
            "wait": self._wait_settings(),
            # The trigger uses the shorter one: completion_timeout may be a template, which it renders first.
            "timeout": tightest(self.execution_timeout),
            "completion_timeout": self.completion_timeout,
        }
        return StartTriggerArgs(
            trigger_cls="airflow_provider_dataflow.triggers.submit.SubmitRunTrigger",
            trigger_kwargs={**trigger_kwargs, "settings": settings},
            next_method=self.execute_complete.__name__,
        )

    def _log_follower(self, run: Run) -> LogFollower | None:
        """Return the follower that copies the driver's output, without secrets, during the wait."""
        if self.fetch_logs != "always":
            return None
        from airflow_provider_dataflow.client.logs.follower import LogFollower

        follower = LogFollower(self.hook, run.id, self.log)
        secrets = mask_secrets_of_run(run) | secrets_among(self.templated_arguments())
        follower.hide = partial(without_secrets, secrets=secrets)
        return follower

    def _wait_in_worker(self, run_id: str, last_state: str | None, context: Context) -> Run:
        """Wait for the run, and for its successors after maintenance. Return the last one."""
        while True:
            run = self._wait_for_run(run_id, last_state, context, self.target_states)
            if has_reached(run.state, self.target_states) or not self._follows(run):
                return run
            successor = self._wait_for_successor(run, context)
            if successor is None:
                return run
            self._follow(successor, context)
            run_id, last_state = successor.id, successor.state

    def _wait_for_successor(self, stopped: Run, context: Context) -> Run | None:
        search = SuccessorWait(
            stopped,
            timeout=self.successor_timeout,
            poll_interval=self.poll_interval,
            error_budget=self.error_budget,
            log=self.log,
            deadline=self._deadline(context),
        )
        try:
            found = search.in_worker(self.hook, self._raise_if_killed)
        except TimeoutError:
            self._give_up(RunTimedOut, stopped.state, search.note)
        if not found:
            self._successor_note = search.note
            return None
        self._run_ids = [*(self._run_ids or [stopped.id]), *(run.id for run in found)]
        # One successful read: the list has summaries.
        return self._wait_for_run(found[-1].id, found[-1].state, context, KNOWN_STATES)

    def _follow(self, run: Run, context: Context) -> None:
        """Make a successor the run of the task."""
        self._owned_run_id = run.id
        store = task_state_store(context)
        records = TaskStateRecordStore(store) if store is not None else None
        if records is not None and (record := records.load()) is not None and not self.run_id:
            records.save(record.followed_by(*(self._run_ids or [run.id])))
        self._push_run(run, context)
        if self._follower is not None:
            self._follower.copy_rest()
            self._follower = self._log_follower(run)
        if self.deferrable:
            # An event of a trigger that does not follow successors.
            self._defer(run.id, context, run.compartment_id)

    def _deadline(self, context: Context) -> float | None:
        """Return the end of a wait in the worker. Airflow itself enforces ``execution_timeout`` there."""
        return None if self.completion_timeout is None else started_at(context) + self.completion_timeout

    def _wait_for_run(
        self, run_id: str, last_state: str | None, context: Context, states: Collection[str]
    ) -> Run:
        from airflow_provider_dataflow.client.wait import wait_for_run

        follower = self._follower
        try:
            return wait_for_run(
                self.hook.client,
                run_id,
                states=states,
                poll_interval=self.poll_interval,
                error_budget=self.error_budget,
                deadline=self._deadline(context),
                raise_if_killed=self._raise_if_killed,
                log=self.log,
                last_state=last_state,
                after_poll=follower.copy_new if follower else None,
            )
        except (RunLost, RunTimedOut) as error:
            self._give_up(type(error), error.state, error.note)

    def _replace_trigger(self, error: str, context: Context) -> str:
        """Defer again after the trigger crashed, which says nothing about the run."""
        assert self._owned_run_id is not None  # noqa: S101 - checked by the caller
        ti = context["ti"]
        stored = own_xcom(ti, TRIGGER_FAILURES)
        # By run: with start_from_trigger, the XCom may be from before a clear.
        failures = 1 + (stored.get(self._owned_run_id, 0) if isinstance(stored, dict) else stored or 0)
        if failures > MAX_TRIGGER_FAILURES or not self.deferrable:
            self._give_up(RunLost, None, f"The trigger has failed {failures} times: {error}")
        ti.xcom_push(key=TRIGGER_FAILURES, value={self._owned_run_id: failures})
        self.log.warning(
            "Run %s: its trigger failed; another trigger waits for the run: %s", self._owned_run_id, error
        )
        self._defer(self._owned_run_id, context)

    # --- Finish -------------------------------------------------------------------------------------------

    def _finish(self, run: Run, context: Context, log_cursor: Mapping[str, int] | None = None) -> str:
        """Push the run's last state and usage, and raise unless it reached a target state."""
        from airflow_provider_dataflow.models.usage import Usage

        usage = Usage.of(run)
        ti = context["ti"]
        ti.xcom_push(key=LIFECYCLE_STATE, value=run.state)
        ti.xcom_push(key=USAGE, value=usage.as_dict())
        if run.is_terminal:
            self.log.info("Run %s: %s", run.id, usage)
        finish_wait(
            run,
            self.hook,
            self.log,
            fetch_logs=self.fetch_logs,
            reached_target=has_reached(run.state, self.target_states),
            log_cursor=log_cursor,
            note=self._successor_note,
            secrets=secrets_among(self.templated_arguments()),
        )
        return run.id
