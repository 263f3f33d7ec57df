"""Faults as data: which requests the service shall answer wrongly, late or not at all, and how.

Nothing here answers a request; it only decides, from what is known of a request, which fault applies to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Self

from airflow_provider_dataflow.local.engines.rules import (
    FieldError,
    from_fields,
    number,
    seconds,
    shown,
    text,
    to_json,
    whole,
)
from airflow_provider_dataflow.local.http.messages import ApiError, Delivery, not_found
from airflow_provider_dataflow.local.http.operations import OPERATIONS, matches_any_operation
from airflow_provider_dataflow.local.http.suggestions import did_you_mean

# code and message of the service by status; of several codes, the one that is met most.
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
    504: ("GatewayTimeout", "The service did not answer in time."),
}
_MAX_COUNT = 10**9
MAX_FAULTS = 1000


class Kind(StrEnum):
    LOST_RESPONSE = "lost_response"  # carried out; then the connection is closed without an answer
    DROP = "drop"  # not carried out; the connection is closed
    STATUS = "status"  # not carried out; ``status``, ``code``, ``message``, ``retry_after``
    VANISH = "vanish"  # 404 to all that is asked of ``resource_id``, which is in no list any more
    NOT_FOUND_AFTER_CREATE = "not_found_after_create"  # 404, until a resource is ``seconds`` old
    REPLAY_CONFLICT = "replay_conflict"  # 409 instead of the resource that a retry token had created
    LIMIT_EXCEEDED = "limit_exceeded"  # 400 to a new run while ``limit`` have not ended
    LATE = "late"  # carried out, and answered, only after ``seconds``, if the client is still there
    SLOW = "slow"  # carried out; answered after ``seconds``
    SLOW_BODY = "slow_body"  # carried out; the body takes ``seconds``
    TRUNCATED_BODY = "truncated_body"  # carried out; the connection is closed after ``bytes`` of the body
    CLOCK_SKEW = "clock_skew"  # the service's clock, by which it judges signatures, is ``seconds`` ahead


# The fields without which a kind means nothing.
_REQUIRED = {
    Kind.STATUS: ("status",),
    Kind.VANISH: ("resource_id",),
    Kind.NOT_FOUND_AFTER_CREATE: ("seconds",),
    Kind.LIMIT_EXCEEDED: ("limit",),
    Kind.LATE: ("seconds",),
    Kind.SLOW: ("seconds",),
    Kind.SLOW_BODY: ("seconds",),
    Kind.CLOCK_SKEW: ("seconds",),
}
# ... and those that only these have.
_ONLY = {
    "status": {Kind.STATUS},
    "code": {Kind.STATUS},
    "message": {Kind.STATUS},
    "retry_after": {Kind.STATUS},
    "seconds": {Kind.NOT_FOUND_AFTER_CREATE, Kind.LATE, Kind.SLOW, Kind.SLOW_BODY, Kind.CLOCK_SKEW},
    "limit": {Kind.LIMIT_EXCEEDED},
    "bytes": {Kind.TRUNCATED_BODY},
}
_CARRIED_OUT = {Kind.LOST_RESPONSE, Kind.SLOW, Kind.SLOW_BODY, Kind.TRUNCATED_BODY}
_MAX_DELAY = 3600.0
_MAX_SKEW = 24 * 3600.0
_LIMITS_OF_SECONDS: dict[Kind, tuple[float, ...]] = {
    Kind.LATE: (0.0, _MAX_DELAY),
    Kind.SLOW: (0.0, _MAX_DELAY),
    Kind.SLOW_BODY: (0.0, _MAX_DELAY),
    Kind.CLOCK_SKEW: (-_MAX_SKEW,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong, with which requests, and how often.

    :param operation: a pattern for the name of the operation, such as ``CreateRun`` or ``*Run``
    :param resource_id: of the resource that is asked for
    :param user: a pattern for the OCID of who asks
    :param count: how many requests are affected; ``None``: all
    :param after: how many matching requests are spared first
    :param probability: with which a matching request is affected; the same ones for the same ``seed``
    :param in_seconds: after how long it begins, on the service's clock
    :param for_seconds: how long it lasts, on that clock
    :param bytes: of a truncated body, how many are sent; ``None``: half of them
    :raises ValueError: says what is wrong
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
        if self.kind not in list(Kind):
            near = did_you_mean(str(self.kind), Kind)
            problem = f" must be one of {', '.join(Kind)}, not {shown(self.kind)}.{near}".rstrip(".")
            raise FieldError("kind", problem)
        for name in _REQUIRED.get(Kind(self.kind), ()):
            if getattr(self, name) is None:
                raise FieldError(name, "", before=f"the fault {self.kind} needs ")
        for name, kinds in _ONLY.items():
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
            limits = _LIMITS_OF_SECONDS.get(Kind(self.kind), (0.0,))
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
        return cls.from_json({**values, "kind": kind})

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """:raises ValueError: says what is wrong"""
        known = from_fields(cls, "a fault", values)
        if "kind" not in known:
            raise FieldError("kind", f" must be given; one of {', '.join(Kind)}")
        return cls(**known)

    def check_operation(self) -> None:
        """:raises FieldError: the pattern matches no operation of the API, so that nothing would happen"""
        if not matches_any_operation(self.operation):
            near = did_you_mean(self.operation, OPERATIONS)
            problem = f" matches no operation of the API: {shown(self.operation)}.{near}".rstrip(".")
            raise FieldError("operation", problem)

    def as_json(self) -> dict[str, Any]:
        return to_json(self)

    @property
    def is_carried_out(self) -> bool:
        return self.kind in _CARRIED_OUT

    def error(self) -> ApiError:
        """What a request gets that is not carried out."""
        match self.kind:
            case Kind.NOT_FOUND_AFTER_CREATE | Kind.VANISH:
                return not_found()
            case Kind.REPLAY_CONFLICT:
                return ApiError(409, "InvalidatedRetryToken", "The retry token was used before.")
            case Kind.LIMIT_EXCEEDED:
                return ApiError(400, "LimitExceeded", f"There are {self.limit} runs already, the limit.")
            case Kind.CLOCK_SKEW:
                return ApiError(
                    401, "NotAuthenticated", "The date of the request is more than five minutes off."
                )
        status = self.status or 500
        default_code, default_message = _ERRORS.get(status, ("InternalServerError", "An error."))
        headers = None if self.retry_after is None else {"retry-after": f"{self.retry_after:g}"}
        return ApiError(status, self.code or default_code, self.message or default_message, headers)

    def delivery(self) -> Delivery | None:
        """How an answer is delivered; ``None``: as always."""
        match self.kind:
            case Kind.DROP | Kind.LOST_RESPONSE:
                return Delivery(drop=True)
            case Kind.SLOW:
                return Delivery(delay=self.seconds or 0.0)
            case Kind.SLOW_BODY:
                return Delivery(body_seconds=self.seconds or 0.0)
            case Kind.TRUNCATED_BODY:
                return Delivery(truncate=True, body_bytes=self.bytes)
        return None


@dataclass(frozen=True, slots=True)
class Call:
    """What decides on a fault. What costs something to find out is asked for only by the kinds that need it.

    :param created: when the resource was created that is asked for; ``None``: there is none
    :param live_runs: how many runs have not ended
    :param too_far_off: whether the request would be too old or too new if the service's clock were this far
        ahead
    :param replayed: whether a retry token has been answered with what it had created; ``None``: not carried
        out yet
    """

    operation: str
    resource_id: str | None = None
    user: str | None = None
    now: float = 0.0
    created: Callable[[], float | None] = lambda: None
    live_runs: Callable[[], int] = lambda: 0
    too_far_off: Callable[[float], bool] = lambda skew: abs(skew) > 300
    replayed: bool | None = None


@dataclass(slots=True)
class Active:
    """A fault that was set, and what has come of it."""

    id: str
    fault: Fault
    since: float
    matched: int = 0
    applied: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.fault.seed)  # noqa: S311 - to be repeatable

    def over(self, now: float) -> bool:
        fault = self.fault
        if fault.count is not None and self.applied >= fault.count:
            return True
        end = None if fault.for_seconds is None else self.since + fault.in_seconds + fault.for_seconds
        return end is not None and now >= end

    def is_on(self, now: float) -> bool:
        return now >= self.since + self.fault.in_seconds and not self.over(now)

    def applies(self, call: Call) -> bool:
        """Whether it applies to this request; counts."""
        if not self.is_on(call.now) or not self._concerns(call):
            return False
        self.matched += 1
        if self.matched <= self.fault.after:
            return False
        # Never drawn where it decides nothing.
        if self.fault.probability < 1 and self._random.random() >= self.fault.probability:
            return False
        self.applied += 1
        return True

    def _concerns(self, call: Call) -> bool:
        fault = self.fault
        if (fault.kind == Kind.REPLAY_CONFLICT) != (call.replayed is not None):
            return False
        if not fnmatchcase(call.operation, fault.operation):
            return False
        if fault.resource_id is not None and fault.resource_id != call.resource_id:
            return False
        if not self._is_for(call.user):
            return False
        match fault.kind:
            case Kind.REPLAY_CONFLICT:
                return bool(call.replayed)
            case Kind.NOT_FOUND_AFTER_CREATE:
                created = call.created()
                return created is not None and call.now < created + (fault.seconds or 0.0)
            case Kind.LIMIT_EXCEEDED:
                return call.operation == "CreateRun" and call.live_runs() >= (fault.limit or 0)
            case Kind.CLOCK_SKEW:
                return call.too_far_off(fault.seconds or 0.0)
        return True

    def _is_for(self, user: str | None) -> bool:
        return self.fault.user is None or fnmatchcase(user or "", self.fault.user)

    def hides(self, call: Call) -> str | None:
        """The resource that this request, for a list, shall not be shown."""
        fault = self.fault
        if fault.kind != Kind.VANISH or not self.is_on(call.now) or not self._is_for(call.user):
            return None
        return fault.resource_id if fnmatchcase(call.operation, fault.operation) else None

    def note(self) -> dict[str, Any]:
        """For the journal."""
        return {"id": self.id, "kind": str(self.fault.kind)}

    def as_json(self, now: float) -> dict[str, Any]:
        counts = {"matched": self.matched, "applied": self.applied, "over": self.over(now)}
        return {"id": self.id, **self.fault.as_json(), **counts}


class Faults:
    """The faults that are set. The first that applies to a request is the one that it gets."""

    def __init__(self) -> None:
        self._active: dict[str, Active] = {}
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._active)

    def add(self, fault: Fault, now: float) -> Active:
        """:raises ValueError: there are too many"""
        if len(self._active) >= MAX_FAULTS:
            raise ValueError(f"there can be at most {MAX_FAULTS} faults")
        self._number += 1
        active = Active(str(self._number), fault, now)
        self._active[active.id] = active
        return active

    def remove(self, id_: str) -> bool:
        return self._active.pop(id_, None) is not None

    def clear(self) -> None:
        self._active.clear()

    def pick(self, call: Call) -> Active | None:
        return next((active for active in self._active.values() if active.applies(call)), None)

    def hidden(self, call: Call) -> set[str]:
        """The resources that have vanished, for this request."""
        return {id_ for active in self._active.values() if (id_ := active.hides(call)) is not None}

    def as_json(self, now: float) -> list[dict[str, Any]]:
        return [active.as_json(now) for active in self._active.values()]
