"""Runs a task to its end, with its deferrals, as Airflow does, but without Airflow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from importlib import import_module
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from tests.unit.support import FakeTaskInstance


def run_task(
    operator: Callable[[], Any],
    ti: FakeTaskInstance | None = None,
    *,
    while_deferred: Callable[[], object] = lambda: None,
    deferrals: list[str] | None = None,
    give_task_instance: bool = False,
    task_state_store: Any = None,
    dag_run: Any = None,
    outlet_events: Any = None,
) -> Any:
    """Run a task and return its result.

    :param operator: creates the operator; called again after each deferral.
    :param while_deferred: called before each trigger runs.
    :param give_task_instance: give the task instance to the triggers, too, as the triggerer does.
    :param deferrals: the class names of the triggers are appended to it.
    """
    context: dict[str, Any] = {"ti": ti or FakeTaskInstance()}
    if dag_run is not None:
        context["dag_run"] = dag_run
    if outlet_events is not None:
        context["outlet_events"] = outlet_events
    if task_state_store is not None:
        context["task_state_store"] = task_state_store
    try:
        return operator().execute(context)
    except TaskDeferred as deferred:
        deferral = deferred
    while True:
        path, arguments = deferral.trigger.serialize()
        module, _, name = path.rpartition(".")
        if deferrals is not None:
            deferrals.append(name)
        while_deferred()
        # As JSON, as in Airflow's database.
        trigger = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))
        if give_task_instance:
            trigger.task_instance = context["ti"]
        event = json.loads(json.dumps(asyncio.run(_first_event(trigger))))
        try:
            arguments = {**(deferral.kwargs or {}), "event": event}
            return operator().resume_execution(deferral.method_name, arguments, context)
        except TaskDeferred as deferred:
            deferral = deferred


async def _first_event(trigger: Any) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger sent no event")
