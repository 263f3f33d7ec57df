"""SubmitRunTrigger: submits a run and waits for it, so that the task needs no worker to start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from airflow_provider_dataflow.arguments.run_arguments import ATTRIBUTES
from airflow_provider_dataflow.arguments.settings import TASK_SETTINGS, Setting
from airflow_provider_dataflow.arguments.templates import NestedTemplatesMixin
from airflow_provider_dataflow.arguments.timeouts import tightest
from airflow_provider_dataflow.client.threads import call_with_timeout, in_thread, start
from airflow_provider_dataflow.compat import is_younger_than, push_xcom
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.record_store import XComRecordStore
from airflow_provider_dataflow.ownership.task_attempt import TaskAttempt
from airflow_provider_dataflow.polling import MAX_CONCURRENT_SUBMITS
from airflow_provider_dataflow.triggers.cancel_on_kill import CancelOnKillTrigger
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.triggers.run import RunTrigger
from airflow_provider_dataflow.xcom_keys import (
    LIFECYCLE_STATE,
    LOG_CURSOR,
    LOGS_BUCKET_URL,
    RUN_ID,
    RUN_IDS,
    RUN_PAGE_URL,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.lineage.spark_properties import SparkLineage
    from airflow_provider_dataflow.models.run import Run
    from airflow_provider_dataflow.ownership.acquire import RunAcquirer

#: Limit for finding out, after a kill, whether a submit without a response has created a run.
FIND_RUN_TIMEOUT_SECONDS = 60.0

#: Pause between polls of a conflicting run.
CONFLICT_PAUSE_SECONDS = 60.0

#: A first trigger starts within this time after its task instance was created.
FIRST_START_SECONDS = 120.0


class SubmitRunTrigger(NestedTemplatesMixin, CancelOnKillTrigger):
    """Submits the run of a task that starts in the triggerer, and waits for it.

    Created by :class:`~airflow_provider_dataflow.operators.run.InvokeRunOperator` with
    ``start_from_trigger=True``. Airflow renders the arguments in the triggerer. After a restart, the
    triggerer finds the run by its record in XCom, and a submit without a response by its retry token.

    :param json: raw body of the request.
    :param run_id: OCID of an existing run to wait for instead of submitting one.
    :param settings: ``submit``: fields of
        :class:`~airflow_provider_dataflow.ownership.acquire_settings.AcquireSettings`; ``wait``: arguments of
        :class:`~airflow_provider_dataflow.triggers.run.RunTrigger`; ``lineage``: those of
        :class:`~airflow_provider_dataflow.lineage.operator.LineageMixin`; ``timeout`` and
        ``completion_timeout``: seconds from the submit to the end of the run; the shorter one counts.
    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.DataFlowTrigger`.

    The other arguments are those of the operator that describe the run, by the names of its attributes.
    """

    serialized_fields = (*HOOK_ARGUMENTS, "json", "run_id", "settings", *ATTRIBUTES.values())

    def __init__(
        self,
        *,
        settings: Mapping[str, Any],
        json: Any = None,
        run_id: str | None = None,
        application_id: Any = None,
        application_log_config: Any = None,
        archive_uri: Any = None,
        arguments: Any = None,
        compartment_id: Any = None,
        configuration: Any = None,
        defined_tags: Any = None,
        display_name: Any = None,
        driver_shape: Any = None,
        driver_shape_config: Any = None,
        execute_string: Any = None,
        executor_shape: Any = None,
        executor_shape_config: Any = None,
        freeform_tags: Any = None,
        idle_timeout_in_minutes: Any = None,
        logs_bucket_uri: Any = None,
        max_duration_in_minutes: Any = None,
        metastore_id: Any = None,
        num_executors: Any = None,
        opc_parent_rpt_url: Any = None,
        parameters: Any = None,
        pool_id: Any = None,
        spark_version: Any = None,
        type: Any = None,
        warehouse_bucket_uri: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(settings, Mapping):
            # The one error for which Airflow fails the trigger and not the triggerer.
            raise TypeError(f"settings: expected a dict, got {settings!r}")
        self.settings: dict[str, Any] = dict(settings)
        self.json = json
        self.run_id = run_id
        # Attributes, because Airflow renders those that have the names of the operator's template fields.
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
        self.execute_string = execute_string
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
        self._submit: Future[Run] | None = None
        self._acquirer: RunAcquirer | None = None
        self._run: Run | None = None
        self._run_trigger: RunTrigger | None = None
        self._killed = False
        self._context: Context | None = None

    def read_setting(self, name: str, value: Any, setting: Setting | None = None) -> Any:
        """Return the value as it is, since it may be a template. :meth:`_read_settings` reads it later."""
        return value

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render the template fields and ``settings``, which is none. Called by Airflow before ``run``."""
        super().render_template_fields(context, jinja_env)
        self._context = context
        self.settings = self.render_template(self.settings, context, jinja_env)

    @property
    def cancel_on_kill(self) -> bool:  # type: ignore[override]
        return bool(self.settings["wait"]["cancel_on_kill"])

    async def wait(self) -> RunEvent:
        try:
            run = await self._submit_in_thread()
        except DataFlowError as error:
            self.log.error("No run was submitted: %s", error)
            return RunEvent(Outcome.NOT_SUBMITTED, "", message=str(error), cause=error.cause)
        self._run_trigger = await in_thread(partial(self._trigger_with_deadline, run))
        return await self._run_trigger.wait()

    async def on_kill(self) -> None:
        """Cancel the run, also one whose submit is in progress, unless the task still waits for it."""
        self._killed = True
        await super().on_kill()

    def cancel_unless_awaited(self) -> None:
        if self._submit is not None:
            # The thread of the submit sees the kill and ends soon.
            wait({self._submit})
        try:
            if self._run_trigger is None and (run := self._run or self._find_unconfirmed_run()):
                self._run_trigger = self._trigger(run)
        except Exception as error:  # noqa: BLE001 - nothing else would report it
            self.log.error("A run may have been submitted, and may still be running: %s", error)
        if self._run_trigger is not None:
            self._run_trigger.cancel_unless_awaited()

    def _find_unconfirmed_run(self) -> Run | None:
        """Return the run of a submit without a response, unless another trigger or try will look for it."""
        if self._acquirer is None:
            return None
        task = self.task_state(RUN_ID)
        if task is None or task.state == "deferred":
            self.log.warning(
                "The submit of this task got no response; the next try or triggerer checks if a run exists"
            )
            return None
        return call_with_timeout(FIND_RUN_TIMEOUT_SECONDS, self._acquirer.find_unconfirmed_run)

    async def _submit_in_thread(self) -> Run:
        from airflow_provider_dataflow.ownership.acquire import SubmitLater

        started = time.time()
        failing_since: float | None = None
        while True:
            try:
                async with _submit_slots():
                    # A thread cannot be cancelled. A kill waits for it, so that the run is known.
                    self._submit = start(partial(self._acquire, started, failing_since))
                    return await asyncio.shield(asyncio.wrap_future(self._submit))
            except SubmitLater as later:
                self._submit, failing_since = None, later.failing_since
                pause = min(later.seconds, CONFLICT_PAUSE_SECONDS) if later.run_id else later.seconds
                self.log.warning("Submitting again in %.0f seconds: %s", pause, later)
                await asyncio.sleep(pause)

    # --- In a thread ----------------------------------------------------------------------------------------

    def _acquire(self, started: float, failing_since: float | None) -> Run:
        self._read_settings()
        hook = self.hook
        records = XComRecordStore(self._identity, assume_empty=self._is_first_start())
        if self.run_id:
            run, is_new = hook.get_run(self.run_id), records.assume_empty
        else:
            run = self._submit_or_reuse(hook, started, records, failing_since)
            is_new = records.first_loaded_epoch != self._epoch
        # Before anything else can fail, so that a kill finds the run.
        self._run, self._context = run, None
        url = hook.run_page_url(run.id)
        # No worker deletes the XComs of an earlier clear epoch: that state was another run's.
        push_xcom(self._identity, LIFECYCLE_STATE, None)
        for key, value in (
            # The wait reads it, and Airflow logs an error for a missing XCom.
            (LOG_CURSOR, {} if is_new else None),
            (RUN_ID, run.id),
            (RUN_PAGE_URL, url),
            (RUN_IDS, self._run_ids_of(run)),
            (LOGS_BUCKET_URL, hook.bucket_page_url(run.logs_bucket_uri)),
        ):
            if value is not None:
                push_xcom(self._identity, key, value)
        self._trigger(run).record(partial(push_xcom, self._identity))
        self.log.info("Run %s (%s) is %s: %s", run.id, run.display_name, run.state, url)
        return run

    def _read_settings(self) -> None:
        """Check the rendered settings before the submit. Once there is a run, replace unusable ones instead.

        :raises InvalidArgument: a setting is unusable, and nothing has been submitted.
        """
        try:
            self._read_rendered_settings(_read_or_raise)
        except InvalidArgument:
            # A row of another version, or a template that renders to something else after a restart.
            record = XComRecordStore(self._identity).load()
            if record is None or record.clear_epoch != self._epoch:
                raise
            self._read_rendered_settings(self._read_or_replace)

    def _read_or_replace(self, name: str, value: Any) -> Any:
        try:
            return _read_or_raise(name, value)
        except InvalidArgument as error:
            replacement = TASK_SETTINGS[name].if_unusable
            self.log.warning("%s Using %r instead.", error, replacement)
            return replacement

    def _read_rendered_settings(self, read: Callable[[str, Any], Any]) -> None:
        oci_conn_id = read("oci_conn_id", self.oci_conn_id)
        region = read("region", self.region)
        service_endpoint = read("service_endpoint", self.service_endpoint)
        auth_type = read("auth_type", self.auth_type)
        config_file = read("config_file", self.config_file)
        profile = read("profile", self.profile)
        run_id = read("run_id", self.run_id)
        settings: dict[str, Any] = {
            part: {name: read(name, value) for name, value in self.settings[part].items()}
            for part in ("submit", "wait", "lineage")
            # Rows of earlier versions have no lineage.
            if part in self.settings
        }
        wait = settings["wait"]
        if "target_states" in wait and "outlives_task" in settings["submit"]:
            from airflow_provider_dataflow.ownership.acquire_settings import outlives_task

            settings["submit"]["outlives_task"] = outlives_task(
                True, wait["target_states"], wait["cancel_on_kill"]
            )
        completion_timeout = read("completion_timeout", self.settings.get("completion_timeout"))
        timeout = tightest(completion_timeout, read("timeout", self.settings.get("timeout")))
        # Only now that all are read: after an error, _read_settings reads the original values again.
        self.oci_conn_id = oci_conn_id
        self.region = region
        self.service_endpoint = service_endpoint
        self.auth_type = auth_type
        self.config_file = config_file
        self.profile = profile
        self.run_id = run_id
        self.settings = {**self.settings, **settings, "timeout": timeout}

    def _submit_or_reuse(
        self, hook: DataFlowHook, started: float, records: XComRecordStore, failing_since: float | None
    ) -> Run:
        from airflow_provider_dataflow.arguments.masking import mask_secrets
        from airflow_provider_dataflow.ownership.acquire import RunAcquirer
        from airflow_provider_dataflow.ownership.acquire_settings import AcquireSettings
        from airflow_provider_dataflow.ownership.request import build_request

        arguments = {name: getattr(self, attribute) for name, attribute in ATTRIBUTES.items()}
        mask_secrets(arguments, self.json)
        # A run that is submitted after the task's limit would be cancelled at once.
        settings = AcquireSettings.from_row(self.settings["submit"]).limited(self.settings.get("timeout"))
        self._acquirer = RunAcquirer(
            hook=hook,
            attempt=TaskAttempt.in_trigger(self.task_instance, started),
            records=records,
            request=build_request(hook, arguments, self.json, timeout=self.settings.get("timeout")),
            # Rows of earlier versions have cancel_on_kill only among the arguments of the wait.
            settings=replace(settings, cancel_on_kill=self.cancel_on_kill),
            log=self.log,
            raise_if_killed=self._raise_if_killed,
            failing_since=failing_since,
            add_lineage=self._spark_lineage(hook),
        )
        return self._acquirer.acquire()

    def _spark_lineage(self, hook: DataFlowHook) -> SparkLineage | None:
        if self._context is None or "lineage" not in self.settings:
            return None
        from airflow_provider_dataflow.lineage.spark_properties import SparkLineage

        lineage = self.settings["lineage"]
        return SparkLineage(
            hook=hook,
            context=self._context,
            parent_job_info=lineage.get("openlineage_inject_parent_job_info", False),
            transport_info=lineage.get("openlineage_inject_transport_info", False),
            log=self.log,
        )

    def _trigger_with_deadline(self, run: Run) -> RunTrigger:
        deadline = None
        if (timeout := self.settings.get("timeout")) is not None:
            # From the recorded submit, so that a restart of the triggerer does not extend the deadline.
            record = None if self.run_id else XComRecordStore(self._identity).load()
            deadline = (record.time if record else time.time()) + timeout
        return self._trigger(run, deadline)

    def _trigger(self, run: Run, deadline: float | None = None) -> RunTrigger:
        trigger = RunTrigger(
            run_id=run.id,
            **self.hook_arguments(),
            deadline=deadline,
            compartment_id=run.compartment_id,
            run_ids=self._run_ids_of(run),
            **self.settings["wait"],
        )
        trigger.task_instance = self.task_instance
        return trigger

    def _run_ids_of(self, run: Run) -> list[str] | None:
        """Return the OCIDs of a STREAMING run and of those that it followed after maintenance."""
        if run.type != "STREAMING":
            return None
        return (self._acquirer.run_ids if self._acquirer is not None else None) or [run.id]

    def _raise_if_killed(self) -> None:
        if self._killed:
            raise DataFlowError("The task was killed before it had a run")

    @property
    def _identity(self) -> TaskIdentity:
        return TaskIdentity.of(self.task_instance)

    @property
    def _epoch(self) -> int:
        return TaskAttempt.in_trigger(self.task_instance, 0).clear_epoch

    def _is_first_start(self) -> bool:
        """Return whether no trigger can have recorded a submit of this task before, judged by its age.

        Airflow logs an error for a missing XCom, so the record is not read then. If the triggerer was
        restarted within these seconds, the run is found by its token or tags. For an older task, the error is
        logged once.
        """
        submit, ti = self.settings["submit"], self.task_instance
        return bool(
            ti is not None
            and ti.try_number == 1
            and submit.get("airflow_tags", True)
            and not submit.get("private_endpoint_guard")
            and is_younger_than(ti, FIRST_START_SECONDS)
        )


_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _submit_slots() -> asyncio.Semaphore:
    """Return the limit of concurrent submits of this event loop.

    Submits wait in their threads for the rate limit. Thousands must not take all threads, which other
    triggers need, for example to import modules and to decompress logs.
    """
    loop = asyncio.get_running_loop()
    if loop not in _slots:
        _slots[loop] = asyncio.Semaphore(MAX_CONCURRENT_SUBMITS)
    return _slots[loop]


def _read_or_raise(name: str, value: Any) -> Any:
    """Read a setting; keep a value that only another version of this package knows."""
    setting = TASK_SETTINGS.get(name)
    return value if setting is None else setting.read(value, name)
