"""All runs that are polled, and their compartments."""

from __future__ import annotations

import math

from airflow_provider_dataflow.client.poller.subscriptions import PolledRun, Subscription


class Compartment:
    """Job that polls the runs of a compartment together, by ListRuns, when there are enough of them.

    :param id: OCID.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.runs: dict[str, PolledRun] = {}
        self.due = math.inf
        self.in_progress = False
        #: True while its runs are polled by ListRuns, False while each is polled by GetRun.
        self.is_listed = False
        #: Poll rounds in a row in which ListRuns has failed.
        self.failed_rounds = 0
        #: ListRuns is not used before this time of the loop's clock.
        self.list_not_before = -math.inf

    def __repr__(self) -> str:
        return f"the runs of compartment {self.id}"


class RunRegistry:
    """Keeps one :class:`PolledRun` per run, whatever its number of subscriptions, grouped by compartment."""

    def __init__(self) -> None:
        self.runs: dict[str, PolledRun] = {}
        self.compartments: dict[str, Compartment] = {}

    def add(self, subscription: Subscription, compartment_id: str | None) -> PolledRun:
        """Add a subscription, and return the run that it waits for.

        :param compartment_id: of the run, if it is known.
        """
        run = self.runs.get(subscription.run_id)
        if run is None:
            run = self.runs[subscription.run_id] = PolledRun(subscription.run_id)
            self.assign(run, compartment_id)
        elif run.is_listable:
            # The new subscription has not seen this state, and ListRuns reports a known state as unchanged.
            run.state = None
        run.subscriptions.append(subscription)
        return run

    def remove(self, subscription: Subscription) -> None:
        """Remove a subscription, and its run when it was the last one."""
        run = self.runs.get(subscription.run_id)
        if run and subscription in run.subscriptions:
            run.subscriptions.remove(subscription)
            if not run.subscriptions:
                run.due = math.inf
                del self.runs[run.run_id]
                self._leave_compartment(run)

    def assign(self, run: PolledRun, compartment_id: str | None) -> None:
        """Put the run into its compartment. A run can be moved to another one."""
        if not compartment_id or run.compartment_id == compartment_id:
            return
        if self.runs.get(run.run_id) is not run:
            return  # its last subscriber left while it was polled
        self._leave_compartment(run)
        compartment = self.compartments.get(compartment_id)
        if compartment is None:
            compartment = self.compartments[compartment_id] = Compartment(compartment_id)
        run.compartment_id = compartment_id
        compartment.runs[run.run_id] = run

    def compartment_of(self, run: PolledRun) -> Compartment | None:
        """Return the compartment of a run, once it is known."""
        return self.compartments.get(run.compartment_id) if run.compartment_id else None

    @property
    def subscriptions(self) -> list[Subscription]:
        return [subscription for run in self.runs.values() for subscription in run.subscriptions]

    def _leave_compartment(self, run: PolledRun) -> None:
        compartment = self.compartment_of(run)
        run.compartment_id = None
        if compartment:
            compartment.runs.pop(run.run_id, None)
            if not compartment.runs:
                compartment.due = math.inf
                del self.compartments[compartment.id]
