"""Sweep: cancels what tasks have left running that were killed while no trigger could hear of it.

Airflow tells nobody of such a kill: the triggerer was down, or had not started the trigger yet, or was
killed before it had cancelled the run. So a thread in each triggerer's parent process looks for tasks that
have ended and whose trigger never fired.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module

from airflow_provider_dataflow.compat import deployment_id
from airflow_provider_dataflow.hooks.server_hook import ServerHook
from airflow_provider_dataflow.listeners.ended_tasks import (
    EndedTask,
    find_ended_tasks,
    forget,
    has_still_ended,
)
from airflow_provider_dataflow.triggers.cancel_on_kill import CancelResourceTrigger

log = logging.getLogger(__name__)

#: Cancels at the same time.
MAX_THREADS = 8
#: Time for the trigger's own cancel, from the first sweep that finds the task ended. Airflow ends a trigger
#: 30 seconds after a kill.
GRACE_SECONDS = 30.0
#: After each failed attempt the next one waits twice as long, up to this many seconds.
MAX_PAUSE_SECONDS = 600.0
#: About three hours with the longest pause.
MAX_ATTEMPTS = 20

#: Held during a sweep and during each fork, so that a child process never inherits a lock that a sweep holds.
_not_forking = threading.Lock()
os.register_at_fork(
    before=_not_forking.acquire, after_in_parent=_not_forking.release, after_in_child=_not_forking.release
)


@dataclass
class _Attempts:
    """Attempts of the sweep to cancel what a task waited for.

    :param next_at: time of the next attempt, of a monotonic clock in seconds.
    """

    task: EndedTask
    next_at: float
    failed: int = 0


class Sweeper:
    """Looks regularly for tasks that ended while they were deferred, and cancels what they waited for.

    A task is touched only if Airflow's database says for ``GRACE_SECONDS`` that it has ended: that leaves its
    trigger the time to cancel the run itself.

    :param interval: seconds between two sweeps.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._stop = threading.Event()
        self._attempts: dict[tuple[object, ...], _Attempts] = {}
        self._is_failing = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="oci-data-flow-sweep", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                with _not_forking:
                    self.sweep(time.monotonic())
                self._is_failing = False
            except Exception:  # the database can be away for a while
                log.log(
                    logging.DEBUG if self._is_failing else logging.WARNING,
                    "Cannot look for ended tasks; trying again every %.0f seconds",
                    self._interval,
                    exc_info=True,
                )
                self._is_failing = True

    def sweep(self, now: float) -> None:
        """Look once. Blocks.

        :param now: of a monotonic clock, in seconds.
        """
        found = {(task.identity, str(task.trigger)): task for task in find_ended_tasks()}
        self._attempts = {key: made for key, made in self._attempts.items() if key in found}
        due = []
        for key, task in found.items():
            if task.ended_itself:
                forget(task)
            elif key not in self._attempts:
                self._attempts[key] = _Attempts(task, now + GRACE_SECONDS)
            elif self._attempts[key].next_at <= now:
                due.append(self._attempts[key])
        if due:
            with ThreadPoolExecutor(min(MAX_THREADS, len(due)), "oci-data-flow-sweep") as pool:
                list(pool.map(lambda made: self._handle(made, now), due))

    def _handle(self, made: _Attempts, now: float) -> None:
        task = made.task
        try:
            if not has_still_ended(task):
                return
            if outcome := cancel_leftover(task):
                log.warning("%s is %s, but no trigger knew: %s", task.identity, task.state, outcome)
        except Exception as error:  # noqa: BLE001 - whatever it is, others must be handled
            made.failed += 1
            made.next_at = now + min(self._interval * 2**made.failed, MAX_PAUSE_SECONDS)
            is_last = made.failed >= MAX_ATTEMPTS
            log.log(
                logging.ERROR if is_last else logging.WARNING,
                "%s is %s, but what it waited for could not be cancelled and may still be running (%s): %s",
                task.identity,
                task.state,
                "giving up" if is_last else f"trying again in {made.next_at - now:.0f} s",
                error,
            )
            if not is_last:
                return
        # Cancelling takes a while, in which a clear may have started a try with a trigger of its own.
        if has_still_ended(task):
            forget(task)


def cancel_leftover(task: EndedTask) -> str | None:
    """Cancel what an ended task waited for.

    :return: the outcome in words; ``None`` if nothing was left to cancel.
    :raises Exception: it could not be cancelled.
    """
    trigger = _trigger_of(task)
    if trigger is None or not trigger.cancel_on_kill:
        return None
    hook = ServerHook(**trigger.hook_arguments())
    hook.airflow_component = trigger.airflow_component
    return trigger.cancel_leftover(hook.client, task.identity, deployment_id())


def _trigger_of(task: EndedTask) -> CancelResourceTrigger | None:
    """Return the trigger that the task waited with; ``None`` if its XCom holds something else.

    Anyone who writes a DAG can write XComs, so nothing but the triggers of this package is created or called.
    """
    stored = task.trigger
    if not isinstance(stored, dict):
        return None
    module, _, name = str(stored.get("classpath")).rpartition(".")
    if not module.startswith(f"{__package__.rpartition('.')[0]}.triggers."):
        return None
    found = getattr(import_module(module), name, None)
    if not isinstance(found, type) or not issubclass(found, CancelResourceTrigger):
        return None
    trigger: CancelResourceTrigger = found(**stored.get("kwargs", {}))
    return trigger
