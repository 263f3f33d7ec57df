"""What is asked for beside runs: bodies of creates and updates, in the service's types.

Each field of such a body carries how it is read, as those of ``RunRequest`` do, and whether an update may
change it. One definition serves the create, the update and the comparison with what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, Self

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.field_names import api_name
from airflow_provider_dataflow.models.fields import Coercion, is_given
from airflow_provider_dataflow.models.run_request_checks import is_plain


def argument(
    read: Coercion,
    *,
    required: bool = False,
    fixed: bool = False,
    filled_in: bool = False,
    verbatim: bool = False,
) -> Any:
    """A field.

    :param required: by a create.
    :param fixed: no update changes it.
    :param filled_in: the service adds members that were not given, and they count for nothing.
    :param verbatim: the text ``None`` is a value, not what a template made of None.
    """
    metadata = {
        "read": read,
        "required": required,
        "fixed": fixed,
        "filled_in": filled_in,
        "verbatim": verbatim,
    }
    return field(default=None, metadata=metadata)


class Details:
    """Base of frozen dataclasses of fields made by :func:`argument`."""

    __slots__ = ()

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        return tuple(f.name for f in fields(cls))  # type: ignore[arg-type]

    @classmethod
    def argument_names_of(cls, body: Mapping[str, Any]) -> list[str]:
        """Which arguments the fields of a body are."""
        return [f.name for f in fields(cls) if api_name(f) in body]  # type: ignore[arg-type]

    @classmethod
    def build(cls, arguments: Mapping[str, Any]) -> Self:
        """Read arguments by their names; ``None`` is what is not given.

        :raises InvalidArgument: a value has the wrong type or form.
        """
        return cls(
            **{
                f.name: f.metadata["read"](arguments[f.name], f.name)
                for f in fields(cls)  # type: ignore[arg-type]
                if _is_given(f, arguments.get(f.name))
            }
        )

    @classmethod
    def check_plain(cls, arguments: Mapping[str, Any]) -> None:
        """Refuse, when a DAG is parsed, what is certain to be refused when its task runs.

        :raises InvalidArgument: as of :meth:`build`, for an argument without a template in it.
        """
        cls.build({name: value for name, value in arguments.items() if is_plain(value)})

    def check(self) -> None:
        """Refuse what a create would be refused for, where that can be known here.

        :raises InvalidArgument: an argument is missing.
        """
        for f in fields(self):  # type: ignore[arg-type]
            if f.metadata["required"] and getattr(self, f.name) is None:
                raise InvalidArgument(f.name, "missing")

    def body(self) -> dict[str, Any]:
        """The JSON of the create."""
        return {
            api_name(f): getattr(self, f.name)
            for f in fields(self)  # type: ignore[arg-type]
            if getattr(self, f.name) is not None
        }

    def differences(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON of the update: what is given, and is otherwise now. Empty if nothing is.

        Of ``defined_tags``, namespaces that are not given stay: OCI puts tags of its own there.

        :param found: the resource, as the API's JSON.
        """
        changes: dict[str, Any] = {}
        for f in fields(self):  # type: ignore[arg-type]
            wanted, is_now = getattr(self, f.name), found.get(api_name(f))
            if wanted is None or f.metadata["fixed"]:
                continue
            if f.name == "defined_tags":
                wanted = {**(is_now or {}), **wanted}
            if not (_covers(is_now, wanted) if f.metadata["filled_in"] else _same(is_now, wanted)):
                changes[api_name(f)] = wanted
        return changes


def _is_given(f: Any, value: Any) -> bool:
    return value is not None if f.metadata["verbatim"] else is_given(value)


def _same(found: Any, wanted: Any) -> bool:
    # Nothing may come back as null or as empty.
    return _ordered(found or None) == _ordered(wanted or None)


def _ordered(value: Any) -> Any:
    """Parameters have names, and no order."""
    if isinstance(value, list) and all(isinstance(item, Mapping) and "name" in item for item in value):
        return sorted(value, key=lambda item: str(item["name"]))
    return value


def _covers(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_covers(found.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        found = found or []
        return len(found) == len(wanted) and all(map(_covers, found, wanted))
    return bool(found == wanted)
