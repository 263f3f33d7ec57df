"""InvokeRunOperator: runs a Spark application on OCI Data Flow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow_provider_dataflow.compat import TRIGGER_FAILED, BaseOperator, conf
from airflow_provider_dataflow.events import Outcome, RunEvent
from airflow_provider_dataflow.exceptions import DataFlowError, RunError, RunLost, RunTimedOut
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.links.run import RUN_PAGE_URL, RunLink
from airflow_provider_dataflow.operators.outcome import check_fetch_logs, finish, log_end_of_wait
from airflow_provider_dataflow.polling import DEFAULT_ERROR_BUDGET, DEFAULT_POLL_INTERVAL
from airflow_provider_dataflow.request import RunRequest
from airflow_provider_dataflow.run import SUCCESS_STATES
from airflow_provider_dataflow.submission import TaskIdentity, retry_token
from airflow_provider_dataflow.triggers.run import RUN_ID, RunTrigger

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.run import Run

#: The argument ``execute`` cannot be an attribute of that name: every operator has a method called so.
ATTRIBUTES = {name: "execute_string" if name == "execute" else name for name in RunRequest.argument_names()}

#: Seconds that the trigger is given over its deadline before Airflow's own timeout of the deferral strikes.
DEFERRAL_MARGIN = 300


class InvokeRunOperator(BaseOperator):
    """Submits a run to OCI Data Flow and, by default, waits for its end.

    The run's OCID is pushed to XCom as ``run_id`` right after the submit, its page as ``run_page_url``; the
    OCID is also the task's result. A run that does not end SUCCEEDED fails the task with
    :class:`~airflow_provider_dataflow.exceptions.RunFailed`, ``RunCanceled`` or ``RunStopped``, which carry
    the run id, the state, ``lifecycle_details`` and the end of the driver's stderr. A task that is killed
    cancels its run, deferred or not.

    Give exactly one of ``application_id`` and ``execute``. All arguments up to ``json`` are templated, and
    are the fields of the API's ``CreateRunDetails``; values are converted to the type that the API wants.

    :param application_id: OCID of the application to run (``applicationId``).
    :param application_log_config: ``{"log_group_id": ..., "log_id": ...}``, OCIDs of the log in OCI Logging
        (``applicationLogConfig``).
    :param archive_uri: ``oci://`` URI of an archive with dependencies, or several with commas between
        (``archiveUri``).
    :param arguments: arguments of the application, a list of strings; ``${name}`` stands for the parameter of
        that name (``arguments``).
    :param compartment_id: OCID of the compartment for the run (``compartmentId``). Default: the connection's.
    :param configuration: Spark properties, a dict of strings (``configuration``).
    :param defined_tags: ``{"Namespace": {"Key": "value"}}`` or ``{"Namespace.Key": "value"}``
        (``definedTags``).
    :param display_name: name of the run (``displayName``). Default: the application's.
    :param driver_shape: shape of the driver, for example ``VM.Standard.E4.Flex`` (``driverShape``).
        Default: the application's.
    :param driver_shape_config: ``{"ocpus": 1, "memory_in_gbs": 16}`` of a flexible shape
        (``driverShapeConfig``).
    :param execute: a spark-submit command line without ``spark-submit``, for example
        ``oci://bucket@namespace/app.py --date 2026-01-01``, instead of an application (``execute``).
    :param executor_shape: shape of the executors (``executorShape``). Default: the application's.
    :param executor_shape_config: as ``driver_shape_config``, of the executors (``executorShapeConfig``).
    :param freeform_tags: dict of strings (``freeformTags``).
    :param idle_timeout_in_minutes: minutes without work after which a SESSION run ends
        (``idleTimeoutInMinutes``).
    :param logs_bucket_uri: ``oci://bucket@namespace/`` that gets the logs (``logsBucketUri``).
    :param max_duration_in_minutes: minutes in progress after which the service cancels the run
        (``maxDurationInMinutes``).
    :param metastore_id: OCID of a Data Catalog metastore (``metastoreId``).
    :param num_executors: number of executors (``numExecutors``). Default: the application's.
    :param opc_parent_rpt_url: URL of the parent's resource principal token, wanted by resource principals of
        version 3 (the header ``opc-parent-rpt-url``).
    :param parameters: values of the placeholders, ``{"name": "value"}`` or ``[{"name": ..., "value": ...}]``
        (``parameters``).
    :param pool_id: OCID of the pool to run in (``poolId``).
    :param spark_version: with ``execute`` only, for example ``3.5.0`` (``sparkVersion``).
    :param type: ``BATCH``, ``STREAMING`` or ``SESSION`` (``type``). Default: the application's.
    :param warehouse_bucket_uri: ``oci://bucket@namespace/`` of the SQL warehouse (``warehouseBucketUri``).
    :param json: further fields of ``CreateRunDetails`` by the API's own names; the arguments above win.

    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param wait_for_completion: wait for the end of the run. Default: True. Without it the task succeeds as
        soon as the run is accepted, and is not cancelled by a kill later on.
    :param deferrable: wait in the triggerer, without a worker slot. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds between two looks at the run. Default: 30.
    :param error_budget: seconds for which the service may be out of reach before the run counts as lost.
        Default: 1800.
    :param cancel_on_kill: cancel the run when the task is killed, cleared, or times out. Default: True.
    :param fetch_logs: when the driver's output is copied into the task's log: ``always``, ``on_failure`` or
        ``never``. Default: ``always``.
    :raises InvalidArgument: an argument is refused, before anything is submitted.
    :raises InvalidConnection: the connection is incomplete, before anything is submitted.
    :raises SubmitRejected: the service refused; no run exists.
    :raises RunError: the run did not end as it should.
    """

    template_fields: Sequence[str] = (*ATTRIBUTES.values(), "json", "oci_conn_id", "region")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "execute_string": "bash",
        **dict.fromkeys(("application_log_config", "arguments", "configuration", "defined_tags"), "json"),
        **dict.fromkeys(("driver_shape_config", "executor_shape_config", "freeform_tags"), "json"),
        **dict.fromkeys(("parameters", "json"), "json"),
    }
    operator_extra_links = (RunLink(),)
    ui_color = "#f4e6e1"

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
        oci_conn_id: str = DataFlowHook.default_conn_name,
        region: str | None = None,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = DEFAULT_POLL_INTERVAL,
        error_budget: float = DEFAULT_ERROR_BUDGET,
        cancel_on_kill: bool = True,
        fetch_logs: str = "always",
        **kwargs: Any,
    ) -> None:
        # First of all, while it holds nothing but the arguments: what a run can be asked for is spelled out
        # in RunRequest and in the signature, and nowhere else.
        given = dict(locals())
        super().__init__(**kwargs)
        for name, attribute in ATTRIBUTES.items():
            setattr(self, attribute, given[name])
        self.json = json
        self.oci_conn_id = oci_conn_id
        self.region = region
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.error_budget = error_budget
        self.cancel_on_kill = cancel_on_kill
        self.fetch_logs = check_fetch_logs(fetch_logs)
        self.run_id: str | None = None
        self._killed = False

    @cached_property
    def hook(self) -> DataFlowHook:
        return DataFlowHook(self.oci_conn_id, region=self.region)

    def execute(self, context: Context) -> str:
        request = self._request()
        run = self.hook.create_run(request, self._retry_token(context))
        self.run_id = run.id
        self._record(run, context)
        if not self.wait_for_completion:
            return run.id
        if self.deferrable:
            self._defer(run, context)
        return self._finish(self._wait(run.id, run.state))

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> str:
        """Go on where the trigger ended."""
        end = RunEvent.parse(event)
        self.run_id = end.run_id
        log_end_of_wait(self.log, end)
        if end.outcome is Outcome.REACHED:
            return self._finish(self._wait(end.run_id, end.state))
        self._give_up(RunTimedOut if end.outcome is Outcome.TIMEOUT else RunLost, end.state, end.message)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Called by Airflow instead of ``execute`` after a deferral.

        When the trigger itself failed or timed out, this is all that is called: no ``on_kill``, no
        ``execute_complete``. The run would go on unwatched.
        """
        ti = context["ti"]
        self.run_id = ti.xcom_pull(task_ids=ti.task_id, key=RUN_ID, map_indexes=ti.map_index)
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except Exception:
            if next_method == TRIGGER_FAILED:
                self._cancel()
            raise

    def on_kill(self) -> None:
        """Cancel the run. Called by Airflow in the worker's process when the task is killed."""
        # Airflow lets the code that was interrupted go on; the wait looks at this.
        self._killed = True
        self._cancel()

    def _request(self) -> RunRequest:
        arguments = {name: getattr(self, attribute) for name, attribute in ATTRIBUTES.items()}
        if not arguments["compartment_id"] and "compartmentId" not in (self.json or {}):
            arguments["compartment_id"] = self.hook.compartment_id
        request = RunRequest.build(arguments, self.json)
        request.check()
        return request

    def _retry_token(self, context: Context) -> str:
        ti = context["ti"]
        identity = TaskIdentity(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
        )
        return retry_token(identity, max_tries=ti.max_tries, submission=ti.try_number)

    def _record(self, run: Run, context: Context) -> None:
        """Before anything else that can fail: who cancels a run must know which, and whose it is."""
        ti = context["ti"]
        ti.xcom_push(key=RUN_ID, value=run.id)
        url = self.hook.run_page_url(run.id)
        ti.xcom_push(key=RUN_PAGE_URL, value=url)
        self.log.info("Run %s (%s) is %s: %s", run.id, run.display_name, run.state, url)

    def _defer(self, run: Run, context: Context) -> None:
        deadline, timeout = None, None
        if self.execution_timeout:
            # Airflow does not enforce it while a task is deferred, so the trigger does. Airflow's own timeout
            # of the deferral is for a trigger that does not even get to that.
            deadline = context["ti"].start_date.timestamp() + self.execution_timeout.total_seconds()
            timeout = timedelta(seconds=max(deadline - time.time(), 0) + DEFERRAL_MARGIN)
        self.defer(
            trigger=RunTrigger(
                run_id=run.id,
                oci_conn_id=self.oci_conn_id,
                region=self.region,
                poll_interval=self.poll_interval,
                deadline=deadline,
                error_budget=self.error_budget,
                cancel_on_kill=self.cancel_on_kill,
            ),
            method_name="execute_complete",
            timeout=timeout,
        )

    def _wait(self, run_id: str, last_state: str | None) -> Run:
        from airflow_provider_dataflow.client.waiting import wait_for_run

        try:
            return wait_for_run(
                self.hook.client,
                run_id,
                states=SUCCESS_STATES,
                poll_interval=self.poll_interval,
                error_budget=self.error_budget,
                check=self._raise_if_killed,
                on_change=lambda run: self.log.info("Run %s is %s", run.id, run.state),
                last_state=last_state,
            )
        except RunLost as error:
            self._give_up(RunLost, error.state, error.note)

    def _raise_if_killed(self) -> None:
        if self._killed:
            raise DataFlowError(f"The task was killed while it waited for run {self.run_id}")

    def _give_up(self, kind: type[RunError], state: str | None, note: str | None) -> NoReturn:
        """End a wait that has not seen the run's end, without leaving the run behind."""
        assert self.run_id is not None  # noqa: S101 - nothing is waited for without it
        cancelled = self._cancel()
        raise kind(
            run_id=self.run_id,
            state=state,
            url=self.hook.run_page_url(self.run_id),
            note="; ".join(filter(None, (note, cancelled))),
        )

    def _finish(self, run: Run) -> str:
        finish(run, self.hook, self.log, fetch_logs=self.fetch_logs)
        return run.id

    def _cancel(self) -> str | None:
        """Ask for the run's cancel, if it is known and that is wanted. Never raises; says what came of it."""
        if not self.run_id or not self.cancel_on_kill:
            return None
        try:
            # Not self.hook.client: this may have interrupted one of its calls.
            self.hook.new_client().cancel_run(self.run_id)
        except Exception as error:  # noqa: BLE001 - a failed cancel must not hide why it was asked for
            self.log.error("Run %s could not be cancelled and may still be running: %s", self.run_id, error)
            return f"the run could not be cancelled and may still be running: {error}"
        self.log.info("Run %s: cancel requested", self.run_id)
        return "the run's cancel was requested"
