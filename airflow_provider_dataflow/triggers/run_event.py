"""RunEventTrigger: emits asset events for the runs of an application or compartment, whoever started them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Collection, Hashable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.client.run_events.reported_runs import (
    OVERLAP_SECONDS,
    ReportedRuns,
    event_payload,
)
from airflow_provider_dataflow.client.threads import import_in_thread, in_thread
from airflow_provider_dataflow.compat import BaseEventTrigger, TriggerEvent, asset_state_store
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from airflow_provider_dataflow.polling import DEFAULT_POLL_INTERVAL, limited
from airflow_provider_dataflow.triggers.base import DataFlowTrigger

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.poller.poller import RunPoller
    from airflow_provider_dataflow.client.run_events.stream import RunStream, Scope
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.run import Run


class RunEventTrigger(DataFlowTrigger, BaseEventTrigger):
    """Emits an event for every run that reaches one of the states, for an ``AssetWatcher``.

    A run has one event, for the first of the states that it reaches. A run that has SUCCEEDED counts as
    having been IN_PROGRESS. States that were reached before the trigger first started have no events. All
    triggers of a connection share one poller. All watchers of an application or compartment share one stream
    of runs, if Airflow supports shared streams.

    :param application_id: OCID of the application whose runs are watched. Default: all runs of the
        compartment.
    :param compartment_id: OCID of the compartment. Default: the connection's.
    :param states: lifecycle states that have events. Default: ``SUCCEEDED``.
    :param oci_conn_id: Airflow connection of type ``oci``.
    :param region: region name. Default: the connection's.
    :param service_endpoint: URL of the service. Default: the connection's, or the region's own.
    :param auth_type: how to sign in. Default: as the connection says.
    :param config_file: path of the SDK's configuration file.
    :param profile: section of that file.
    :param poll_interval: maximum seconds (or a timedelta) between two polls.
    :param unknown: ignored; arguments in the row that only a newer version knows.
    :raises InvalidArgument: an argument is unusable, and this is no triggerer.
    """

    #: The order must not change: the key of the saved progress is a hash of the arguments in this order.
    serialized_fields = ("application_id", "compartment_id", "states", *HOOK_ARGUMENTS, "poll_interval")

    #: Longest time between two saves of the progress, and the pause before a missing compartment is looked up
    #: again.
    SAVE_INTERVAL_SECONDS: ClassVar[float] = 600.0
    #: Limit for the last save when the triggerer stops.
    LAST_SAVE_TIMEOUT_SECONDS: ClassVar[float] = 3.0

    def __init__(
        self,
        application_id: str | None = None,
        compartment_id: str | None = None,
        states: Collection[str] | str = tuple(SUCCESS_STATES),
        oci_conn_id: str | None = DataFlowHook.default_conn_name,
        region: str | None = None,
        service_endpoint: str | None = None,
        auth_type: str | None = None,
        config_file: str | None = None,
        profile: str | None = None,
        poll_interval: Duration = DEFAULT_POLL_INTERVAL,
        **unknown: Any,
    ) -> None:
        super().__init__(
            oci_conn_id=oci_conn_id,
            region=region,
            service_endpoint=service_endpoint,
            auth_type=auth_type,
            config_file=config_file,
            profile=profile,
        )
        self.application_id: str | None = self.read_setting("application_id", application_id)
        self.compartment_id: str | None = self.read_setting("compartment_id", compartment_id)
        self.states: list[str] = sorted(self.read_setting("states", states))
        self.poll_interval: float = self.read_setting("poll_interval", poll_interval)
        self._progress: ReportedRuns | None = None
        self.log_replaced_settings()

    # --- Entry points: Airflow calls run, or, if it shares streams, the three others --------------------

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with self._stream() as stream, self._poller() as (poller, scope):
            async for event in self._events(stream, poller, scope):
                yield event

    def shared_stream_key(self) -> Hashable | None:
        """Return the key of the stream, which the watchers of other states share."""
        path, kwargs = self.serialize()
        return path, *(kwargs[name] for name in kwargs if name != "states")

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Run | None]:
        async with cls(**kwargs)._stream() as stream:
            async for run in stream:
                yield run

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[Run | None]
    ) -> AsyncIterator[TriggerEvent]:
        async with self._poller() as (poller, scope):
            async for event in self._events(shared_stream, poller, scope):
                yield event

    async def cleanup(self) -> None:
        """Save the progress when the triggerer stops, so that the next one polls fewer runs."""
        with suppress(Exception):
            await asyncio.wait_for(self._save_progress(), self.LAST_SAVE_TIMEOUT_SECONDS)

    # --- Events -----------------------------------------------------------------------------------------

    async def _events(
        self, stream: AsyncIterator[Run | None], poller: RunPoller, scope: Scope
    ) -> AsyncIterator[TriggerEvent]:
        for run in await self._catch_up(poller, scope):
            yield TriggerEvent(event_payload(run))
        saving = asyncio.create_task(self._keep_progress_saved())
        try:
            async for seen in stream:
                # None: the stream is complete from now on, so catch up with the runs that it has missed.
                runs = [seen] if seen else await self._catch_up(poller, scope)
                for run in runs:
                    if seen is None or self._is_new_event(run):
                        self.log.info("Run %s is %s", run.id, run.state)
                        yield TriggerEvent(event_payload(run))
        finally:
            saving.cancel()

    async def _catch_up(self, poller: RunPoller, scope: Scope) -> list[Run]:
        """Return the runs that have reached a state while nobody watched, and record them as reported."""
        from airflow_provider_dataflow.client.run_events.stream import read_missed_changes

        warned = False
        while True:
            try:
                if self._progress is None and (saved := await self._saved_progress()) is not None:
                    self._progress = ReportedRuns.from_snapshot(self.states, saved)
                if self._progress is None:
                    first = ReportedRuns(self.states, time.time() - OVERLAP_SECONDS)
                    runs, _ = await read_missed_changes(poller, scope, first.since, {})
                    first.add_existing(runs)
                    self._progress = first
                    await self._save_progress()
                    return []
                progress = self._progress
                found, gone = await read_missed_changes(poller, scope, progress.since, progress.open)
                for run_id in gone:
                    progress.forget(run_id)
                return [run for run in found if self._is_new_event(run)]
            except Exception as error:  # noqa: BLE001 - a watcher must survive any outage
                if not warned:
                    self.log.warning(
                        "Cannot read the runs to watch, retrying every %.0f s: %s", self.poll_interval, error
                    )
                warned = True
                await asyncio.sleep(limited(self.poll_interval))

    def _is_new_event(self, run: Run) -> bool:
        return self._progress is not None and self._progress.update(run, _monotonic())

    # --- Progress, which Airflow stores for the next trigger --------------------------------------------

    @property
    def _progress_key(self) -> str:
        """Key of the saved progress: a hash of the arguments, because an asset may have several watchers."""
        _, kwargs = self.serialize()
        del kwargs["poll_interval"]
        return f"run_event:{hashlib.sha256(json.dumps(kwargs).encode()).hexdigest()[:16]}"

    async def _saved_progress(self) -> Any:
        store = asset_state_store(self)
        return await store.aget(self._progress_key) if store else None

    async def _save_progress(self) -> None:
        store = asset_state_store(self)
        if store and self._progress:
            await store.aset(self._progress_key, self._progress.snapshot(_monotonic()))

    async def _keep_progress_saved(self) -> None:
        """Save the progress soon after each event, and every ten minutes."""
        saved_at = _monotonic()
        while True:
            await asyncio.sleep(1)
            now = _monotonic()
            progress = self._progress
            if progress is None:
                continue
            if now - saved_at > self.SAVE_INTERVAL_SECONDS or progress.has_settled_since(saved_at, now):
                saved_at = now
                try:
                    await self._save_progress()
                except Exception as error:  # noqa: BLE001 - the next save repeats it
                    self.log.warning("Cannot save the progress of the watcher, retrying later: %s", error)

    # --- Access to the service --------------------------------------------------------------------------

    @asynccontextmanager
    async def _poller(self) -> AsyncIterator[tuple[RunPoller, Scope]]:
        """Enter the poller of the connection. Also yield the scope of the runs that are watched."""
        poller_module = await import_in_thread("airflow_provider_dataflow.client.poller.poller")
        stream_module = await import_in_thread("airflow_provider_dataflow.client.run_events.stream")
        hook = self.hook
        async with poller_module.shared_poller(hook.connection_key, hook.async_client) as poller:
            compartment_id = self.compartment_id
            while not compartment_id:
                # Retry instead of raising: Airflow would restart the trigger every second.
                try:
                    compartment_id = await in_thread(lambda: self.hook.compartment_id)
                    problem: object = "neither the trigger nor its connection has a compartment_id"
                except Exception as error:  # noqa: BLE001
                    problem = error
                if not compartment_id:
                    self.log.error(
                        "Cannot watch runs, retrying in %.0f s: %s", self.SAVE_INTERVAL_SECONDS, problem
                    )
                    await asyncio.sleep(self.SAVE_INTERVAL_SECONDS)
            yield poller, stream_module.Scope(compartment_id, self.application_id)

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[RunStream]:
        stream_module = await import_in_thread("airflow_provider_dataflow.client.run_events.stream")
        async with (
            self._poller() as (poller, scope),
            stream_module.RunStream(poller, scope, self.poll_interval) as stream,
        ):
            yield stream


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
