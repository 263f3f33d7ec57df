"""Settings of triggers: refused in a DAG or worker, replaced in a triggerer."""

from __future__ import annotations

import asyncio
from typing import Any

from airflow_provider_dataflow.arguments.settings import TRIGGER_SETTINGS, Setting
from airflow_provider_dataflow.exceptions import InvalidArgument


class TriggerSettingsMixin:
    """Mixin of triggers. Reads the arguments of the constructor.

    In a triggerer, the arguments come from the trigger's row, which another version of this package may have
    written with weaker checks. An error in the constructor would end the whole triggerer: Airflow catches
    only a TypeError there. So an unusable value is replaced, and the task's log says so.
    """

    replaced_settings: tuple[str, ...] = ()
    """Messages about the replaced values. The task's log is not open yet when Airflow creates the trigger."""

    def read_setting(self, name: str, value: Any, setting: Setting | None = None) -> Any:
        """Return the checked value of an argument, or its replacement in a triggerer.

        :param setting: its entry in a table. Default: the one in ``TRIGGER_SETTINGS``.
        :raises InvalidArgument: the value is unusable, and this is a DAG or a worker.
        """
        setting = setting or TRIGGER_SETTINGS[name]
        try:
            return setting.read(value, name)
        except InvalidArgument as error:
            if not is_in_event_loop():
                raise
            message = f"{error} Using {setting.if_unusable!r} instead."
            self.replaced_settings = (*self.replaced_settings, message)
            return setting.if_unusable

    def log_replaced_settings(self) -> None:
        """Log a warning for each replaced value."""
        for message in self.replaced_settings:
            self.log.warning("%s", message)  # type: ignore[attr-defined]


def is_in_event_loop() -> bool:
    """Return whether an event loop runs in this thread, as in a triggerer but not in a DAG or a worker."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
