"""A task from its execute to its end, deferrals included, as Airflow leads it: without an Airflow."""

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
) -> Any:
    """The result of a task.

    :param operator: makes the operator: there is a new one after each deferral.
    :param while_deferred: called before each trigger runs.
    :param deferrals: gets the names of the triggers.
    """
    context = {"ti": ti or FakeTaskInstance()}
    try:
        return operator().execute(context)
    except TaskDeferred as deferred:
        now = deferred
    while True:
        path, arguments = now.trigger.serialize()
        module, _, name = path.rpartition(".")
        if deferrals is not None:
            deferrals.append(name)
        while_deferred()
        # By way of Airflow's database.
        trigger = getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))
        event = json.loads(json.dumps(asyncio.run(_first_event(trigger))))
        try:
            return operator().resume_execution(now.method_name, {"event": event}, context)
        except TaskDeferred as deferred:
            now = deferred


async def _first_event(trigger: Any) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("the trigger has no event")
