"""Names in the API's JSON of what has a name of ours."""

from __future__ import annotations

from functools import cache
from typing import Any


def api_field(name: str) -> dict[str, str]:
    """Metadata of a dataclass field whose name in the API's JSON is not its plain camelCase."""
    return {"api": name}


@cache
def camel_case(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def api_name(f: Any) -> str:
    """The name in the API's JSON of a dataclass field."""
    return f.metadata.get("api") or camel_case(f.name)
