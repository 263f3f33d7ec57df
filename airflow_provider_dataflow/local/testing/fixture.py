"""Object that the ``dataflow_local`` fixture passes to a test."""

from __future__ import annotations

from collections import Counter
from typing import Any

from airflow_provider_dataflow.local.engines.rules import Course, Rule
from airflow_provider_dataflow.local.testing.embedded import LocalDataFlow


class DataFlowFixture(LocalDataFlow):
    """Local Data Flow with methods to define what happens to runs, and to check the requests."""

    # --- What happens to scripted runs ----------------------------------------------------------------------

    def course(self, *attempts: Course, display_name: str | None = None) -> None:
        """Define what happens to the next runs: one after the other, and the last course repeats.

        A later definition takes precedence over earlier ones.

        :param display_name: shell pattern; runs with other names are not affected
        """
        self.add_rule(Rule(attempts=attempts, display_name=display_name))

    def succeeds(self, *, display_name: str | None = None, **course: Any) -> None:
        """Let runs succeed.

        :param course: other fields of :class:`~.rules.Course`, such as ``duration`` or ``stdout``
        """
        self.course(Course(outcome="SUCCEEDED", **course), display_name=display_name)

    def fails(
        self, details: str = "The application failed.", *, display_name: str | None = None, **course: Any
    ) -> None:
        """Let runs fail.

        :param details: ``lifecycleDetails`` of the runs
        """
        self.course(Course(outcome="FAILED", details=details, **course), display_name=display_name)

    def fails_then_succeeds(
        self, times: int = 1, details: str = "The application failed.", display_name: str | None = None
    ) -> None:
        """Let the next ``times`` runs fail and all later ones succeed."""
        failed = [Course(outcome="FAILED", details=details)] * times
        self.course(*failed, Course(outcome="SUCCEEDED"), display_name=display_name)

    def is_stopped(self, *, display_name: str | None = None, **course: Any) -> None:
        """Let the service stop runs, as it does for maintenance."""
        self.course(Course(outcome="STOPPED", **course), display_name=display_name)

    def is_canceled(self, *, display_name: str | None = None, **course: Any) -> None:
        """Let runs be cancelled by someone else."""
        self.course(Course(outcome="CANCELED", **course), display_name=display_name)

    def keeps_running(self, *, display_name: str | None = None, **course: Any) -> None:
        """Let runs stay in progress until they are cancelled."""
        self.course(Course(outcome="IN_PROGRESS", **course), display_name=display_name)

    # --- Received requests ----------------------------------------------------------------------------------

    @property
    def runs_created(self) -> list[str]:
        """Ids of all runs, oldest first.

        A run whose CreateRun response was lost is included. A retried CreateRun that returned the same run
        adds no id.
        """
        return [run["id"] for run in self.runs]

    @property
    def cancels(self) -> list[str]:
        """Run ids of all successful requests to cancel a run (DeleteRun)."""
        return [e["resource_id"] for e in self.journal("DeleteRun") if e["status"] < 300]

    @property
    def requests_by_operation(self) -> Counter[str]:
        """Number of received requests by operation, whatever their responses."""
        return Counter(e["operation"] for e in self.journal())

    @property
    def polls_per_run(self) -> Counter[str]:
        """Number of GetRun requests by run id."""
        return Counter(e["resource_id"] for e in self.journal("GetRun"))

    def assert_requests(self, **counts: int) -> None:
        """Assert the number of requests, as in ``assert_requests(CreateRun=1, DeleteRun=0)``.

        Operations that are not given are ignored.
        """
        actual = self.requests_by_operation
        wrong = [f"{name}: {actual[name]} instead of {n}" for name, n in counts.items() if actual[name] != n]
        if wrong:
            lines = [f"{e['operation']} {e['status']} {e['code'] or ''}".rstrip() for e in self.journal()]
            raise AssertionError(f"{'; '.join(wrong)}. The requests were: {', '.join(lines) or 'none'}")
