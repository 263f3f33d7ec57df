"""Findings of a diagnosis, for people and for programs."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from airflow_provider_dataflow.redaction import Redactor

LINE_WIDTH = 110


class Status(StrEnum):
    """Result of a step."""

    OK = "ok"
    MISSING = "missing"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """Result of one step.

    :param step: name of the step.
    :param status: result.
    :param reason: what was found, and why the status follows from it.
    :param policies: policy statements to add.
    """

    step: str
    status: Status
    reason: str
    policies: Sequence[str] = ()


@dataclass(frozen=True)
class Report:
    """All findings of a diagnosis. Secrets are hidden in its texts.

    :param findings: in the order of the steps.
    """

    findings: Sequence[Finding]

    @property
    def is_ok(self) -> bool:
        return all(finding.status != Status.MISSING for finding in self.findings)

    def lines(self) -> list[str]:
        """Return the report as text, one paragraph for each step."""
        width = max(len(finding.step) for finding in self.findings)
        lines = []
        for finding in self.findings:
            lines += _paragraph(finding, width)
        return [*lines, "", self._summary()]

    def json(self) -> str:
        """Return the report as JSON: ``ok``, and ``steps`` with the fields of :class:`Finding`."""
        steps = [asdict(finding) for finding in self.findings]
        for step in steps:
            step["reason"] = _without_secrets(step["reason"])
        return json.dumps({"ok": self.is_ok, "steps": steps}, indent=2)

    def _summary(self) -> str:
        missing = [finding.step for finding in self.findings if finding.status == Status.MISSING]
        checked = sum(finding.status != Status.SKIPPED for finding in self.findings)
        if missing:
            return f"{len(missing)} of {checked} checks failed: {', '.join(missing)}."
        return f"All {checked} checks passed."


def _without_secrets(text: str) -> str:
    """Return a text without keys, tokens and passwords in URLs, which a message of the service might quote.

    Names such as ``private_key_content`` stay readable: the messages say what is wrong with such a field, and
    never quote it.
    """
    return Redactor(names=()).text(text)


def _paragraph(finding: Finding, width: int) -> list[str]:
    status = finding.status.upper() if finding.status == Status.MISSING else str(finding.status)
    start = f"{finding.step:<{width}}  {status:<7}  "
    margin = " " * len(start)
    lines = textwrap.wrap(
        _without_secrets(finding.reason),
        LINE_WIDTH,
        initial_indent=start,
        subsequent_indent=margin,
        # OCIDs, URLs and URIs must stay whole, to be copied.
        break_long_words=False,
        break_on_hyphens=False,
    ) or [start.rstrip()]
    # Statements are not wrapped, to be copied.
    return [*lines, *(f"{margin}policy: {statement}" for statement in finding.policies)]
