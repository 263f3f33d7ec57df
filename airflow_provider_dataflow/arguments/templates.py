"""Rendering of Jinja templates anywhere inside an argument."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import is_literal

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context


def enum_value(value: Any) -> Any:
    """Return the value of an Enum member, and anything else unchanged. Jinja's ``finalize``.

    Without it, ``{{ kind }}`` renders to ``Kind.BATCH``.
    """
    return value.value if isinstance(value, Enum) else value


class NestedTemplatesMixin:
    """Mixin of operators, sensors and triggers. Renders templates in all containers and in the keys of dicts.

    Airflow renders the values of a dict but not its keys, and neither deques, frozensets nor paths.
    """

    def render_template(
        self, content: Any, context: Context, jinja_env: Any = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render ``content``. Called by Airflow for each template field.

        :param seen_oids: ids of the objects that must not be rendered: the results of other tasks.
        :raises InvalidArgument: a key renders to a value that cannot be a key, or two keys render alike.
        """
        if seen_oids is not None and id(content) in seen_oids:
            return content
        jinja_env = jinja_env or self.get_template_env()  # type: ignore[attr-defined]
        if jinja_env.finalize is None:
            jinja_env = jinja_env.overlay(finalize=enum_value)
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
                    raise InvalidArgument(str(key), f"rendered to {name!r}, the same as another key")
                rendered[name] = render(item)
            return rendered
        if isinstance(content, (frozenset, deque)):
            return type(content)(map(render, content))
        return super().render_template(content, context, jinja_env, seen_oids)  # type: ignore[misc]
