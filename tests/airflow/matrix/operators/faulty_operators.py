"""Operators and triggers that fail at a given point, importable by every process of the tests' Airflow."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import types
from datetime import timedelta
from typing import Any

from airflow_provider_dataflow.compat import NO_EVENT_BEFORE_SECONDS
from airflow_provider_dataflow.operators.orphans import CancelOrphanRunsOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.sensors.run import RunSensor
from airflow_provider_dataflow.triggers.run import RunTrigger
from airflow_provider_dataflow.xcom_keys import TRIGGER_FAILURES

__all__ = ["CancelOrphanRunsOperator", "InvokeRunOperator", "RunSensor"]


def _append(entry: dict[str, Any]) -> None:
    """Append an entry to the file that ``MATRIX_CALLBACKS`` names."""
    with open(os.environ["MATRIX_CALLBACKS"], "a") as stream:
        stream.write(json.dumps(entry) + "\n")


def _record_event(event: str) -> Any:
    """Return a callback that records the event."""

    def write(context: Any) -> None:
        ti = context["ti"]
        entry = {"dag_id": ti.dag_id, "dag_run": ti.run_id, "try": ti.try_number, "event": event}
        if error := context.get("exception"):
            entry["exception"] = type(error).__name__
        _append(entry)

    return write


async def record_missed_deadline(dag_id: str, dag_run: str, **context: Any) -> None:
    """Callback of a deadline; Airflow calls it in a triggerer."""
    _append({"dag_id": dag_id, "dag_run": dag_run, "event": "deadline"})


CALLBACKS = {
    f"on_{event}_callback": _record_event(event) for event in ("success", "failure", "retry", "skipped")
}


def kill_first_try(context: Any) -> None:
    """``kill -9`` this process in the first try, so that no cleanup code runs."""
    if context["ti"].try_number == 1:
        os.kill(os.getpid(), signal.SIGKILL)


class FaultyOperator(InvokeRunOperator):
    """Base of operators that override internal steps of InvokeRunOperator."""

    def __init_subclass__(cls) -> None:
        """Fail if a step was renamed: its override would never be called, and the test would pass in vain."""
        super().__init_subclass__()
        for name, value in vars(cls).items():
            if isinstance(value, types.FunctionType) and not hasattr(InvokeRunOperator, name):
                raise TypeError(f"{cls.__name__}.{name} overrides nothing in InvokeRunOperator")


class KilledAfterRecord(FaultyOperator):
    """Killed when the submission record has the run id, but XCom does not yet."""

    def _push_run(self, run: Any, context: Any) -> None:
        kill_first_try(context)
        super()._push_run(run, context)


class KilledBeforeDefer(FaultyOperator):
    """Killed when the run id is in XCom, but no trigger waits for the run yet."""

    def _defer(self, run_id: str, context: Any, *more: Any) -> Any:
        kill_first_try(context)
        super()._defer(run_id, context, *more)


class KilledWhileWaiting(FaultyOperator):
    """Killed while it waits for the run in the worker."""

    def _wait_in_worker(self, run_id: str, last_state: str | None, context: Any, *more: Any) -> Any:
        kill_first_try(context)
        return super()._wait_in_worker(run_id, last_state, context, *more)


class SlowToDefer(FaultyOperator):
    """Stays in the worker for two minutes between submit and deferral."""

    def _defer(self, run_id: str, context: Any, *more: Any) -> Any:
        time.sleep(120)
        super()._defer(run_id, context, *more)


class SlowToResume(FaultyOperator):
    """Stays in the worker for two minutes before it handles the trigger's event."""

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        # Load the SDK, as in any task that has called the service: a cancel must not have to import it first.
        self.hook.get_run(self._owned_run_id)
        self.log.info("Delaying the handling of the trigger's event")
        time.sleep(120)
        return super().execute_complete(context, event)


class SilentTrigger(RunTrigger):
    """Never sends an event."""

    async def run(self) -> Any:
        await asyncio.sleep(3600)
        yield None


class CrashingTrigger(RunTrigger):
    """Raises, as a trigger with a bug does."""

    async def run(self) -> Any:
        await asyncio.sleep(NO_EVENT_BEFORE_SECONDS)
        if self.run_id:
            raise RuntimeError("this trigger is broken")
        yield None


class SilentTriggerOperator(FaultyOperator):
    """Its trigger never sends an event, so that Airflow's timeout of the deferral fires."""

    def defer(self, *, trigger: Any, **kwargs: Any) -> Any:
        trigger.__class__ = SilentTrigger
        super().defer(trigger=trigger, **kwargs | {"timeout": timedelta(seconds=30)})


class FirstTriggerCrashes(FaultyOperator):
    """Its first trigger crashes; the next one works."""

    crashing_triggers = 1

    def _defer(self, run_id: str, context: Any, *more: Any) -> Any:
        failures = context["ti"].xcom_pull(task_ids=self.task_id, key=TRIGGER_FAILURES, map_indexes=-1) or {}
        self.failures = failures.get(run_id, 0)
        super()._defer(run_id, context, *more)

    def defer(self, *, trigger: Any, **kwargs: Any) -> Any:
        if self.failures < self.crashing_triggers:
            trigger.__class__ = CrashingTrigger
        super().defer(trigger=trigger, **kwargs)


class AllTriggersCrash(FirstTriggerCrashes):
    """All of its triggers crash."""

    crashing_triggers = 1000
