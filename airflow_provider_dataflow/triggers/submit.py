"""The trigger that also submits: a task that starts in the triggerer needs no worker to begin with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_dataflow.client.threads import answer_within, in_thread, start
from airflow_provider_dataflow.compat import pull_xcom, push_xcom
from airflow_provider_dataflow.exceptions import DataFlowError
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.links.run import LOGS_BUCKET_URL, RUN_PAGE_URL
from airflow_provider_dataflow.ownership.record import RUN_ID, STATE, Submission, TaskIdentity
from airflow_provider_dataflow.triggers.base import WaitTrigger
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.triggers.run import RunTrigger

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.run import Run
    from airflow_provider_dataflow.ownership.submit import Submit

#: Of the id of a try, so many bits tell it from other tries; every database keeps such a number exactly.
TRY_BITS = 48

#: Seconds. Airflow and the service are asked what became of a submit; neither may answer any more.
RECORD_TIMEOUT = 60.0

#: Seconds between two looks at a run that stands in the way.
RIVAL_PAUSE = 60.0


class SubmitRunTrigger(WaitTrigger):
    """Submits the run of a task that has never been in a worker, and waits for it.

    Made by :class:`~airflow_provider_dataflow.operators.run.InvokeRunOperator` with
    ``start_from_trigger=True``. Airflow renders the arguments in the triggerer. A triggerer that is restarted
    finds the run again by its record in XCom, and a submit that got no answer by its retry token.

    :param oci_conn_id: Airflow connection.
    :param region: region name; default: the connection's.
    :param service_endpoint: URL of the service; default: the connection's, or the region's own.
    :param auth_type: how to sign in; default: as the connection says.
    :param config_file: path of the SDK's configuration file.
    :param profile: section of that file.
    :param json: the raw body.
    :param run_id: OCID of a run that exists already and is only waited for.
    :param settings: ``submit``: of :class:`~airflow_provider_dataflow.ownership.submit.SubmitSettings`;
        ``wait``: of :class:`~airflow_provider_dataflow.triggers.run.RunTrigger`; ``timeout``: seconds from
        the submit to the end of the run.
    :param arguments: the operator's arguments of the run, by the names of its attributes.
    """

    def __init__(
        self,
        *,
        oci_conn_id: str | None = DataFlowHook.default_conn_name,
        region: str | None = None,
        service_endpoint: str | None = None,
        auth_type: str | None = None,
        config_file: str | None = None,
        profile: str | None = None,
        json: Any = None,
        run_id: str | None = None,
        settings: Mapping[str, Any],
        **arguments: Any,
    ) -> None:
        given = dict(locals())
        super().__init__()
        self.keep_hook_arguments(given)
        self.json = json
        self.run_id = run_id
        self.settings = dict(settings)
        self._names = tuple(arguments)
        # Airflow renders the attributes that have the names of the operator's template fields.
        for name, value in arguments.items():
            setattr(self, name, value)
        self._submit: Future[Run] | None = None
        self._waiting: RunTrigger | None = None
        self._killed = False
        self._asked: Submit | None = None
        self._run: Run | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = (*HOOK_ARGUMENTS, "json", "run_id", "settings", *self._names)
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    @property
    def cancel_on_kill(self) -> bool:  # type: ignore[override]
        return bool(self.settings["wait"]["cancel_on_kill"])

    async def wait(self) -> RunEvent:
        try:
            run = await self._run_of_the_task()
        except DataFlowError as error:
            self.log.error("There is no run: %s", error)
            return RunEvent(Outcome.NOT_SUBMITTED, "", message=str(error))
        self._waiting = await in_thread(partial(self._wait_for, run))
        return await self._waiting.wait()

    async def on_kill(self) -> None:
        """Cancel the run, unless the task still waits for it; also one whose submit is under way."""
        self._killed = True
        await super().on_kill()

    def cancel_unless_owned(self) -> None:
        if self._submit is not None:
            # What is under way ends soon: it is told that the task was killed.
            wait({self._submit})
        try:
            if self._waiting is None and (run := self._run or self._run_in_the_open()):
                self._waiting = self._trigger(run)
        except Exception as error:  # noqa: BLE001 - nobody is left to hear of it otherwise
            self.log.error("A run may have been submitted, and may still be running: %s", error)
        if self._waiting is not None:
            self._waiting.cancel_unless_owned()

    def _run_in_the_open(self) -> Run | None:
        """The run of a submit that got no answer, if there is one and nobody else will look for it."""
        if self._asked is None:
            return None
        now = self.task_now(RUN_ID)
        if now is None or now.state == "deferred":
            # Another triggerer has taken over, and asks for it by the same token; or a new try ends it.
            self.log.warning("Whether there is a run is left to the next one who waits for it")
            return None
        return answer_within(RECORD_TIMEOUT, self._asked.ownership.unanswered)

    async def _run_of_the_task(self) -> Run:
        from airflow_provider_dataflow.ownership.submit import NotYet

        started = time.time()
        while True:
            # A thread cannot be cancelled; what becomes of it must be known when this trigger is killed.
            self._submit = start(partial(self._acquire, started))
            try:
                return await asyncio.shield(asyncio.wrap_future(self._submit))
            except NotYet as reason:
                self._submit = None
                pause = min(reason.seconds, RIVAL_PAUSE) if reason.run_id else reason.seconds
                self.log.warning("The submit is tried again in %.0f seconds: %s", pause, reason)
                await asyncio.sleep(pause)

    # --- In a thread -------------------------------------------------------------------------------------

    def _acquire(self, started: float) -> Run:
        from airflow_provider_dataflow.operators.masking import mask_secrets
        from airflow_provider_dataflow.operators.run import ATTRIBUTES
        from airflow_provider_dataflow.ownership.submit import SubmitSettings, request_for

        hook = self.hook
        if self.run_id:
            run = hook.get_run(self.run_id)
        else:
            arguments = {name: getattr(self, attribute, None) for name, attribute in ATTRIBUTES.items()}
            mask_secrets(arguments, self.json)
            submit = SubmitSettings.of(self.settings["submit"]).submit(
                request_for(hook, arguments, self.json, timeout=self.settings.get("timeout")),
                hook=hook,
                context=self._context(),
                log=self.log,
                cancel=partial(self._cancel_run_of_earlier_turn, hook),
                check=self._raise_if_killed,
                started=started,
            )
            self._asked = submit
            run = submit.acquire()
        # Before anything else can fail: a kill has to find it.
        self._run = run
        url = hook.run_page_url(run.id)
        # Without a worker, XComs of earlier turns stay: that state was another run's.
        push_xcom(self._identity, STATE, None)
        for key, value in (
            (RUN_ID, run.id),
            (RUN_PAGE_URL, url),
            (LOGS_BUCKET_URL, hook.bucket_page_url(run.logs_bucket_uri)),
        ):
            if value:
                push_xcom(self._identity, key, value)
        self.log.info("Run %s (%s) is %s: %s", run.id, run.display_name, run.state, url)
        return run

    def _wait_for(self, run: Run) -> RunTrigger:
        deadline = None
        if (timeout := self.settings.get("timeout")) is not None:
            # A triggerer that is restarted must not begin to count anew.
            record = Submission.from_json(XComRecord(self._identity).get_any())
            deadline = (record.time if record else time.time()) + timeout
        return self._trigger(run, deadline)

    def _trigger(self, run: Run, deadline: float | None = None) -> RunTrigger:
        wait = RunTrigger(
            run_id=run.id,
            **self.hook_arguments(),
            deadline=deadline,
            compartment_id=run.compartment_id,
            **self.settings["wait"],
        )
        wait.task_instance = self.task_instance
        return wait

    def _cancel_run_of_earlier_turn(self, hook: DataFlowHook, run_id: str) -> None:
        from airflow_provider_dataflow.client.cancel import cancel

        if not self.settings["wait"]["cancel_on_kill"]:
            return
        try:
            cancel(hook.client, run_id, timeout=self.settings["wait"]["cancel_timeout"])
        except DataFlowError as error:
            self.log.error("Run %s could not be cancelled and may still be running: %s", run_id, error)

    def _raise_if_killed(self) -> None:
        if self._killed:
            raise DataFlowError("The task was killed before it had a run")

    @property
    def _identity(self) -> TaskIdentity:
        return TaskIdentity.of(self.task_instance)

    def _context(self) -> Context:
        """What finding the task's run needs of a context.

        Airflow does not tell a trigger how often its task was cleared. But each try has an id of its own, so
        each is taken for a turn of its own: it begins with another run, and ends the one from before.
        """
        ti = cast(Any, self.task_instance)
        turn = ti.id.int % 2**TRY_BITS
        of_try = SimpleNamespace(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index,
            try_number=ti.try_number,
            max_tries=turn,
        )
        return cast("Context", {"ti": of_try, "task_state_store": XComRecord(self._identity)})


class XComRecord:
    """Stands in for the task state store, which triggers have none of.

    XComs live as long as the DAG run where no worker starts a try, and so deletes them.
    """

    def __init__(self, identity: TaskIdentity) -> None:
        self._identity = identity

    def get(self, key: str) -> Any:
        return pull_xcom(self._identity, key)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        push_xcom(self._identity, key, value)

    def get_any(self) -> Any:
        from airflow_provider_dataflow.ownership.acquire import RECORD

        return self.get(RECORD)
