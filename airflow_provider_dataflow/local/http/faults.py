"""Faults as data: which requests fail, how, and how often. ``active_faults`` applies them to requests."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from enum import StrEnum
from typing import Any, Self

from airflow_provider_dataflow.local.engines.json_fields import (
    FieldError,
    from_fields,
    number,
    one_of,
    seconds,
    shown,
    text,
    to_json,
    whole,
)
from airflow_provider_dataflow.local.http.error_messages import did_you_mean
from airflow_provider_dataflow.local.http.messages import ApiError, ResponseFault, not_found
from airflow_provider_dataflow.local.http.operations import OPERATIONS, matches_any_operation

# Default code and message by status: the code that the service uses most often with it.
_ERRORS = {
    400: ("InvalidParameter", "A parameter is invalid."),
    401: ("NotAuthenticated", "The required information to complete authentication was not provided."),
    403: ("NotAuthorized", "You do not have authorization to perform this request."),
    404: ("NotAuthorizedOrNotFound", "Authorization failed or requested resource not found."),
    405: ("MethodNotAllowed", "The method is not allowed on this resource."),
    409: ("IncorrectState", "The requested state for the resource conflicts with its current state."),
    412: ("NoEtagMatch", "The resource has changed since its etag was read."),
    413: ("RequestEntityTooLarge", "The request body is too large."),
    429: ("TooManyRequests", "Too many requests for the user."),
    500: ("InternalServerError", "Internal server error."),
    501: ("MethodNotImplemented", "The method is not implemented."),
    502: ("BadGateway", "Bad gateway."),
    503: ("ServiceUnavailable", "The service is currently unavailable."),
    504: ("GatewayTimeout", "The service did not respond in time."),
}
_MAX_COUNT = 10**9


class FaultKind(StrEnum):
    """Effect of a fault on a request. The comments say whether the request is still carried out."""

    LOST_RESPONSE = "lost_response"  # carried out; the connection is closed without a response
    DROP = "drop"  # not carried out; the connection is closed
    STATUS = "status"  # not carried out; the response has ``status``, ``code``, ``message``, ``retry_after``
    DENY = "deny"  # not carried out; 404 as for a missing policy, for ``resource_id`` or for all resources
    VANISH = "vanish"  # 404 to requests for ``resource_id``, which also disappears from lists
    NOT_FOUND_AFTER_CREATE = "not_found_after_create"  # 404 until the resource is ``seconds`` old
    REPLAY_CONFLICT = "replay_conflict"  # 409 to a retry token that was used before
    LIMIT_EXCEEDED = "limit_exceeded"  # 400 to CreateRun while ``limit`` runs have not ended
    LATE = "late"  # carried out after ``seconds``, if the client is still connected then
    SLOW = "slow"  # carried out at once; the response is sent after ``seconds``
    SLOW_BODY = "slow_body"  # carried out; sending the body takes ``seconds``
    TRUNCATED_BODY = "truncated_body"  # carried out; the connection is closed after ``bytes`` of the body
    CLOCK_SKEW = "clock_skew"  # the clock that checks the dates of requests is ``seconds`` ahead


_REQUIRED_FIELDS = {
    FaultKind.STATUS: ("status",),
    FaultKind.VANISH: ("resource_id",),
    FaultKind.NOT_FOUND_AFTER_CREATE: ("seconds",),
    FaultKind.LIMIT_EXCEEDED: ("limit",),
    FaultKind.LATE: ("seconds",),
    FaultKind.SLOW: ("seconds",),
    FaultKind.SLOW_BODY: ("seconds",),
    FaultKind.CLOCK_SKEW: ("seconds",),
}
# Fields that only some kinds have.
_KINDS_OF_FIELD = {
    "status": {FaultKind.STATUS},
    "code": {FaultKind.STATUS},
    "message": {FaultKind.STATUS},
    "retry_after": {FaultKind.STATUS},
    "seconds": {
        FaultKind.NOT_FOUND_AFTER_CREATE,
        FaultKind.LATE,
        FaultKind.SLOW,
        FaultKind.SLOW_BODY,
        FaultKind.CLOCK_SKEW,
    },
    "limit": {FaultKind.LIMIT_EXCEEDED},
    "bytes": {FaultKind.TRUNCATED_BODY},
}
# Kinds whose request is carried out at once, before the response is changed.
_CARRIED_OUT = {FaultKind.LOST_RESPONSE, FaultKind.SLOW, FaultKind.SLOW_BODY, FaultKind.TRUNCATED_BODY}
_MAX_DELAY_SECONDS = 3600.0
_MAX_SKEW_SECONDS = 24 * 3600.0
_RANGES_OF_SECONDS: dict[FaultKind, tuple[float, ...]] = {
    FaultKind.LATE: (0.0, _MAX_DELAY_SECONDS),
    FaultKind.SLOW: (0.0, _MAX_DELAY_SECONDS),
    FaultKind.SLOW_BODY: (0.0, _MAX_DELAY_SECONDS),
    FaultKind.CLOCK_SKEW: (-_MAX_SKEW_SECONDS,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Fault of Local Data Flow: its kind, the requests that it applies to, and how often.

    :param kind: one of :class:`FaultKind`
    :param operation: shell pattern for the name of the operation, such as ``CreateRun`` or ``*Run``
    :param resource_id: OCID of the resource that the request names, or ``oci://`` URI of the bucket or
        object. ``deny`` also takes the OCID of a compartment, the URI of a bucket for all of its objects, and
        resources that the body of a request names.
    :param user: shell pattern for the OCID of the user that signed the request
    :param count: number of requests that the fault applies to; ``None``: all
    :param after: number of matching requests that are spared first
    :param probability: share of the matching requests that the fault applies to, from 0 to 1
    :param seed: with the same seed, the fault applies to the same requests
    :param in_seconds: delay before the fault begins, on the service's clock
    :param for_seconds: duration of the fault, on the service's clock; ``None``: until it is removed
    :param status: HTTP status of the response, for ``status``
    :param code: error code of the response, for ``status``; by default the usual one of the status
    :param message: error message of the response, for ``status``; by default the usual one of the status
    :param retry_after: ``Retry-After`` header in seconds, for ``status``
    :param seconds: delay, age or skew, depending on the kind
    :param limit: number of runs, for ``limit_exceeded``
    :param bytes: length of the part of the body that is sent, for ``truncated_body``; ``None``: half of it
    :raises ValueError: a field is missing, not allowed for the kind, or out of range; the message says which
    """

    kind: str
    operation: str = "*"
    resource_id: str | None = None
    user: str | None = None
    count: int | None = None
    after: int = 0
    probability: float = 1.0
    seed: int = 0
    in_seconds: float = 0.0
    for_seconds: float | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    retry_after: float | None = None
    seconds: float | None = None
    limit: int | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        one_of("kind", self.kind, FaultKind)
        for name in _REQUIRED_FIELDS.get(FaultKind(self.kind), ()):
            if getattr(self, name) is None:
                raise FieldError(name, "", before=f"the fault {self.kind} needs ")
        for name, kinds in _KINDS_OF_FIELD.items():
            if getattr(self, name) is not None and self.kind not in kinds:
                raise FieldError(
                    name,
                    f", which is for {', '.join(sorted(kinds))}",
                    before=f"the fault {self.kind} has no ",
                )
        self._check_values()

    def _check_values(self) -> None:
        for name in ("operation", "resource_id", "user", "code"):
            if (value := getattr(self, name)) is not None:
                text(name, value, may_be_empty=False)
        if self.message is not None:
            text("message", self.message)
        values: dict[str, Any] = {"probability": number("probability", self.probability, 0, 1)}
        for name in ("in_seconds", "for_seconds", "retry_after"):
            if (value := getattr(self, name)) is not None:
                values[name] = seconds(name, value)
        if self.seconds is not None:
            limits = _RANGES_OF_SECONDS.get(FaultKind(self.kind), (0.0,))
            values["seconds"] = seconds("seconds", self.seconds, *limits)
        for name, minimum, maximum in (
            ("count", 1, _MAX_COUNT),
            ("after", 0, _MAX_COUNT),
            ("seed", 0, 2**63 - 1),
            ("status", 400, 599),
            ("limit", 0, _MAX_COUNT),
            ("bytes", 0, _MAX_COUNT),
        ):
            if (value := getattr(self, name)) is not None:
                values[name] = whole(name, value, minimum, maximum)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, kind: str, **values: Any) -> Self:
        """Return a fault with these fields.

        :raises ValueError: a field is unknown or wrong
        """
        return cls.from_json({**values, "kind": kind})

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """Return the fault with the JSON form ``values``.

        :raises ValueError: a field is unknown or wrong
        """
        known = from_fields(cls, "a fault", values)
        if "kind" not in known:
            raise FieldError("kind", f" must be given; one of {', '.join(FaultKind)}")
        return cls(**known)

    def check_operation(self) -> None:
        """Check that the pattern matches an operation of the API; otherwise the fault would never apply.

        :raises FieldError: it does not
        """
        if not matches_any_operation(self.operation):
            suggestion = did_you_mean(self.operation, OPERATIONS)
            problem = f" matches no operation of the API: {shown(self.operation)}.{suggestion}".rstrip(".")
            raise FieldError("operation", problem)

    def as_json(self) -> dict[str, Any]:
        return to_json(self)

    @property
    def is_carried_out(self) -> bool:
        return self.kind in _CARRIED_OUT

    def error(self) -> ApiError:
        """Return the error response to a request that is not carried out."""
        match self.kind:
            case FaultKind.NOT_FOUND_AFTER_CREATE | FaultKind.VANISH | FaultKind.DENY:
                return not_found()
            case FaultKind.REPLAY_CONFLICT:
                return ApiError(409, "InvalidatedRetryToken", "The retry token was used before.")
            case FaultKind.LIMIT_EXCEEDED:
                return ApiError(400, "LimitExceeded", f"There are {self.limit} runs already, the limit.")
            case FaultKind.CLOCK_SKEW:
                message = "The date of the request is more than five minutes off."
                date = formatdate(time.time() + (self.seconds or 0.0), usegmt=True)
                return ApiError(401, "NotAuthenticated", message, {"date": date})
        status = self.status or 500
        default_code, default_message = _ERRORS.get(status, ("InternalServerError", "An error."))
        headers = None if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"}
        return ApiError(status, self.code or default_code, self.message or default_message, headers)

    def response_fault(self) -> ResponseFault | None:
        """Return the fault to apply when the response is sent; ``None``: send it as usual."""
        match self.kind:
            case FaultKind.DROP | FaultKind.LOST_RESPONSE:
                return ResponseFault(drop=True)
            case FaultKind.SLOW:
                return ResponseFault(delay_seconds=self.seconds or 0.0)
            case FaultKind.SLOW_BODY:
                return ResponseFault(body_seconds=self.seconds or 0.0)
            case FaultKind.TRUNCATED_BODY:
                return ResponseFault(truncate=True, body_bytes=self.bytes)
        return None
