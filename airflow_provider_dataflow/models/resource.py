"""What the service describes, read by the names of our attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Self

import pendulum

from airflow_provider_dataflow.models.field_names import api_name

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

        :raises ValueError: it is no such resource, as after a truncated answer.
        """
        if not isinstance(body, Mapping) or body.get("id") in (None, "") or not body.get("lifecycleState"):
            raise ValueError(f"the answer is no {cls.kind}: it has no id and lifecycleState")
        values: dict[str, Any] = {}
        for f in fields(cls):  # type: ignore[arg-type]
            if f.name != "raw":
                value = body.get(api_name(f))
                values[f.name] = time_of(value) if f.name.startswith("time_") else value
        return cls(**values, raw=body)  # type: ignore[call-arg]

    @classmethod
    def attribute_names(cls) -> tuple[str, ...]:
        return tuple(f.name for f in fields(cls) if f.name != "raw")  # type: ignore[arg-type]

    def attributes(self) -> dict[str, Any]:
        """All attributes by name, without ``raw``."""
        return {name: getattr(self, name) for name in self.attribute_names()}


def time_of(value: str | None) -> datetime | None:
    if value is None:
        return None
    time = pendulum.parse(value)
    if not isinstance(time, datetime):
        raise ValueError(f"{value!r} is no time")
    return time


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
