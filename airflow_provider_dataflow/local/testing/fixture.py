"""What the ``dataflow_local`` fixture gives to a test."""

from __future__ import annotations

from collections import Counter
from typing import Any

from airflow_provider_dataflow.local.engines.rules import Course, Rule
from airflow_provider_dataflow.local.testing.embedded import LocalDataFlow


class DataFlowFixture(LocalDataFlow):
    """A server, with words for what tests say: how runs shall go, and what was asked of the service."""

    # How runs go, on the scripted engine

    def course(self, *attempts: Course, display_name: str | None = None) -> None:
        """How runs go from now on: the first as the first attempt says, the second as the second, and so on;
        the last one repeats. What was said later comes before what was said earlier.

        :param display_name: a pattern; other runs go as before
        """
        self.add_rule(Rule(attempts=attempts, display_name=display_name))

    def succeeds(self, *, display_name: str | None = None, **course: Any) -> None:
        """:param course: the other fields of :class:`~.rules.Course`, such as ``duration`` or ``stdout``"""
        self.course(Course(outcome="SUCCEEDED", **course), display_name=display_name)

    def fails(
        self, details: str = "The application failed.", *, display_name: str | None = None, **course: Any
    ) -> None:
        """:param details: the run's ``lifecycleDetails``"""
        self.course(Course(outcome="FAILED", details=details, **course), display_name=display_name)

    def fails_then_succeeds(
        self, times: int = 1, details: str = "The application failed.", display_name: str | None = None
    ) -> None:
        """So many runs fail, all others succeed."""
        failed = [Course(outcome="FAILED", details=details)] * times
        self.course(*failed, Course(outcome="SUCCEEDED"), display_name=display_name)

    def is_stopped(self, *, display_name: str | None = None, **course: Any) -> None:
        """The service stops runs by itself, as it does for maintenance."""
        self.course(Course(outcome="STOPPED", **course), display_name=display_name)

    def is_canceled(self, *, display_name: str | None = None, **course: Any) -> None:
        """Somebody else cancels them."""
        self.course(Course(outcome="CANCELED", **course), display_name=display_name)

    def keeps_running(self, *, display_name: str | None = None, **course: Any) -> None:
        """Until they are cancelled."""
        self.course(Course(outcome="IN_PROGRESS", **course), display_name=display_name)

    # What was asked

    @property
    def runs_created(self) -> list[str]:
        """The runs that there are, by id, oldest first. A retried request that made no second one counts
        once, and one whose answer was lost counts, too."""
        return [run["id"] for run in self.runs]

    @property
    def cancels(self) -> list[str]:
        """The runs of all requests to cancel that were carried out, by id."""
        return [e["resource_id"] for e in self.journal("DeleteRun") if e["status"] < 300]

    @property
    def requests_by_operation(self) -> Counter[str]:
        """How many requests came, whatever was answered."""
        return Counter(e["operation"] for e in self.journal())

    @property
    def polls_per_run(self) -> Counter[str]:
        return Counter(e["resource_id"] for e in self.journal("GetRun"))

    def assert_requests(self, **counts: int) -> None:
        """``assert_requests(CreateRun=1, DeleteRun=0)``; other operations do not matter."""
        got = self.requests_by_operation
        wrong = [f"{name}: {got[name]} instead of {n}" for name, n in counts.items() if got[name] != n]
        if wrong:
            lines = [f"{e['operation']} {e['status']} {e['code'] or ''}".rstrip() for e in self.journal()]
            raise AssertionError(f"{'; '.join(wrong)}. The requests were: {', '.join(lines) or 'none'}")
