"""Scripts of runs of the scripted engine, and rules that assign scripts to runs.

Each field of a script comes from the rule that matches the run, else from the run's configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Self

from airflow_provider_dataflow.local.engines.json_fields import (
    FieldError,
    from_fields,
    one_of,
    seconds,
    shown,
    text,
    to_json,
    whole,
)
from airflow_provider_dataflow.models.run import LifecycleState as State

PREFIX = "spark.dataflow.emulator."
# IN_PROGRESS: the run does not end until it is cancelled.
OUTCOMES = (State.SUCCEEDED, State.FAILED, State.STOPPED, State.CANCELED, State.IN_PROGRESS)
_MAX_RULES = 1000
_STATE = re.compile(r"[A-Z][A-Z_]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunScript:
    """Declared outcome, timing and output of a scripted run. Fields that are ``None`` are not declared.

    :raises ValueError: a value is not allowed.
    """

    outcome: str | None = None
    # State that clients see instead of IN_PROGRESS, for example PAUSING, which no client knows.
    state: str | None = None
    # Seconds in IN_PROGRESS.
    duration: float | None = None
    # Seconds in ACCEPTED.
    startup: float | None = None
    # Seconds in CANCELING or STOPPING.
    cancel_duration: float | None = None
    # lifecycleDetails of the run after its end.
    details: str | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None
    stdout: str | None = None
    stderr: str | None = None
    # Output of each statement of a SESSION run. Default: the code of the statement.
    statement_output: str | None = None

    def __post_init__(self) -> None:
        if self.outcome is not None:
            one_of("outcome", self.outcome, OUTCOMES)
        if self.state is not None and not _STATE.fullmatch(text("state", self.state)):
            problem = f" must be at most 64 capital letters and underscores, not {shown(self.state)}"
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
    def from_json(cls, values: Any, what: str = "a run script") -> Self:
        return cls(**from_fields(cls, what, values))

    @classmethod
    def from_configuration(cls, configuration: Mapping[str, str]) -> Self:
        """Read the ``spark.dataflow.emulator.*`` keys of a configuration. Blank values are ignored.

        :raises ValueError: such a key is unknown, or its value is wrong.
        """
        ours = {k: v for k, v in configuration.items() if k.startswith(PREFIX)}
        try:
            return cls.from_json(
                {k.removeprefix(PREFIX): v for k, v in ours.items() if v.strip()}, PREFIX[:-1]
            )
        except ValueError as e:
            raise ValueError(f"configuration: {PREFIX}*: {e}") from None

    def over(self, other: RunScript) -> RunScript:
        """Return this script, with the fields that it does not declare taken from another one."""
        return RunScript(**(asdict(other) | {k: v for k, v in asdict(self).items() if v is not None}))

    def as_json(self) -> dict[str, Any]:
        return to_json(self)


# Former name of RunScript, which tests of users may import.
Course = RunScript


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Scripts for the runs that match all given conditions.

    :param attempts: scripts of the first run that matches, the second one, and so on. The last one repeats.
    :param display_name: pattern of the run's display name, for example ``etl-*``.
    :param application_id: OCID of the run's application.
    :param freeform_tags: patterns of the values of the run's tags, by key.
    """

    attempts: Sequence[RunScript]
    display_name: str | None = None
    application_id: str | None = None
    freeform_tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.attempts or not all(isinstance(attempt, RunScript) for attempt in self.attempts):
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
        """Read a rule; ``matched``, which ``Rules.as_json`` adds, is ignored.

        :raises ValueError: a field is unknown or wrong.
        """
        if isinstance(values, Mapping):
            values = {k: v for k, v in values.items() if k != "matched"}
        known = from_fields(cls, "a rule", values)
        attempts = known.pop("attempts", [])
        if not isinstance(attempts, Sequence) or isinstance(attempts, str):
            raise FieldError("attempts", f" must be a list, not {shown(attempts)}")
        scripts = [
            a if isinstance(a, RunScript) else RunScript.from_json(a, "attempts: an attempt")
            for a in attempts
        ]
        return cls(attempts=scripts, **known)

    def as_json(self) -> dict[str, Any]:
        attempts = [attempt.as_json() for attempt in self.attempts]
        values = {
            "displayName": self.display_name,
            "applicationId": self.application_id,
            "freeformTags": dict(self.freeform_tags) or None,
        }
        return {k: v for k, v in values.items() if v is not None} | {"attempts": attempts}

    def matches(self, run: Mapping[str, Any]) -> bool:
        """Return whether the rule matches a run.

        :param run: body of the run as in the API.
        """
        if self.display_name is not None and not fnmatchcase(run.get("displayName") or "", self.display_name):
            return False
        if self.application_id is not None and run.get("applicationId") != self.application_id:
            return False
        tags = run.get("freeformTags") or {}
        return all(
            key in tags and fnmatchcase(str(tags[key]), value) for key, value in self.freeform_tags.items()
        )


class Rules:
    """Ordered rules, of which the first one that matches a run applies. Counts the matched runs of each."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._matched: list[int] = []

    def set(self, rules: Iterable[Rule]) -> None:
        """Replace all rules.

        :raises ValueError: too many rules.
        """
        checked = list(rules)
        if len(checked) > _MAX_RULES:
            raise ValueError(f"there can be at most {_MAX_RULES} rules")
        self._rules, self._matched = checked, [0] * len(checked)

    def add(self, rule: Rule) -> None:
        """Add a rule before the others, whose counts do not change.

        :raises ValueError: too many rules.
        """
        if len(self._rules) >= _MAX_RULES:
            raise ValueError(f"there can be at most {_MAX_RULES} rules")
        self._rules.insert(0, rule)
        self._matched.insert(0, 0)

    def next_script(self, run: Mapping[str, Any]) -> RunScript | None:
        """Return the script for a new run, and count the run. ``None``: no rule matches."""
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
