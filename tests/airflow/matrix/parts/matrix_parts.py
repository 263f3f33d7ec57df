"""Operators and triggers that break at a given point. On the path of every process of the tests' Airflow."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from datetime import timedelta
from typing import Any

from airflow_provider_dataflow.compat import NO_EVENT_BEFORE
from airflow_provider_dataflow.operators.orphans import CancelOrphanRunsOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.sensors.run import RunSensor
from airflow_provider_dataflow.triggers.run import RunTrigger

__all__ = ["CancelOrphanRunsOperator", "InvokeRunOperator", "RunSensor"]


def _noting(event: str) -> Any:
    def write(context: Any) -> None:
        ti = context["ti"]
        note = {"dag_id": ti.dag_id, "dag_run": ti.run_id, "try": ti.try_number, "event": event}
        if error := context.get("exception"):
            note["exception"] = type(error).__name__
        line = json.dumps(note)
        with open(os.environ["MATRIX_CALLBACKS"], "a") as stream:
            stream.write(line + "\n")

    return write


CALLBACKS = {f"on_{event}_callback": _noting(event) for event in ("success", "failure", "retry", "skipped")}


def kill_first_try(context: Any) -> None:
    """``kill -9``: nothing of this process runs after it."""
    if context["ti"].try_number == 1:
        os.kill(os.getpid(), signal.SIGKILL)


class KilledAfterRecord(InvokeRunOperator):
    """Dies when the run is recorded, but not yet in XCom."""

    def _publish(self, run: Any, context: Any) -> None:
        kill_first_try(context)
        super()._publish(run, context)


class KilledBeforeDefer(InvokeRunOperator):
    """Dies when the run is in XCom, and nobody waits for it yet."""

    def _defer(self, run_id: str, context: Any, *more: Any) -> Any:
        kill_first_try(context)
        super()._defer(run_id, context, *more)


class KilledWhileWaiting(InvokeRunOperator):
    """Dies while it waits in the worker."""

    def _wait(self, run_id: str, last_state: str | None, context: Any) -> Any:
        kill_first_try(context)
        return super()._wait(run_id, last_state, context)


class SlowToDefer(InvokeRunOperator):
    """Is still in the worker long after its submit."""

    def _defer(self, run_id: str, context: Any, *more: Any) -> Any:
        time.sleep(120)
        super()._defer(run_id, context, *more)


class SlowToResume(InvokeRunOperator):
    """Stays in the worker after the trigger's event, before it does anything about it."""

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        # As in any task that has asked once: the SDK is loaded.
        self.hook.get_run(self._owned)
        self.log.info("It is slow to resume")
        time.sleep(120)
        return super().execute_complete(context, event)


class SilentTrigger(RunTrigger):
    """Never sends an event."""

    async def run(self) -> Any:
        await asyncio.sleep(3600)
        yield None


class CrashingTrigger(RunTrigger):
    """Fails, as by a bug."""

    async def run(self) -> Any:
        await asyncio.sleep(NO_EVENT_BEFORE)
        if self.run_id:
            raise RuntimeError("this trigger is broken")
        yield None


class WithoutAnswer(InvokeRunOperator):
    """Airflow's own timeout of the deferral strikes."""

    def defer(self, *, trigger: Any, **kwargs: Any) -> Any:
        trigger.__class__ = SilentTrigger
        super().defer(trigger=trigger, **kwargs | {"timeout": timedelta(seconds=30)})


class WithCrashes(InvokeRunOperator):
    """Its first trigger fails."""

    broken = 1

    def _defer(self, run_id: str, context: Any, *more: Any) -> Any:
        self.failures = (
            context["ti"].xcom_pull(task_ids=self.task_id, key="trigger_failures", map_indexes=-1) or 0
        )
        super()._defer(run_id, context, *more)

    def defer(self, *, trigger: Any, **kwargs: Any) -> Any:
        if self.failures < self.broken:
            trigger.__class__ = CrashingTrigger
        super().defer(trigger=trigger, **kwargs)


class WithNothingButCrashes(WithCrashes):
    """All of its triggers fail."""

    broken = 1000
