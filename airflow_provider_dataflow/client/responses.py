"""Reading of responses, for both clients.

A response can be malformed: a proxy, a failing gateway or a later version of the API may have written it. All
errors while it is read become a ``ServiceError``, which a wait retries within its error budget.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_dataflow.exceptions import DataFlowError, UnexpectedResponse

#: Maximum characters that an error quotes from a response. Errors end up in logs, XComs and databases.
MAX_MESSAGE_LENGTH = 1000
MAX_NAME_LENGTH = 200

#: Control characters and lone surrogates, which databases and encoders refuse.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


@contextmanager
def reading(operation: str, endpoint: str | None) -> Iterator[None]:
    """Convert errors of the ``with`` block, which reads a response, to ``UnexpectedResponse``.

    :raises ServiceError: the response does not match the API.
    """
    try:
        yield
    except DataFlowError:
        raise
    except Exception as error:
        raise unexpected(operation, endpoint, error) from error


def unexpected(operation: str, endpoint: str | None, error: Exception) -> UnexpectedResponse:
    """Return the error for a response that cannot be read."""
    # The messages of ValueErrors are sentences. Other errors need their type to be understood.
    message = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return UnexpectedResponse(
        operation=operation, message=plain_text(message) or type(error).__name__, endpoint=endpoint
    )


def plain_text(value: Any, max_length: int = MAX_MESSAGE_LENGTH) -> str:
    """Return a text of the service without unprintable characters, truncated."""
    text = value if isinstance(value, str) else "" if value is None else repr(value)
    return _UNPRINTABLE.sub("\ufffd", text[:max_length])


def plain_name(value: Any) -> str | None:
    """Return a code or an id of the service; ``None`` if it is not a string."""
    return plain_text(value, MAX_NAME_LENGTH) if isinstance(value, str) and value else None


def error_of(body: Any) -> tuple[str | None, str]:
    """Return code and message from the body of an error response; ``None`` and an empty text without them."""
    if not isinstance(body, Mapping):
        return None, ""
    message = body.get("message")
    return plain_name(body.get("code")), plain_text(message) if isinstance(message, str) else ""


def rows_of(body: Any) -> list[Any]:
    """Return the items of a list response. Newer operations wrap them in an object.

    :raises ValueError: the body is not a list.
    """
    items = body.get("items") if isinstance(body, Mapping) else body
    if not isinstance(items, list):
        raise ValueError(f"expected a list, got {type(items).__name__}")
    return items


class Pages:
    """Page tokens of a list. Refuses a repeated token, since the list would never end."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def next(self, token: Any) -> str | None:
        """Return the token of the next page, if there is one.

        :raises ValueError: the page was read before.
        """
        if not token:
            return None
        token = str(token)
        if token in self._seen:
            raise ValueError(f"the page {plain_text(token, MAX_NAME_LENGTH)} was returned twice")
        self._seen.add(token)
        return token


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


#: Strict: refuses NaN and Infinity, which Python's default decoder accepts.
DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def json_of(body: bytes) -> Any:
    """Return the JSON of a body; ``None`` if it is empty.

    :raises ValueError: the body is not JSON in UTF-8.
    """
    return DECODER.decode(body.decode()) if body else None


class RequestProgress(threading.local):
    """Progress of the current thread's request.

    ``is_sent`` tells a malformed response from a wrong argument; the SDK raises the same types for both.
    """

    is_sent = False


request_progress = RequestProgress()
