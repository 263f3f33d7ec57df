"""Paths of Object Storage, in which the name of an object is the rest of the path with all its slashes."""

from __future__ import annotations

from urllib.parse import unquote

from airflow_provider_dataflow.local.http.messages import ApiError

_ROOTS = frozenset({"n", "p", "workRequests"})
# /n/{namespace}/b/{bucket}/o/{object}
_OBJECT_SEGMENTS = 6


def is_object_storage_path(path: str) -> bool:
    """Return whether a path belongs to Object Storage and not to Data Flow."""
    return path.lstrip("/").partition("/")[0] in _ROOTS


def split_token(path: str) -> tuple[str | None, str]:
    """Return the token of a pre-authenticated request, if the path has one, and the path without it."""
    first, _, rest = path.lstrip("/").partition("/")
    if first != "p":
        return None, path
    token, _, target = rest.partition("/")
    return token, f"/{target}"


def without_token(target: str) -> str:
    """Return a path and query for the journal and the log, in which a token would be a secret."""
    token, path = split_token(target)
    return target if token is None else f"/p/***{path}"


def split_object_path(path: str) -> list[str]:
    """Return the unquoted segments; the last one of the path of an object is its whole name.

    :raises ApiError: 400, a segment is not valid UTF-8
    """
    segments = path.lstrip("/").split("/", _OBJECT_SEGMENTS - 1)
    try:
        segments = [unquote(segment, errors="strict") for segment in segments]
    except UnicodeDecodeError:
        raise ApiError(400, "MalformedURI", "The path is not valid UTF-8.") from None
    while segments and not segments[-1]:
        segments.pop()
    return segments
