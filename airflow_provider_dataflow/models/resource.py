"""What the service describes, read by the names of our attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Self

from airflow_provider_dataflow.models import typed

#: Also those that the API adds tomorrow.
STATE = re.compile(r"[A-Za-z][A-Za-z_ -]{0,99}")

#: Members of structures whose own name is not the wire's; all others have the same in both.
_OWN_NAMES = {"memoryInGBs": "memory_in_gbs", "logGroupId": "log_group_id", "logId": "log_id"}


class Resource:
    """Base of frozen dataclasses with ``id``, ``state`` and ``raw``, the whole answer.

    What the service leaves out is ``None``. Times are timezone-aware.
    """

    __slots__ = ()
    kind: ClassVar[str]

    @classmethod
    def from_api(cls, body: Mapping[str, Any]) -> Self:
        """Read the service's JSON, whole or as a summary.

        :raises ValueError: it is no such resource, as after a truncated answer, or a value in it has another
            type than the API says.
        """
        if not isinstance(body, Mapping) or body.get("id") in (None, "") or not body.get("lifecycleState"):
            raise ValueError(f"the answer is no {cls.kind}: it has no id and lifecycleState")
        try:
            resource = cls(**typed.values_of(cls, body), raw=body)  # type: ignore[call-arg]
            resource.check()
        except ValueError as error:
            raise ValueError(f"the answer is no {cls.kind}: {error}") from error
        return resource

    def check(self) -> None:
        """Refuse what no later use could cope with.

        :raises ValueError: an attribute has the declared type, but not the form.
        """
        state: str = self.state  # type: ignore[attr-defined]
        if not STATE.fullmatch(state):
            raise ValueError("lifecycleState: expected the name of a state")

    @classmethod
    def attribute_names(cls) -> tuple[str, ...]:
        return tuple(f.name for f in fields(cls) if f.name != "raw")  # type: ignore[arg-type]

    def attributes(self) -> dict[str, Any]:
        """All attributes by name, without ``raw``."""
        return {name: getattr(self, name) for name in self.attribute_names()}


def time_of(value: str | None) -> datetime | None:
    """Read a time in ISO 8601.

    :raises ValueError: it is none.
    """
    return None if value is None else typed.time(value)


def as_json(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as JSON has them: times in ISO 8601, and the members of structures by our names."""

    def plain(name: str, value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat()
        # Not for Spark's configuration: its keys are the user's.
        if isinstance(value, Mapping) and name.endswith("_config"):
            return {_OWN_NAMES.get(key, key): item for key, item in value.items()}
        return value

    return {name: plain(name, value) for name, value in attributes.items()}
