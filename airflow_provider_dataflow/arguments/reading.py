"""Reading of the arguments that say how an operator or sensor works: when the DAG is parsed, and again when
its task runs, since templates and results of other tasks are known only then.
"""

from __future__ import annotations

import inspect
import os
from collections import deque
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.arguments.settings import SETTINGS
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import is_literal

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context

PACKAGE = __name__.partition(".")[0]


@cache
def argument_names(cls: Any) -> tuple[str, ...]:
    """Return the arguments of the constructors of a class and of its bases in this package."""
    return tuple(
        dict.fromkeys(
            name
            for base in cls.__mro__
            if base.__module__.partition(".")[0] == PACKAGE and "__init__" in vars(base)
            for name, parameter in inspect.signature(base.__init__).parameters.items()
            if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
        )
    )


def finalize(value: Any) -> Any:
    """Return what a template puts into a text: of an Enum member its value, not its name."""
    return value.value if isinstance(value, Enum) else value


class RendersKeys:
    """Renders templates wherever they are in an argument. Airflow renders the values of a dict only."""

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        # What a mapped task was given by another one must not be rendered.
        if seen_oids is not None and id(content) in seen_oids:
            return content
        jinja_env = jinja_env or self.get_template_env()  # type: ignore[attr-defined]
        if jinja_env.finalize is None:
            jinja_env = jinja_env.overlay(finalize=finalize)
        if isinstance(content, Enum):
            content = content.value
        elif isinstance(content, os.PathLike) and not is_literal(content):
            content = str(content)

        def render(item: Any) -> Any:
            return self.render_template(item, context, jinja_env, seen_oids)

        if isinstance(content, Mapping):
            rendered: dict[Any, Any] = {}
            for key, item in content.items():
                name = render(key) if isinstance(key, (str, Enum)) else key
                if not isinstance(name, (str, int, float)):
                    raise InvalidArgument(str(key), f"rendered to {name!r}, which cannot be a key")
                if name in rendered:
                    raise InvalidArgument(str(key), f"rendered to {name!r}, which is there already")
                rendered[name] = render(item)
            return rendered
        if isinstance(content, (frozenset, deque)):
            # Airflow leaves these as they are.
            return type(content)(map(render, content))
        return super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]


class ReadsSettings(RendersKeys):
    """Mixin of operators and sensors."""

    #: What is read elsewhere: by the request that is made of it.
    body_arguments: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def setting_names(cls) -> tuple[str, ...]:
        """Return which of the arguments are settings."""
        operator: Any = cls
        names = argument_names(operator)
        return tuple(name for name in names if name in SETTINGS and name not in cls.body_arguments)

    def read_settings_at_parse(self) -> None:
        """Read what is plain. Called by each constructor when its attributes are set.

        :raises InvalidArgument: an argument is refused.
        """
        for name in self.setting_names():
            if name in vars(self) and is_literal(value := getattr(self, name)):
                setattr(self, name, SETTINGS[name].read(value, name))

    def read_settings(self) -> None:
        """Read all settings: first of all in ``execute``, before anything is sent.

        :raises InvalidArgument: an argument is refused.
        """
        for name in self.setting_names():
            setattr(self, name, SETTINGS[name].read(getattr(self, name), name))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Called by Airflow instead of ``execute`` after a deferral.

        Templates were rendered again. It is too late to refuse what they have become: a run is under way.
        """
        for name in self.setting_names():
            setting = SETTINGS[name]
            try:
                setattr(self, name, setting.read(getattr(self, name), name))
            except InvalidArgument as error:
                self.log.warning("%s; using %r instead", error, setting.fallback)  # type: ignore[attr-defined]
                setattr(self, name, setting.fallback)
        return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
