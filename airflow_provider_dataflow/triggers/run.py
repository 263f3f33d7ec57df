"""The trigger: waits for a run in the triggerer, and cancels it when its task is killed."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.cancel import cancel_run
from airflow_provider_dataflow.client.threads import in_thread, module
from airflow_provider_dataflow.compat import NO_EVENT_BEFORE
from airflow_provider_dataflow.exceptions import RunLost, ServiceError
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.run import SUCCESS_STATES, is_terminal
from airflow_provider_dataflow.polling import (
    DEFAULT_CANCEL_TIMEOUT_SECONDS,
    DEFAULT_ERROR_BUDGET,
    DEFAULT_POLL_INTERVAL,
    HEARTBEAT_SECONDS,
    LAST_POLL_SECONDS,
)
from airflow_provider_dataflow.triggers.base import WaitTrigger
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.triggers.live_log import LiveLog
from airflow_provider_dataflow.xcom_keys import LIFECYCLE_STATE, RUN_ID

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_dataflow.client.poller.poller import RunPoller
    from airflow_provider_dataflow.client.poller.shared import shared_poller
    from airflow_provider_dataflow.client.sync_client import DataFlowClient
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.run import Run


class RunTrigger(WaitTrigger):
    """Waits until a run is in one of the target states, or has ended.

    All triggers of a connection share one client and one poller in a triggerer process. The row in Airflow's
    database holds ids only.

    :param run_id: OCID of the run.
    :param oci_conn_id: Airflow connection.
    :param region: region name; default: the connection's.
    :param service_endpoint: URL of the service; default: the connection's, or the region's own.
    :param auth_type: how to sign in; default: as the connection says.
    :param config_file: path of the SDK's configuration file.
    :param profile: section of that file.
    :param target_states: lifecycle states to wait for. The end of the run always ends the wait.
    :param poll_interval: seconds (or a timedelta) between two polls of the run.
    :param deadline: seconds since the epoch, or a datetime, at which to give up; default: never.
    :param error_budget: seconds (or a timedelta) for which service errors are retried.
    :param cancel_on_kill: cancel the run when the task is killed while it is deferred.
    :param cancel_timeout: seconds (or a timedelta) for which the cancel is repeated until the service
        confirms it.
    :param follow_logs: copy the driver's output while the run goes on.
    :param compartment_id: OCID of the run's compartment, if it is known: it saves a question.
    :raises InvalidArgument: an argument is refused, outside of a triggerer.
    """

    def __init__(
        self,
        run_id: str,
        oci_conn_id: str | None = DataFlowHook.default_conn_name,
        region: str | None = None,
        service_endpoint: str | None = None,
        auth_type: str | None = None,
        config_file: str | None = None,
        profile: str | None = None,
        target_states: Collection[str] = tuple(SUCCESS_STATES),
        poll_interval: Duration = DEFAULT_POLL_INTERVAL,
        deadline: float | datetime | None = None,
        error_budget: Duration = DEFAULT_ERROR_BUDGET,
        cancel_on_kill: bool = False,
        cancel_timeout: Duration = DEFAULT_CANCEL_TIMEOUT_SECONDS,
        follow_logs: bool = False,
        compartment_id: str | None = None,
        **_: Any,
    ) -> None:
        # What a newer version of this class has written into the row is ignored, not refused: workers and
        # triggerers are not upgraded at the same moment.
        super().__init__()
        self.run_id: str = self.setting("run_id", run_id)
        self.oci_conn_id = self.setting("oci_conn_id", oci_conn_id)
        self.region = self.setting("region", region)
        self.service_endpoint = self.setting("service_endpoint", service_endpoint)
        self.auth_type = self.setting("auth_type", auth_type)
        self.config_file = self.setting("config_file", config_file)
        self.profile = self.setting("profile", profile)
        self.target_states: list[str] = self.setting("target_states", target_states)
        self.poll_interval: float = self.setting("poll_interval", poll_interval)
        self.deadline: float | None = self.setting("deadline", deadline)
        self.error_budget: float = self.setting("error_budget", error_budget)
        self.cancel_on_kill = self.setting("cancel_on_kill", cancel_on_kill)
        self.cancel_timeout: float = self.setting("cancel_timeout", cancel_timeout)
        self.follow_logs: bool = self.setting("follow_logs", follow_logs)
        self.compartment_id: str | None = self.setting("compartment_id", compartment_id)
        self._state: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._poller: RunPoller | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = (
            "run_id",
            *HOOK_ARGUMENTS,
            "target_states",
            "poll_interval",
            "deadline",
            "error_budget",
            "cancel_on_kill",
            "cancel_timeout",
            "follow_logs",
            "compartment_id",
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    async def wait(self) -> RunEvent:
        # Thousands that were deferred at the same moment do not all wake in one turn of the loop.
        await asyncio.sleep(NO_EVENT_BEFORE * random.uniform(1.0, 1.1))  # noqa: S311
        poller_module = await module("airflow_provider_dataflow.client.poller.shared")
        async with self._of_connection(poller_module.shared_poller) as poller:
            self._poller = poller
            if not self.follow_logs:
                return await self._ask(poller)
            hide = partial(self._mask_secrets, poller)
            async with LiveLog(poller, self.run_id, self.log, self.task_instance, hide=hide) as live:
                event = await self._ask(poller)
            return replace(event, log_cursor=live.cursor)

    def _of_connection(self, shared_poller: Callable[..., shared_poller]) -> shared_poller:
        # Not in wait, where the hook would stay for as long as it takes.
        hook = self.hook
        return shared_poller(hook.key, hook.async_client)

    async def _ask(self, poller: RunPoller) -> RunEvent:
        """The end of the run, or the deadline. A run that has ended by then has ended in time."""
        subscription = poller.subscribe(
            self.run_id,
            states=self.target_states,
            poll_interval=self.poll_interval,
            error_budget=self.error_budget,
            on_change=self._changed,
            compartment_id=self.compartment_id,
        )
        left = math.inf if self.deadline is None else max(self.deadline - time.time(), LAST_POLL_SECONDS)
        self._be_patient(subscription.done, left)
        try:
            return RunEvent(Outcome.REACHED, self.run_id, (await subscription.done).state)
        except TimeoutError:
            return RunEvent(Outcome.TIMEOUT, self.run_id, self._state)
        except RunLost as error:
            return RunEvent(Outcome.LOST, self.run_id, error.state, error.note)
        finally:
            if self._timer:
                self._timer.cancel()
            poller.unsubscribe(subscription)

    async def _mask_secrets(self, poller: RunPoller) -> Callable[[str], str]:
        """Register the run's secrets with Airflow's masker, since its driver may print them.

        Nothing is copied before that. The trigger's row has ids only, so the service is asked.

        :return: hides the secrets in a line.
        """
        masking = await module("airflow_provider_dataflow.arguments.masking")
        while True:
            try:
                run = await poller.request(lambda client: client.get_run(self.run_id))
                break
            except ServiceError:
                # The wait itself reports errors of the service, and ends by its own budget.
                await asyncio.sleep(self.poll_interval)
        secrets = await in_thread(partial(masking.mask_secrets_of_run, run))
        return partial(masking.without_secrets, secrets=secrets)

    def _changed(self, run: Run) -> None:
        self._state = run.state
        self.log.info("Run %s is %s", self.run_id, run.state)

    def _be_patient(self, done: asyncio.Future[Run], left: float) -> None:
        """Wait for so many seconds more, with a line now and then."""
        # By a timer: asyncio.wait, or a task of its own, would be a third of what a waiting trigger weighs.
        pause = min(left, HEARTBEAT_SECONDS)
        self._timer = asyncio.get_running_loop().call_later(pause, self._waited, done, pause, left - pause)

    def _waited(self, done: asyncio.Future[Run], seconds: float, left: float) -> None:
        if done.done():
            return
        # Before the log, which can fail: a deadline is never to be missed.
        if left > 0:
            self._be_patient(done, left)
        else:
            done.set_exception(TimeoutError())
        if seconds == HEARTBEAT_SECONDS:
            state = f"still {self._state}" if self._state else "not seen yet"
            self.log.info("Run %s is %s", self.run_id, state)

    def cancel_unless_awaited(self) -> None:
        try:
            if self._is_still_awaited():
                self.log.info(
                    "Run %s is not cancelled: another trigger of the task waits for it", self.run_id
                )
                return
            result = cancel_run(self._client_for_cancel, self.run_id, timeout=self.cancel_timeout)
        except Exception:
            self.log.exception("Run %s could not be cancelled and may still be running", self.run_id)
            return
        (self.log.info if result.confirmed else self.log.error)("The task was killed. %s", result)

    def _client_for_cancel(self) -> DataFlowClient:
        # With the credentials of the wait: if Airflow is down, the connection can no longer be looked up.
        access = self._poller.access if self._poller else None
        return self.hook.new_client("triggerer", access)

    def _is_still_awaited(self) -> bool:
        """Return whether the task is deferred for this very run.

        Airflow also calls ``on_kill`` in a triggerer that was frozen and lost its triggers to another one.
        And a cleared task is deferred again for another run. The task's XComs distinguish these from a kill:
        the run that it waits for, and, if it ended by itself, the state that the run had.
        """
        task = self.task_state(RUN_ID)
        if task is None:
            return self.keep_if_unknown
        if task.xcom != self.run_id:
            return False
        if task.state == "success" and any(not is_terminal(state) for state in self.target_states):
            # Another triggerer saw a target state that is not an end: the run is meant to continue.
            finished = self.task_state(LIFECYCLE_STATE)
            return self.keep_if_unknown if finished is None else finished.xcom is not None
        return task.state == "deferred"
