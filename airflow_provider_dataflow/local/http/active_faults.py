"""Faults that are set on a service, and the decision which of them applies to a request."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider_dataflow.local.http.faults import Fault, FaultKind

MAX_FAULTS = 1000


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """Facts about a request that decide which fault applies. The callables are called only when a fault needs
    them.

    :param now: time of the service's clock
    :param names: returns whether a policy for this resource decides on the request
    :param created: returns when the requested resource was created; ``None``: it does not exist
    :param live_runs: returns the number of runs that have not ended
    :param exceeds_clock_skew: returns whether the date of the request would be rejected if the service's
        clock were this many seconds ahead
    :param replayed: whether the response is a resource that an earlier request with the same retry token
        created; false before the request is carried out
    """

    operation: str
    resource_id: str | None = None
    user: str | None = None
    now: float = 0.0
    names: Callable[[str], bool] = lambda resource: False
    created: Callable[[], float | None] = lambda: None
    live_runs: Callable[[], int] = lambda: 0
    exceeds_clock_skew: Callable[[float], bool] = lambda skew: abs(skew) > 300
    replayed: bool = False


@dataclass(slots=True)
class ActiveFault:
    """Fault that is set, with its counters.

    :param since: when it was set, on the service's clock
    :param matched: number of requests that matched
    :param applied: number of requests that it was applied to
    """

    id: str
    fault: Fault
    since: float
    matched: int = 0
    applied: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.fault.seed)  # noqa: S311 - must be repeatable

    def is_over(self, now: float) -> bool:
        fault = self.fault
        if fault.count is not None and self.applied >= fault.count:
            return True
        end = None if fault.for_seconds is None else self.since + fault.in_seconds + fault.for_seconds
        return end is not None and now >= end

    def is_effective(self, now: float) -> bool:
        return now >= self.since + self.fault.in_seconds and not self.is_over(now)

    def applies(self, request: RequestFacts) -> bool:
        """Decide whether the fault applies to this request, and count it."""
        if not self.is_effective(request.now) or not self._matches(request):
            return False
        self.matched += 1
        if self.matched <= self.fault.after:
            return False
        # Draw only where the result matters, so that the sequence depends on the seed alone.
        if self.fault.probability < 1 and self._random.random() >= self.fault.probability:
            return False
        self.applied += 1
        return True

    def _matches(self, request: RequestFacts) -> bool:
        fault = self.fault
        if (fault.kind == FaultKind.REPLAY_CONFLICT) != request.replayed:
            return False
        if not fnmatchcase(request.operation, fault.operation):
            return False
        if fault.resource_id is not None and not self._matches_resource(fault.resource_id, request):
            return False
        if not self._matches_user(request.user):
            return False
        match fault.kind:
            case FaultKind.NOT_FOUND_AFTER_CREATE:
                created = request.created()
                return created is not None and request.now < created + (fault.seconds or 0.0)
            case FaultKind.LIMIT_EXCEEDED:
                return request.operation == "CreateRun" and request.live_runs() >= (fault.limit or 0)
            case FaultKind.CLOCK_SKEW:
                return request.exceeds_clock_skew(fault.seconds or 0.0)
        return True

    def _matches_resource(self, resource_id: str, request: RequestFacts) -> bool:
        if self.fault.kind == FaultKind.DENY:
            return request.names(resource_id)
        return resource_id == request.resource_id

    def _matches_user(self, user: str | None) -> bool:
        return self.fault.user is None or fnmatchcase(user or "", self.fault.user)

    def hidden_resource(self, request: RequestFacts) -> str | None:
        """Return the resource that must be left out of the list that this request asks for."""
        fault = self.fault
        if (
            fault.kind != FaultKind.VANISH
            or not self.is_effective(request.now)
            or not self._matches_user(request.user)
        ):
            return None
        return fault.resource_id if fnmatchcase(request.operation, fault.operation) else None

    def note(self) -> dict[str, Any]:
        """Return the note for the journal."""
        return {"id": self.id, "kind": str(self.fault.kind)}

    def as_json(self, now: float) -> dict[str, Any]:
        counts = {"matched": self.matched, "applied": self.applied, "over": self.is_over(now)}
        return {"id": self.id, **self.fault.as_json(), **counts}


class ActiveFaults:
    """The faults that are set, oldest first. The first that applies to a request decides."""

    def __init__(self) -> None:
        self._active: dict[str, ActiveFault] = {}
        self._number = 0

    def __bool__(self) -> bool:
        return bool(self._active)

    def add(self, fault: Fault, now: float) -> ActiveFault:
        """:raises ValueError: ``MAX_FAULTS`` are set already"""
        if len(self._active) >= MAX_FAULTS:
            raise ValueError(f"there can be at most {MAX_FAULTS} faults")
        self._number += 1
        active = ActiveFault(str(self._number), fault, now)
        self._active[active.id] = active
        return active

    def remove(self, id_: str) -> bool:
        return self._active.pop(id_, None) is not None

    def clear(self) -> None:
        self._active.clear()

    def pick(self, request: RequestFacts) -> ActiveFault | None:
        """Return the fault that applies to this request, and count it."""
        return next((active for active in self._active.values() if active.applies(request)), None)

    def hidden_resources(self, request: RequestFacts) -> set[str]:
        """Return the resources that must be left out of the list that this request asks for."""
        return {
            id_ for active in self._active.values() if (id_ := active.hidden_resource(request)) is not None
        }

    def as_json(self, now: float) -> list[dict[str, Any]]:
        return [active.as_json(now) for active in self._active.values()]
