"""Boundary through which every response of the service passes, in both clients.

What a response holds is decided by others: a proxy, a gateway in trouble, a later version of the API.
Whatever reading it raises leaves here as a ``ServiceError``, which a wait tolerates for its error budget.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_dataflow.exceptions import DataFlowError, UnexpectedResponse

#: Of the service's texts in errors, which end up in logs, XComs and databases.
MAX_MESSAGE = 1000
MAX_NAME = 200

#: Control characters and lone surrogates, which databases and encoders refuse.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@contextmanager
def reading(operation: str, endpoint: str | None) -> Iterator[None]:
    """Read a response: what that raises is raised as an ``UnexpectedResponse``.

    :raises ServiceError: the response is not what the API describes.
    """
    try:
        yield
    except DataFlowError:
        raise
    except Exception as error:
        raise unexpected(operation, endpoint, error) from error


def unexpected(operation: str, endpoint: str | None, error: Exception) -> UnexpectedResponse:
    """Return the error for a response that could not be read."""
    # Errors of the JSON decoder and of our own checks are sentences; of others, the type says more.
    said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return UnexpectedResponse(
        operation=operation, message=plain_text(said) or type(error).__name__, endpoint=endpoint
    )


def plain_text(value: Any, most: int = MAX_MESSAGE) -> str:
    """Return a text of the service as it can be logged and stored: printable, and not too long."""
    text = value if isinstance(value, str) else "" if value is None else repr(value)
    return _UNPRINTABLE.sub("\ufffd", text[:most])


def plain_name(value: Any) -> str | None:
    """Return a code or an id of the service, if it is one."""
    return plain_text(value, MAX_NAME) if isinstance(value, str) and value else None


def error_of(body: Any) -> tuple[str | None, str]:
    """Return code and message of the service's error; what is missing or is no text is left out."""
    if not isinstance(body, Mapping):
        return None, ""
    message = body.get("message")
    return plain_name(body.get("code")), plain_text(message) if isinstance(message, str) else ""


def rows_of(body: Any) -> list[Any]:
    """Return the items of a list; newer lists are wrapped in a collection.

    :raises ValueError: it is no list.
    """
    items = body.get("items") if isinstance(body, Mapping) else body
    if not isinstance(items, list):
        raise ValueError(f"expected a list, got {type(items).__name__}")
    return items


class Pages:
    """Follows page tokens, each of them once: a service that repeats one would be asked for ever."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def next(self, token: Any) -> str | None:
        """Return the token of the next page, if there is one.

        :raises ValueError: that page has been read already.
        """
        if not token:
            return None
        token = str(token)
        if token in self._seen:
            raise ValueError(f"the page {plain_text(token, MAX_NAME)} comes twice")
        self._seen.add(token)
        return token


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


#: Takes what JSON allows, unlike Python's own, which reads NaN and Infinity.
DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def json_of(body: bytes) -> Any:
    """Return the JSON of a body; ``None`` if it is empty.

    :raises ValueError: it is not JSON in UTF-8.
    """
    return DECODER.decode(body.decode()) if body else None


class Exchange(threading.local):
    """How far this thread's request is, to tell errors of the caller from errors of the response.

    The SDK raises the same types for both.
    """

    is_sent = False


exchange = Exchange()
