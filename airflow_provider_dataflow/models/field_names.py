"""Names of dataclass fields in the JSON of the API: camelCase, with few exceptions."""

from __future__ import annotations

from functools import cache
from typing import Any


def api_field(name: str) -> dict[str, str]:
    """Return the metadata of a dataclass field whose API name is not its plain camelCase."""
    return {"api": name}


@cache
def camel_case(name: str) -> str:
    """Convert snake_case to camelCase."""
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)


def api_name(f: Any) -> str:
    """Return the API name of a dataclass field."""
    return f.metadata.get("api") or camel_case(f.name)
