"""Settings of operators and sensors, read when the DAG is parsed and again when the task runs."""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.arguments.settings import TASK_SETTINGS
from airflow_provider_dataflow.arguments.templates import NestedTemplatesMixin
from airflow_provider_dataflow.compat import remember_failed_try, resumes_earlier_try
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import is_literal

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context

PACKAGE = __name__.partition(".")[0]


@cache
def argument_names(cls: Any) -> tuple[str, ...]:
    """Return the names of the constructor's arguments, those of base classes in this package included."""
    return tuple(
        dict.fromkeys(
            name
            for base in cls.__mro__
            if base.__module__.partition(".")[0] == PACKAGE and "__init__" in vars(base)
            for name, parameter in inspect.signature(base.__init__).parameters.items()
            if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
        )
    )


class TaskSettingsMixin(NestedTemplatesMixin):
    """Mixin of operators and sensors. Replaces the attributes of settings with their checked values.

    Plain values are read when the DAG is parsed, so that a mistake is an import error of the DAG. Templates
    and results of other tasks are known only when the task runs, so all settings are read again then.
    """

    #: Arguments that are fields of a request. The request reads them, so they are no settings.
    body_arguments: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def setting_names(cls) -> tuple[str, ...]:
        """Return the names of the arguments that are settings."""
        operator: Any = cls
        names = argument_names(operator)
        return tuple(name for name in names if name in TASK_SETTINGS and name not in cls.body_arguments)

    def read_settings_at_parse(self) -> None:
        """Read the settings that are neither templates nor results of other tasks.

        Each constructor calls this after it has set its attributes.

        :raises InvalidArgument: a setting has an unusable value.
        """
        for name in self.setting_names():
            if name in vars(self) and is_literal(value := getattr(self, name)):
                setattr(self, name, TASK_SETTINGS[name].read(value, name))

    def read_settings(self) -> None:
        """Read all settings. ``execute`` calls this before it sends any request.

        :raises InvalidArgument: a setting has an unusable value.
        """
        for name in self.setting_names():
            setattr(self, name, TASK_SETTINGS[name].read(getattr(self, name), name))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral. Called by Airflow instead of ``execute``, with newly rendered templates.

        Unusable values are replaced and not refused: a failure now would lose the run that is active.
        """
        task: Any = self
        ti = context["ti"]
        if resumes_earlier_try(ti):
            task.log.warning(
                "Airflow resumes try %d with the event of an earlier try; starting over instead",
                ti.try_number,
            )
            return task.execute(context)
        for name in self.setting_names():
            setting = TASK_SETTINGS[name]
            try:
                setattr(self, name, setting.read(getattr(self, name), name))
            except InvalidArgument as error:
                task.log.warning("%s Using %r instead.", error, setting.if_unusable)
                setattr(self, name, setting.if_unusable)
        try:
            return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
        except Exception:
            remember_failed_try(ti)
            raise
