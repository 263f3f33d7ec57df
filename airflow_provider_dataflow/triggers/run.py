"""RunTrigger: waits in the triggerer for a run, and cancels the run when its task is killed."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow import polling
from airflow_provider_dataflow.client.cancel import cancel_run
from airflow_provider_dataflow.client.poller.event_loop import wait_for_start
from airflow_provider_dataflow.client.threads import import_in_thread, in_thread
from airflow_provider_dataflow.exceptions import DataFlowError, RunLost, ServiceError
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.run import SUCCESS_STATES, is_terminal
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.successor import seconds_left
from airflow_provider_dataflow.ownership.successor_search import (
    SuccessorWait,
    cancel_current_run,
    find_successors,
    find_successors_async,
    follows,
)
from airflow_provider_dataflow.ownership.tags import TaskTags
from airflow_provider_dataflow.polling import (
    DEFAULT_CANCEL_TIMEOUT_SECONDS,
)
from airflow_provider_dataflow.triggers.cancel_on_kill import CancelResourceTrigger
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.triggers.followed_run import FollowedRun
from airflow_provider_dataflow.triggers.live_log import LiveLog
from airflow_provider_dataflow.xcom_keys import LIFECYCLE_STATE, RUN_ID, RUN_IDS

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.poller.poller import RunPoller, shared_poller
    from airflow_provider_dataflow.client.poller.subscriptions import Subscription
    from airflow_provider_dataflow.client.sync_client import DataFlowClient
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.run import Run


class RunTrigger(CancelResourceTrigger):
    """Waits until a run is in one of the target states, or has ended.

    After maintenance of a STREAMING run, goes on with its successor, whose OCID the event then has.

    All triggers of a connection share one client and one poller in a triggerer process.

    :param run_id: OCID of the run.
    :param target_states: lifecycle states to wait for. The end of the run always ends the wait.
    :param cancel_on_kill: cancel the run when the task is killed while it is deferred.
    :param cancel_timeout: seconds (or a timedelta) for which the cancel is repeated until the service
        confirms it.
    :param follow_logs: copy the driver's output into the task's log while the run is active.
    :param compartment_id: OCID of the run's compartment. Saves one GetRun if it is known.
    :param successor_timeout: seconds (or a timedelta) after the end of a STREAMING run in which its successor
        may appear. Default: do not follow successors.
    :param run_ids: OCIDs of the task's run and of those that it followed, oldest first. Given for an own
        STREAMING run, whose successor becomes the run of the task in XCom.
    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.PollingTrigger`.
    :raises InvalidArgument: an argument is unusable, and this is no triggerer.
    """

    serialized_fields = (
        "run_id",
        *HOOK_ARGUMENTS,
        *("target_states", "poll_interval", "deadline", "error_budget", "cancel_on_kill", "cancel_timeout"),
        *("follow_logs", "compartment_id", "successor_timeout", "run_ids"),
    )

    # On the class until it is needed, as in CancelOnKillTrigger.
    _followed: FollowedRun | None = None

    #: Seconds between two log lines about a run whose state does not change.
    HEARTBEAT_SECONDS: ClassVar[float] = polling.HEARTBEAT_SECONDS
    #: Shortest time for the first poll, also after the deadline: a run that has ended by then is not late.
    FIRST_POLL_SECONDS: ClassVar[float] = polling.LAST_POLL_SECONDS

    def __init__(
        self,
        run_id: str,
        *,
        target_states: Collection[str] = tuple(SUCCESS_STATES),
        cancel_on_kill: bool = False,
        cancel_timeout: Duration = DEFAULT_CANCEL_TIMEOUT_SECONDS,
        follow_logs: bool = False,
        compartment_id: str | None = None,
        successor_timeout: Duration | None = None,
        run_ids: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.run_id: str = self.read_setting("run_id", run_id)
        self.target_states: list[str] = self.read_setting("target_states", target_states)
        self.cancel_on_kill = self.read_setting("cancel_on_kill", cancel_on_kill)
        self.cancel_timeout: float = self.read_setting("cancel_timeout", cancel_timeout)
        self.follow_logs: bool = self.read_setting("follow_logs", follow_logs)
        self.compartment_id: str | None = self.read_setting("compartment_id", compartment_id)
        self.successor_timeout: float | None = self.read_setting("successor_timeout", successor_timeout)
        self.run_ids: list[str] | None = self.read_setting("run_ids", run_ids)
        self._state: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._poller: RunPoller | None = None

    async def wait(self) -> RunEvent:
        # Spread, so that thousands of tasks deferred at the same moment do not block the event loop.
        # Local variables and coroutines are memory of each waiting trigger, so there are few of them.
        await asyncio.sleep(polling.limited(self.NO_EVENT_BEFORE_SECONDS * random.uniform(1.0, 1.1)))  # noqa: S311
        await wait_for_start()
        poller_module = await import_in_thread("airflow_provider_dataflow.client.poller.poller")
        async with self._connection_poller(poller_module.shared_poller) as poller:
            self._poller = poller
            if self.run_ids:
                self._followed = self._followed_run()
                await self._followed.load()
            while True:
                if self.follow_logs:
                    event, ended = await self._wait_with_log(poller)
                else:
                    event, ended = await self._wait_for_run(poller)
                if ended is None or not self._follows(ended):
                    return event
                if (end := await self._follow_successor(poller, ended)) is not None:
                    return replace(end, log_cursor=event.log_cursor)

    async def _wait_with_log(self, poller: RunPoller) -> tuple[RunEvent, Run | None]:
        """Wait for the current run, and copy its output meanwhile.

        :return: the event, and the run if it is in a target state or has ended.
        """
        hide = partial(self._mask_secrets, poller)
        async with LiveLog(poller, self._current_id, self.log, self.task_instance, hide=hide) as live:
            event, ended = await self._wait_for_run(poller)
        if ended is not None and self._follows(ended):
            # The task resumes with the successor, and copies only the output of that one.
            await live.copy_rest()
        return replace(event, log_cursor=live.cursor), ended

    def _follows(self, run: Run) -> bool:
        """Return whether the wait goes on with the successor of a run."""
        return self.successor_timeout is not None and follows(run, self.target_states)

    async def _follow_successor(self, poller: RunPoller, stopped: Run) -> RunEvent | None:
        """Make the successor of a run the current run. Return the event if there is none in time."""
        assert self.successor_timeout is not None  # noqa: S101 - see _follows
        search = SuccessorWait(
            stopped,
            timeout=self.successor_timeout,
            poll_interval=self.poll_interval,
            error_budget=self.error_budget,
            log=self.log,
            deadline=self.deadline,
        )
        try:
            found = await search.in_triggerer(
                lambda: poller.request(lambda client: find_successors_async(client, stopped))
            )
        except TimeoutError:
            return RunEvent(Outcome.TIMEOUT, stopped.id, stopped.state, search.note)
        if not found:
            return RunEvent(Outcome.REACHED, stopped.id, stopped.state, search.note)
        self._followed = self._followed or self._followed_run()
        await self._followed.follow([run.id for run in found], reset_log_cursor=self.follow_logs)
        self._state = found[-1].state
        return None

    def _followed_run(self) -> FollowedRun:
        is_own = self.run_ids is not None and self.task_instance is not None
        task = TaskIdentity.of(self.task_instance) if is_own else None
        return FollowedRun(task, self.run_ids or [self.run_id], self.hook, self.log)

    @property
    def _current_id(self) -> str:
        """OCID of the run, or of the successor that is waited for."""
        return self._followed.run_ids[-1] if self._followed is not None else self.run_id

    def _connection_poller(self, shared_poller: Callable[..., shared_poller]) -> shared_poller:
        """Return the poller of the connection.

        Not part of ``wait``, whose local variables live as long as the wait: a hook for each waiting trigger
        would cost much memory.
        """
        hook = self.hook
        return shared_poller(hook.connection_key, hook.async_client)

    async def _wait_for_run(self, poller: RunPoller) -> tuple[RunEvent, Run | None]:
        """Subscribe to the run and return its end, the deadline, or the end of the error budget."""
        run_id = self._current_id
        subscription = poller.subscribe(
            run_id,
            states=self.target_states,
            poll_interval=self.poll_interval,
            error_budget=self.error_budget,
            on_change=self._on_change,
            compartment_id=self.compartment_id,
            last_state=self._state,
        )
        left = math.inf
        if self.deadline is not None:
            left = max(self.deadline - time.time(), self.FIRST_POLL_SECONDS)
        self._start_timer(subscription, left)
        try:
            run = await subscription.done
            return RunEvent(Outcome.REACHED, run_id, run.state), run
        except TimeoutError:
            return RunEvent(Outcome.TIMEOUT, run_id, self._state), None
        except RunLost as error:
            return RunEvent(Outcome.LOST, run_id, error.state, error.note), None
        finally:
            if self._timer:
                self._timer.cancel()
            poller.unsubscribe(subscription)

    async def _mask_secrets(self, poller: RunPoller) -> Callable[[str], str]:
        """Register the run's secrets with Airflow's masker before any output of its driver is copied.

        The trigger's row has ids only, so the secrets come from the service.

        :return: function that hides the secrets in a line.
        """
        masking = await import_in_thread("airflow_provider_dataflow.arguments.masking")
        while True:
            try:
                run = await poller.request(lambda client: client.get_run(self._current_id))
                break
            except ServiceError:
                # The subscription reports service errors, and ends when the error budget is used up.
                await asyncio.sleep(polling.limited(self.poll_interval))
        secrets = await in_thread(partial(masking.mask_secrets_of_run, run))
        return partial(masking.without_secrets, secrets=secrets)

    def _on_change(self, run: Run) -> None:
        self._state = run.state
        self.log.info("Run %s is %s", run.id, run.state)

    def _start_timer(self, subscription: Subscription, left: float) -> None:
        """Call :meth:`_on_timer` at the next heartbeat or at the deadline.

        A timer, because ``asyncio.wait`` or an asyncio task would be a third of a waiting trigger's memory.

        :param left: seconds until the deadline.
        """
        pause = min(left, self.HEARTBEAT_SECONDS)
        self._timer = asyncio.get_running_loop().call_later(
            pause,
            self._on_timer,
            subscription,
            pause,
            left - pause,
            # A copy of the context for each timer would cost memory in each waiting trigger.
            context=subscription.context,
        )

    def _on_timer(self, subscription: Subscription, pause: float, left: float) -> None:
        if subscription.done.done():
            return
        # Before the log line, which can raise: the deadline must not be missed.
        if left > 0:
            self._start_timer(subscription, left)
        else:
            subscription.done.set_exception(TimeoutError())
        if pause == self.HEARTBEAT_SECONDS:
            state = f"is still {self._state}" if self._state else "has not been read yet"
            self.log.info("Run %s %s", self._current_id, state)

    @property
    def resource_name(self) -> str:
        return f"Run {self._current_id}"

    def cancel(self) -> str:
        return self._cancel_with(self._client_for_cancel, self._current_id)

    def _cancel_with(self, connect: Callable[[], DataFlowClient], run_id: str) -> str:
        cancel = cancel_run if self.successor_timeout is None else cancel_current_run
        result = cancel(connect, run_id, timeout=self.cancel_timeout)
        result.confirmed_run()
        return str(result)

    def _client_for_cancel(self) -> DataFlowClient:
        # Reuse the poller's credentials: if Airflow is down, the connection cannot be read again.
        access = self._poller.access if self._poller else None
        return self.hook.new_client(access, urgent=True)

    def cancel_leftover(self, client: DataFlowClient, owner: TaskIdentity, deployment: str) -> str | None:
        run = client.get_run(self.run_id)
        if run.is_ending and not self._follows(run):
            return None
        tags = TaskTags.of(run.freeform_tags)
        if tags is not None and (tags.identity, tags.deployment) != (owner, deployment):
            return f"Run {run.id} is not cancelled: its tags name {tags.identity} of {tags.deployment!r}"
        if run.is_ending:
            found = find_successors(client, run)
            if not found and seconds_left(run, self.successor_timeout or 0, time.time()) > 0:
                raise DataFlowError(f"Run {run.id} was stopped, and the service may start its successor")
            if not found or found[-1].is_ending:
                return None
            run = found[-1]
        return self._cancel_with(lambda: client, run.id)

    def is_still_awaited(self) -> bool | None:
        """Return whether the task is deferred for this run; ``None`` if Airflow does not say.

        ``on_kill`` is also called in a triggerer that was frozen and lost its triggers to another one, and a
        cleared task may already be deferred for another run. The task's XComs tell these cases from a kill:
        ``run_id`` is the run that the task waits for, and ``lifecycle_state`` is set if the task ended by
        itself.
        """
        task = self.task_state(RUN_ID)
        if task is None:
            return None
        if task.xcom != self._current_id and not self._follow_other_trigger(task.xcom):
            # The run that the task has since a clear must not be taken for a successor of this one.
            self.successor_timeout = None
            return False
        if task.state == "success" and any(not is_terminal(state) for state in self.target_states):
            # Another triggerer saw a target state that is not terminal: the run is meant to continue.
            finished = self.task_state(LIFECYCLE_STATE)
            return None if finished is None else bool(finished.xcom)
        return task.state == "deferred"

    def _follow_other_trigger(self, run_id: object) -> bool:
        """Take over the successor that another trigger of the task has followed. Return whether it has.

        :param run_id: XCom ``run_id`` of the task.
        """
        runs = self.task_state(RUN_IDS) if self.run_ids is not None and run_id is not None else None
        if runs is None or not isinstance(runs.xcom, list) or self.run_id not in runs.xcom:
            return False
        self._followed = FollowedRun(None, [str(run_id)], self.hook, self.log)
        return True
