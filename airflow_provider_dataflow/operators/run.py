"""InvokeRunOperator: submits a Spark application to OCI Data Flow and waits for the run."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.arguments.run_arguments import ATTRIBUTES
from airflow_provider_dataflow.arguments.settings import TASK_SETTINGS
from airflow_provider_dataflow.arguments.timeouts import tightest
from airflow_provider_dataflow.compat import (
    NO_EVENT_BEFORE_SECONDS,
    TRIGGER_FAILED,
    TaskDeferralError,
    TaskDeferralTimeout,
    conf,
    delay_trigger,
    own_xcom,
    sensitive_names,
    task_state_store,
)
from airflow_provider_dataflow.exceptions import InvalidArgument, RunError, RunTimedOut, SubmitRejected
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.lineage.operator import LINEAGE_ARGUMENTS, LineageMixin
from airflow_provider_dataflow.links.run import LogsBucketLink, RunLink
from airflow_provider_dataflow.models.argument_values import is_given
from airflow_provider_dataflow.models.run import SUCCESS_STATES, TERMINAL_STATES
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.operators.local_code import LOCAL_CODE_ARGUMENTS, LocalCodeMixin
from airflow_provider_dataflow.operators.retries import RETRY_ARGUMENTS, RetryOnCauseOperator, decides_retry
from airflow_provider_dataflow.operators.start_from_trigger import check_can_start_from_trigger, given_as_json
from airflow_provider_dataflow.operators.trigger_errors import cause_of_failure, trigger_error
from airflow_provider_dataflow.ownership.acquire import RunAcquirer, SubmitLater
from airflow_provider_dataflow.ownership.acquire_settings import AcquireSettings, outlives_task
from airflow_provider_dataflow.ownership.record import SubmissionRecord
from airflow_provider_dataflow.ownership.record_store import RECORD_KEY, TaskStateRecordStore
from airflow_provider_dataflow.ownership.request import build_request
from airflow_provider_dataflow.ownership.successor import LIVE_STATES, STREAMING
from airflow_provider_dataflow.ownership.task_attempt import TaskAttempt
from airflow_provider_dataflow.polling import (
    DEFAULT_CANCEL_TIMEOUT_SECONDS,
    DEFAULT_ERROR_BUDGET,
    DEFAULT_POLL_INTERVAL,
    DEFAULT_SUBMIT_TIMEOUT_SECONDS,
    DEFAULT_SUCCESSOR_TIMEOUT_SECONDS,
    limited,
)
from airflow_provider_dataflow.xcom_keys import (
    RUN_ID,
    RUN_IDS,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context, StartTriggerArgs
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.run import Run

#: Templated arguments that are not fields of the request.
TEMPLATED_SETTINGS = (
    *("run_id", "wait_for_completion", "target_states", "deferrable", "poll_interval", "error_budget"),
    *("submit_timeout", "completion_timeout", "cancel_timeout", "cancel_on_kill", "airflow_tags"),
    *("private_endpoint_guard", "if_already_running", "successor_timeout", "fetch_logs"),
    *LOCAL_CODE_ARGUMENTS,
    *RETRY_ARGUMENTS,
    *LINEAGE_ARGUMENTS,
)


class InvokeRunOperator(LocalCodeMixin, LineageMixin, RetryOnCauseOperator):
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
    ``usage`` (times, hours, cost and bytes, see :class:`~airflow_provider_dataflow.models.usage.Usage`).

    Give ``application_id``, ``execute`` or ``application``. If ``application_id`` and ``execute`` are given,
    the service uses only ``execute``, and the task logs a warning. Local files of ``application``,
    ``py_files``, ``files``, ``jars`` and ``archives`` are uploaded before the submit, see the
    guide. All arguments except ``start_from_trigger`` are templated and accept results of other
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

    :param application: main file of the run: a local path, relative to the folder of the DAG or to its
        bundle, or an ``oci://`` URI. It becomes ``execute``, with the arguments below and ``configuration``.
    :param application_args: arguments of the application, a list of strings.
    :param py_files: Python files, zips and packages (folders), as local paths or URIs: a list, or text with
        commas. Packages are zipped.
    :param files: files for the working folder of the driver and the executors, like ``py_files``;
        ``path#name`` gives one another name there.
    :param jars: jars for the class path, like ``py_files``.
    :param archives: archives with dependencies in Data Flow's layout, as local paths or ``oci://`` URIs
        (``archiveUri``, together with those of ``archive_uri``).
    :param requirements: Python packages that the application needs besides Spark: a list of requirements, or
        the path of a requirements file, relative like ``application``. Their wheels for the Python and the
        platform of the run become an archive, which is uploaded and added to ``archive_uri``. Needs the extra
        ``airflow-provider-dataflow[package]`` on the worker, see the guide "Dependencies".
    :param java_class: main class, if ``application`` is a jar.
    :param staging_uri: bucket or prefix that receives the uploads, ``oci://bucket@namespace/prefix``.
        Default: the connection's, or ``[oci_data_flow] staging_uri``.
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
    :param on_cause: settings of the run that follows a failed one, by the cause of the failure, for example
        ``{"executor_memory": {"executor_shape_config": {"memory_in_gbs": 64}}}``; a list of them is used step
        by step, and further runs keep the last one. A clear starts over without them. See the guide for the
        causes and the arguments that can be set. Not with ``start_from_trigger``. Default: the same settings.
    :param retry_permanent_errors: retry also if the cause is known and the next try would fail in the same
        way, such as a missing module. False fails the task at once then, with the exception
        ``AirflowFailException``. On Airflow 3.3 and newer, ``DataFlowRetryPolicy`` does more. Default: True.
    :param openlineage_inject_parent_job_info: add Spark properties with the ids of the task, so that events
        of OpenLineage's Spark listener name it as their parent; see the guide "Lineage". Properties that the
        run or its application has are kept. Default: ``[openlineage] spark_inject_parent_job_info`` of
        Airflow's configuration.
    :param openlineage_inject_transport_info: add Spark properties with the address, the key and the headers
        with which Airflow sends its own events. Everyone who may read the run can read them. Default:
        ``[openlineage] spark_inject_transport_info``.
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
        **dict.fromkeys(("parameters", "json", "application_args"), "json"),
    }
    operator_extra_links = (RunLink(), LogsBucketLink())
    body_arguments = frozenset(RunRequest.argument_names())
    # Read by Airflow's registry of providers: a new try continues the run, without ResumableJobMixin. The
    # name is private to the class, so a subclass with an "execute" of its own does not claim it.
    __supports_durable_execution: ClassVar[bool] = True

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
        application: str | None = None,
        application_args: Sequence[Any] | str | None = None,
        py_files: Sequence[str] | str | None = None,
        files: Sequence[str] | str | None = None,
        jars: Sequence[str] | str | None = None,
        archives: Sequence[str] | str | None = None,
        requirements: Sequence[str] | str | None = None,
        java_class: str | None = None,
        staging_uri: str | None = None,
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
        on_cause: Mapping[str, Any] | None = None,
        retry_permanent_errors: bool | str = True,
        openlineage_inject_parent_job_info: bool | str = conf.getboolean(
            "openlineage", "spark_inject_parent_job_info", fallback=False
        ),
        openlineage_inject_transport_info: bool | str = conf.getboolean(
            "openlineage", "spark_inject_transport_info", fallback=False
        ),
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
            openlineage_inject_parent_job_info=openlineage_inject_parent_job_info,
            openlineage_inject_transport_info=openlineage_inject_transport_info,
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
        self.application: Any = application
        self.application_args: Any = application_args
        self.py_files: Any = py_files
        self.files: Any = files
        self.jars: Any = jars
        self.archives: Any = archives
        self.requirements: Any = requirements
        self.java_class: Any = java_class
        self.staging_uri: Any = staging_uri
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
        self.on_cause: Any = on_cause
        self.retry_permanent_errors: Any = retry_permanent_errors
        # Airflow reads this before it renders anything.
        self.start_from_trigger = TASK_SETTINGS["start_from_trigger"].read(
            start_from_trigger, "start_from_trigger"
        )
        self.read_settings_at_parse()
        if self.run_id is None:
            self._check_local_code(self._request_arguments(), json)
            RunRequest.check_at_parse(self._request_arguments_beside_code(self._request_arguments()), json)
        if self.start_from_trigger:
            self._refuse_start_from_trigger()
            self._refuse_on_cause_in_triggerer()
            self.deferrable = True
            self.start_trigger_args = self._start_trigger_args()

    @called_by_airflow
    @decides_retry
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
        request, upload = self._with_local_code(self._request(), None)
        if upload is not None:
            request, _ = upload({})
        for warning in request.warnings():
            self.log.warning("%s", warning)
        self.log.info("CreateRun would be sent\n%s", request.redacted_text(sensitive_names()))

    def execute_again(
        self, context: Context, event: Any = None, submit_failing_since: float | None = None
    ) -> str:
        """Resume after a deferral that delayed the submit."""
        return self._execute(context, submit_failing_since)

    @called_by_airflow
    @decides_retry
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
        self._check_local_code(self._request_arguments(), self.json)
        arguments = self._request_arguments_beside_code(self._request_arguments())
        return build_request(self.hook, arguments, self.json, timeout=timeout)

    def _existing_run(self) -> Run:
        given = [*RunRequest.given(self._request_arguments(), self.json), *self._code_given()]
        given += ["on_cause"] if is_given(self.on_cause) else []
        if others := ", ".join(given):
            raise InvalidArgument("run_id", f"names an existing run, so {others} cannot be given")
        self._owned_run_id = self.run_id
        self._run_ids = []
        return self.hook.get_run(str(self.run_id))

    def _acquire_run(self, context: Context, attempt: TaskAttempt, failing_since: float | None) -> Run:
        """Submit the run, or re-attach to, adopt or replace the run of an earlier try."""
        store = task_state_store(context)
        request, upload = self._with_local_code(self._request(), context)
        acquirer = RunAcquirer(
            hook=self.hook,
            attempt=attempt,
            records=TaskStateRecordStore(store) if store is not None else None,
            request=request,
            upload=upload,
            add_lineage=self._spark_lineage(context),
            # A run that is submitted after the task's limit would be cancelled at once.
            settings=self._acquire_settings().limited(
                self._timeout() if self.wait_for_completion else self.execution_timeout
            ),
            log=self.log,
            raise_if_killed=self._raise_if_killed,
            failing_since=failing_since,
        )
        try:
            while True:
                try:
                    run = acquirer.acquire()
                    break
                except SubmitLater as later:
                    self._wait_to_submit(later)
        except Exception as error:
            self._cancel_unconfirmed_run(acquirer, error)
            raise
        self._owned_run_id = run.id
        self._run_ids = acquirer.run_ids if run.type == STREAMING else []
        if self._killed:
            # The task was killed during the submit, when on_kill did not know this run yet.
            self._cancel_owned_run()
        self._raise_if_killed()
        return run

    def _cancel_unconfirmed_run(self, acquirer: RunAcquirer, error: Exception) -> None:
        """Cancel a run that may exist although :meth:`_acquire_run` has failed, if no try will look for it.

        Its submit may have got no response, or the task may have been killed before it was recorded.
        """
        assert self._attempt is not None  # noqa: S101 - set by execute
        is_final = self._attempt.is_last or not self._may_be_retried(error)
        if isinstance(error, (RunError, SubmitRejected)) or not (is_final or self._killed):
            return
        try:
            run = acquirer.find_unconfirmed_run()
        except Exception as failure:  # noqa: BLE001 - must not hide the error
            self.log.error("A run may have been submitted, and may still be running: %s", failure)
            return
        if run is None or run.is_terminal:
            return
        self._owned_run_id = run.id
        if not self._killed or not self._next_try_reattaches():
            self._cancel_owned_run()

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
            on_cause=self.on_cause,
        )

    def _wait_to_submit(self, later: SubmitLater) -> None:
        """Wait, in the triggerer if the task is deferrable."""
        from airflow_provider_dataflow.client.wait import sleep

        self.log.warning("Submitting again in at most %.0f seconds: %s", later.seconds, later)
        until = time.time() + later.seconds
        no_event_before = time.time() + NO_EVENT_BEFORE_SECONDS
        # If a conflicting run is the reason, wait for its end; otherwise only for the pause.
        if self.deferrable:
            states = LIVE_STATES if later.awaits_successor else TERMINAL_STATES
            trigger = (
                self._trigger(later.run_id, until, states, is_own=False)
                if later.run_id
                else delay_trigger(datetime.fromtimestamp(max(until, no_event_before), UTC))
            )
            self.defer(
                trigger=trigger,
                method_name=self.execute_again.__name__,
                kwargs={"submit_failing_since": later.failing_since} if later.failing_since else None,
            )
        seconds = limited(min(later.seconds, self.poll_interval) if later.run_id else later.seconds)
        sleep(seconds, self._raise_if_killed)

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
            "lineage": {name: getattr(self, name) for name in LINEAGE_ARGUMENTS},
            # The trigger uses the shorter one: completion_timeout may be a template, which it renders first.
            "timeout": tightest(self.execution_timeout),
            "completion_timeout": self.completion_timeout,
        }
        return StartTriggerArgs(
            trigger_cls="airflow_provider_dataflow.triggers.submit.SubmitRunTrigger",
            trigger_kwargs={**trigger_kwargs, "settings": settings},
            next_method=self.execute_complete.__name__,
        )
