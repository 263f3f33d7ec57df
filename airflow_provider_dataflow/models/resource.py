"""Base of the resources that the service returns: runs, applications, pools and statements."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, ClassVar, Self

from airflow_provider_dataflow.models.decoding import decode_fields

#: Matches any plausible state, so that a state that the API adds later is accepted.
STATE = re.compile(r"[A-Za-z][A-Za-z_ -]{0,99}")

#: Members of ``*_config`` structures whose attribute name differs from their API name.
_MEMBER_NAMES = {"memoryInGBs": "memory_in_gbs", "logGroupId": "log_group_id", "logId": "log_id"}


class Resource:
    """Base of frozen dataclasses with ``id``, ``state`` and ``raw``, the JSON of the whole response.

    Attributes that the response lacks are None. Times are timezone-aware.
    """

    __slots__ = ()
    kind: ClassVar[str]

    @classmethod
    def from_api(cls, body: Mapping[str, Any]) -> Self:
        """Decode the service's JSON, of the resource or of its summary.

        :raises ValueError: the JSON is not such a resource, for example because the response was truncated,
            or a value has another type than the API documents.
        """
        if not isinstance(body, Mapping) or body.get("id") in (None, "") or not body.get("lifecycleState"):
            raise ValueError(f"the response is no {cls.kind}: it has no id and lifecycleState")
        try:
            resource = cls(**decode_fields(cls, body), raw=body)  # type: ignore[call-arg]
            resource.check()
        except ValueError as error:
            raise ValueError(f"the response is no {cls.kind}: {error}") from error
        return resource

    def check(self) -> None:
        """Check the form of attributes beyond their types.

        :raises ValueError: an attribute has an unusable form.
        """
        state: str = self.state  # type: ignore[attr-defined]
        if not STATE.fullmatch(state):
            raise ValueError("lifecycleState: expected the name of a state")

    @classmethod
    def attribute_names(cls) -> tuple[str, ...]:
        """Return the names of all attributes except ``raw``."""
        return tuple(f.name for f in fields(cls) if f.name != "raw")  # type: ignore[arg-type]

    def attributes(self) -> dict[str, Any]:
        """Return all attributes by name, except ``raw``."""
        return {name: getattr(self, name) for name in self.attribute_names()}


def as_json(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes as plain JSON: times in ISO 8601, members of structures in snake_case."""

    def plain(name: str, value: Any) -> Any:
        if isinstance(value, datetime):
            return value.isoformat()
        # Keys of Spark's ``configuration`` belong to the user and stay.
        if isinstance(value, Mapping) and name.endswith("_config"):
            return {_MEMBER_NAMES.get(key, key): item for key, item in value.items()}
        return value

    return {name: plain(name, value) for name, value in attributes.items()}
