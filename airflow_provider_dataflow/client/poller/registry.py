"""All the runs that are waited for, and the compartments in which they are."""

from __future__ import annotations

import math

from airflow_provider_dataflow.client.poller.compartment import Compartment
from airflow_provider_dataflow.client.poller.subscriptions import Subscription, Watch


class Board:
    """One watch per run, however many wait for it, each with the others of its compartment."""

    def __init__(self) -> None:
        self.watches: dict[str, Watch] = {}
        self.compartments: dict[str, Compartment] = {}

    def add(self, subscription: Subscription, compartment_id: str | None) -> Watch:
        """The watch of the run that it waits for.

        :param compartment_id: of the run, if it is known.
        """
        watch = self.watches.get(subscription.run_id)
        if watch is None:
            watch = self.watches[subscription.run_id] = Watch(subscription.run_id)
            self.place(watch, compartment_id)
        watch.subscriptions.append(subscription)
        subscription.watch = watch
        return watch

    def remove(self, subscription: Subscription) -> None:
        watch = subscription.watch
        if watch and subscription in watch.subscriptions:
            watch.subscriptions.remove(subscription)
            if not watch.subscriptions:
                self._forget(watch)

    def place(self, watch: Watch, compartment_id: str | None) -> None:
        """Put it with the others of its compartment; a run can be moved."""
        if not compartment_id or (watch.compartment and watch.compartment.id == compartment_id):
            return
        self._leave(watch)
        compartment = self.compartments.get(compartment_id)
        if compartment is None:
            compartment = self.compartments[compartment_id] = Compartment(compartment_id)
        watch.compartment = compartment
        compartment.watches[watch.run_id] = watch

    @property
    def subscriptions(self) -> list[Subscription]:
        return [subscription for watch in self.watches.values() for subscription in watch.subscriptions]

    def _leave(self, watch: Watch) -> None:
        compartment, watch.compartment = watch.compartment, None
        if compartment:
            compartment.watches.pop(watch.run_id, None)
            if not compartment.watches:
                compartment.due = math.inf
                self.compartments.pop(compartment.id, None)

    def _forget(self, watch: Watch) -> None:
        watch.due = math.inf
        if self.watches.get(watch.run_id) is watch:
            del self.watches[watch.run_id]
        self._leave(watch)
