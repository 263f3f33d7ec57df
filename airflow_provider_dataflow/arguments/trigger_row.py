"""Reading of a trigger's arguments: an author's are refused, those of a row never crash a triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from airflow_provider_dataflow.arguments.settings import OF_TRIGGERS, Setting
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS


class ReadsRow:
    """Mixin of triggers.

    A row may have been written by another version, which checked less. An error in a constructor ends the
    whole triggerer (Airflow 3.3 expects a TypeError at most), and one value is no reason to lose a run: what
    cannot be used is replaced, and the task's log says so.
    """

    #: What was replaced, for the task's log; it is not yet open when Airflow makes the trigger.
    replaced: tuple[str, ...] = ()

    def setting(self, name: str, value: Any, setting: Setting | None = None) -> Any:
        """Read an argument.

        :raises InvalidArgument: it is refused, and no event loop runs: an author's, in a DAG or a worker.
        """
        setting = setting or OF_TRIGGERS[name]
        try:
            return setting.read(value, name)
        except InvalidArgument as error:
            if not on_event_loop():
                raise
            self.replaced = (*self.replaced, f"{error}; using {setting.fallback!r} instead")
            return setting.fallback

    def hook_settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.setting(name, given[name]) for name in HOOK_ARGUMENTS}

    def warn_of_replaced(self) -> None:
        for sentence in self.replaced:
            self.log.warning("%s", sentence)  # type: ignore[attr-defined]


def on_event_loop() -> bool:
    """Airflow makes the triggers of rows on the triggerer's event loop; a DAG file and a worker run none."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
