"""Where the real service's behaviour is not published: what to do there, and other choices of a server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EndedRunDelete(StrEnum):
    """The answer to DELETE of a run that SUCCEEDED or FAILED."""

    CONFLICT = "Conflict"  # 409, not retried by the SDK
    INCORRECT_STATE = "IncorrectState"  # 409, which the SDK may retry for a minute and a half
    NO_CONTENT = "NoContent"  # 204, nothing happens


@dataclass(frozen=True, slots=True)
class Options:
    verify_signatures: bool = True
    ended_run_delete: EndedRunDelete = EndedRunDelete.CONFLICT
    # The largest page, and the one that a client gets which does not ask for a size.
    max_page: int = 1000
    default_page: int = 100
    retry_token_seconds: float = 24 * 3600
    # Hosts by which the server may be called, beside those of loopback.
    allowed_hosts: frozenset[str] = frozenset()
