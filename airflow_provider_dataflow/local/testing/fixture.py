"""Object that the ``dataflow_local`` fixture passes to a test."""

from __future__ import annotations

from collections import Counter
from typing import Any

from airflow_provider_dataflow.local.engines.rules import Rule, RunScript
from airflow_provider_dataflow.local.testing.embedded import LocalDataFlow


class DataFlowFixture(LocalDataFlow):
    """Local Data Flow with methods to define what happens to runs, and to check the requests."""

    # --- What happens to scripted runs ----------------------------------------------------------------------

    def course(self, *attempts: RunScript, display_name: str | None = None) -> None:
        """Define what happens to the next runs: one after the other, and the last script repeats.

        A later definition takes precedence over earlier ones.

        :param display_name: shell pattern; runs with other names are not affected
        """
        self.add_rule(Rule(attempts=attempts, display_name=display_name))

    def succeeds(self, *, display_name: str | None = None, **script: Any) -> None:
        """Let runs succeed.

        :param script: other fields of :class:`~.rules.RunScript`, such as ``duration`` or ``stdout``
        """
        self.course(RunScript(outcome="SUCCEEDED", **script), display_name=display_name)

    def fails(
        self, details: str = "The application failed.", *, display_name: str | None = None, **script: Any
    ) -> None:
        """Let runs fail.

        :param details: ``lifecycleDetails`` of the runs
        """
        self.course(RunScript(outcome="FAILED", details=details, **script), display_name=display_name)

    def fails_then_succeeds(
        self, times: int = 1, details: str = "The application failed.", display_name: str | None = None
    ) -> None:
        """Let the next ``times`` runs fail and all later ones succeed."""
        failed = [RunScript(outcome="FAILED", details=details)] * times
        self.course(*failed, RunScript(outcome="SUCCEEDED"), display_name=display_name)

    def is_stopped(self, *, display_name: str | None = None, **script: Any) -> None:
        """Let the service stop runs. For maintenance, which starts a successor, see :meth:`maintain`."""
        self.course(RunScript(outcome="STOPPED", **script), display_name=display_name)

    def is_canceled(self, *, display_name: str | None = None, **script: Any) -> None:
        """Let runs be cancelled by someone else."""
        self.course(RunScript(outcome="CANCELED", **script), display_name=display_name)

    def keeps_running(self, *, display_name: str | None = None, **script: Any) -> None:
        """Let runs stay in progress until they are cancelled."""
        self.course(RunScript(outcome="IN_PROGRESS", **script), display_name=display_name)

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
