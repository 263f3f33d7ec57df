"""How a scripted run goes, as data: what its configuration says, and rules that are set from outside.

Field by field, a rule comes before the configuration, and that before the default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Self

from airflow_provider_dataflow.local.http.error_messages import did_you_mean
from airflow_provider_dataflow.models.run import LifecycleState as State

PREFIX = "spark.dataflow.emulator."
# What a run may come to by itself. IN_PROGRESS: to no end, until it is cancelled.
OUTCOMES = (State.SUCCEEDED, State.FAILED, State.STOPPED, State.CANCELED, State.IN_PROGRESS)
_MAX_SECONDS = 10 * 365 * 24 * 3600.0
_MAX_BYTES = 2**63 - 1
_MAX_TEXT = 1024 * 1024
_MAX_RULES = 1000
_MAX_SHOWN = 200
_STATE = re.compile(r"[A-Z][A-Z_]{0,63}")


@cache
def camel(name: str) -> str:
    """``bytes_read`` -> ``bytesRead``"""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


class FieldError(ValueError):
    """A field has a wrong value, or is missing.

    :param field: its name in Python
    :param problem: what follows the name of the field in the message
    :param before: what precedes it
    """

    def __init__(self, field: str, problem: str, before: str = "") -> None:
        self.field = field
        self._before, self._problem = before, problem
        super().__init__(self.with_name(camel(field)))

    def with_name(self, name: str) -> str:
        """Return the message with another name for the field, such as that of an option."""
        return f"{self._before}{name}{self._problem}"


def shown(value: Any) -> str:
    """The value for a message, on one line and not longer than that."""
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def seconds(name: str, value: Any, minimum: float = 0.0, maximum: float = _MAX_SECONDS) -> float:
    """:raises FieldError: it is not a number of seconds, or out of range"""
    return number(name, value, minimum, maximum, "a number of seconds")


def number(name: str, value: Any, minimum: float, maximum: float, what: str = "a number") -> float:
    """:raises FieldError: it is not a number, or out of range"""
    try:
        converted = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        converted = math.nan
    if converted > maximum:
        raise FieldError(name, f" must be at most {maximum:.10g}, not {shown(value)}")
    if not minimum <= converted:
        raise FieldError(name, f" must be {what} from {minimum:.10g} on, not {shown(value)}")
    return converted


def whole(name: str, value: Any, minimum: int = 0, maximum: int = _MAX_BYTES) -> int:
    """:raises FieldError: it is not an integer, or out of range"""
    converted = value
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        converted = int(value.strip()[:30])
    if type(converted) is not int or not minimum <= converted <= maximum:
        raise FieldError(name, f" must be a whole number from {minimum} to {maximum}, not {shown(value)}")
    return converted


def text(name: str, value: Any, *, may_be_empty: bool = True) -> str:
    """:raises FieldError: it is not a string, too long, or empty where it must not be"""
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise FieldError(name, f" must be a string of at most {_MAX_TEXT} characters, not {shown(value)}")
    if not may_be_empty and not value.strip():
        raise FieldError(name, f" must not be empty, but is {shown(value)}")
    return value


def from_fields(cls: type[Any], what: str, values: Any) -> dict[str, Any]:
    """Keyword arguments for a dataclass from JSON, whose names may be in camel case or as in Python.

    :raises ValueError: it is no object, or has a field that is not known
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{what} must be an object, not {shown(values)}")
    names = {name: f.name for f in fields(cls) for name in (f.name, camel(f.name))}
    for name in values:
        if name not in names:
            known = [camel(f.name) for f in fields(cls)]
            near = did_you_mean(str(name), known)
            raise ValueError(
                f"{what} has no field {shown(name)}; its fields are {', '.join(known)}.{near}".rstrip(".")
            )
    given = [names[name] for name in values]
    for name in given:
        if given.count(name) > 1:
            raise FieldError(name, " is given twice, in both ways to write it")
    return {names[name]: value for name, value in values.items() if value is not None}


def to_json(instance: Any) -> dict[str, Any]:
    """What is set of a dataclass, names in camel case."""
    return {camel(f.name): v for f in fields(instance) if (v := getattr(instance, f.name)) != f.default}


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a run goes; ``None``: not said.

    :raises ValueError: a value is none that is allowed
    """

    outcome: str | None = None
    # lifecycleState instead of IN_PROGRESS, such as PAUSING, which no client knows.
    state: str | None = None
    # In progress, in seconds.
    duration: float | None = None
    # Before that, in ACCEPTED.
    startup: float | None = None
    # From the cancel to the end, in CANCELING or STOPPING.
    cancel_duration: float | None = None
    # lifecycleDetails at the end.
    details: str | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    stdout: str | None = None
    stderr: str | None = None
    # What each statement of a SESSION answers; by default, its own code.
    statement_output: str | None = None

    def __post_init__(self) -> None:
        if self.outcome is not None and self.outcome not in OUTCOMES:
            near = did_you_mean(str(self.outcome), OUTCOMES)
            problem = f" must be one of {', '.join(OUTCOMES)}, not {shown(self.outcome)}.{near}".rstrip(".")
            raise FieldError("outcome", problem)
        if self.state is not None and not _STATE.fullmatch(text("state", self.state)):
            problem = f" must be of capitals and underscores, at most 64, not {shown(self.state)}"
            raise FieldError("state", problem)
        for name in ("duration", "startup", "cancel_duration"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, seconds(name, value))
        for name in ("bytes_read", "bytes_written"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, whole(name, value))
        for name in ("details", "stdout", "stderr", "statement_output"):
            if (value := getattr(self, name)) is not None:
                text(name, value)

    @classmethod
    def from_json(cls, values: Any, what: str = "a course") -> Self:
        return cls(**from_fields(cls, what, values))

    @classmethod
    def from_configuration(cls, configuration: Mapping[str, str]) -> Self:
        """What the ``spark.dataflow.emulator.*`` keys say; those that are blank say nothing.

        :raises ValueError: such a key is not known, or its value is wrong
        """
        ours = {k: v for k, v in configuration.items() if k.startswith(PREFIX)}
        try:
            return cls.from_json(
                {k.removeprefix(PREFIX): v for k, v in ours.items() if v.strip()}, PREFIX[:-1]
            )
        except ValueError as e:
            raise ValueError(f"configuration: {PREFIX}*: {e}") from None

    def over(self, other: Course) -> Course:
        """This one, and where it does not say, what the other says."""
        return Course(**(asdict(other) | {k: v for k, v in asdict(self).items() if v is not None}))

    def as_json(self) -> dict[str, Any]:
        return to_json(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How the runs go that match all that is given here.

    The first of them takes the first of ``attempts``, the next the second, and so on; the last one repeats.

    :param display_name: a pattern such as ``etl-*``; of a run
    :param application_id: of its application
    :param freeform_tags: by key, patterns for the values of tags
    """

    attempts: Sequence[Course]
    display_name: str | None = None
    application_id: str | None = None
    freeform_tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.attempts or not all(isinstance(attempt, Course) for attempt in self.attempts):
            raise FieldError("attempts", ": at least one", before="a rule needs ")
        for name in ("display_name", "application_id"):
            if (value := getattr(self, name)) is not None:
                text(name, value, may_be_empty=False)
        tags = self.freeform_tags
        if not isinstance(tags, Mapping) or not all(isinstance(t, str) for kv in tags.items() for t in kv):
            raise FieldError("freeform_tags", f" must map strings to strings, but is {shown(tags)}")
        if not all(key.strip() for key in tags):
            raise FieldError("freeform_tags", f" must not have an empty key, but is {shown(tags)}")

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """:raises ValueError: says what is wrong"""
        if isinstance(values, Mapping):
            values = {k: v for k, v in values.items() if k != "matched"}  # as it was read
        known = from_fields(cls, "a rule", values)
        attempts = known.pop("attempts", [])
        if not isinstance(attempts, Sequence) or isinstance(attempts, str):
            raise FieldError("attempts", f" must be a list, not {shown(attempts)}")
        courses = [
            a if isinstance(a, Course) else Course.from_json(a, "attempts: an attempt") for a in attempts
        ]
        return cls(attempts=courses, **known)

    def as_json(self) -> dict[str, Any]:
        attempts = [attempt.as_json() for attempt in self.attempts]
        values = {
            "displayName": self.display_name,
            "applicationId": self.application_id,
            "freeformTags": dict(self.freeform_tags) or None,
        }
        return {k: v for k, v in values.items() if v is not None} | {"attempts": attempts}

    def matches(self, run: Mapping[str, Any]) -> bool:
        """:param run: as the API shows it"""
        if self.display_name is not None and not fnmatchcase(run.get("displayName") or "", self.display_name):
            return False
        if self.application_id is not None and run.get("applicationId") != self.application_id:
            return False
        tags = run.get("freeformTags") or {}
        return all(
            key in tags and fnmatchcase(str(tags[key]), value) for key, value in self.freeform_tags.items()
        )


class Rules:
    """All rules, in order: the first that matches a run decides. Counts the runs that matched."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._matched: list[int] = []

    def set(self, rules: Iterable[Rule]) -> None:
        """:raises ValueError: too many"""
        made = list(rules)
        if len(made) > _MAX_RULES:
            raise ValueError(f"there can be at most {_MAX_RULES} rules")
        self._rules, self._matched = made, [0] * len(made)

    def add(self, rule: Rule) -> None:
        """Before the others, which go on counting.

        :raises ValueError: there are too many
        """
        if len(self._rules) >= _MAX_RULES:
            raise ValueError(f"there can be at most {_MAX_RULES} rules")
        self._rules.insert(0, rule)
        self._matched.insert(0, 0)

    def take(self, run: Mapping[str, Any]) -> Course | None:
        """The attempt for a new run; ``None``: no rule matches."""
        for number, rule in enumerate(self._rules):
            if rule.matches(run):
                attempt = rule.attempts[min(self._matched[number], len(rule.attempts) - 1)]
                self._matched[number] += 1
                return attempt
        return None

    def as_json(self) -> list[dict[str, Any]]:
        return [
            rule.as_json() | {"matched": matched}
            for rule, matched in zip(self._rules, self._matched, strict=True)
        ]
