"""The trigger of asset watchers: tells of runs of an application or compartment, whoever started them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Collection, Hashable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.arguments.trigger_row import ReadsRow
from airflow_provider_dataflow.client.poller.reported_runs import OVERLAP_SECONDS, ReportedRuns, event_payload
from airflow_provider_dataflow.client.threads import in_thread, module
from airflow_provider_dataflow.compat import BaseEventTrigger, TriggerEvent, asset_state_store
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS, UsesHook
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from airflow_provider_dataflow.polling import DEFAULT_POLL_INTERVAL

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.poller.poller import RunPoller
    from airflow_provider_dataflow.client.poller.run_stream import RunStream, Scope
    from airflow_provider_dataflow.models.durations import Duration
    from airflow_provider_dataflow.models.run import Run

#: Seconds between two notes of how far the watcher is, if there is nothing to tell.
NOTE_EVERY = 600.0
#: Seconds that the last note may take when the triggerer stops.
LAST_NOTE = 3.0


class RunEventTrigger(ReadsRow, UsesHook, BaseEventTrigger):
    """Tells of every run that reaches one of the states, for an ``AssetWatcher``.

    Each run is told of once, in the first of the states that it reaches; a run that has succeeded has been
    IN_PROGRESS, too. What had been reached before the watch began is not told of. All watchers of an
    application or compartment share one stream (Airflow 3.3), and all triggers of a connection one poller.

    :param application_id: OCID of the application whose runs are watched; default: all of the compartment.
    :param compartment_id: OCID of the compartment; default: the connection's.
    :param states: lifecycle states to tell of, SUCCEEDED by default.
    :param oci_conn_id: Airflow connection.
    :param region: region name; default: the connection's.
    :param service_endpoint: URL of the service; default: the connection's, or the region's own.
    :param auth_type: how to sign in; default: as the connection says.
    :param config_file: path of the SDK's configuration file.
    :param profile: section of that file.
    :param poll_interval: seconds (or a timedelta) between two polls.
    :raises InvalidArgument: an argument is refused, outside of a triggerer.
    """

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
        **_: Any,
    ) -> None:
        # As in RunTrigger, what a newer version has written is ignored.
        given = dict(locals())
        super().__init__()
        self.application_id: str | None = self.setting("application_id", application_id)
        self.compartment_id: str | None = self.setting("compartment_id", compartment_id)
        self.states: list[str] = sorted(self.setting("states", states))
        self.keep_hook_arguments(self.hook_settings(given))
        self.poll_interval: float = self.setting("poll_interval", poll_interval)
        self.warn_of_replaced()
        self._progress: ReportedRuns | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        names = (
            "application_id",
            "compartment_id",
            "states",
            *HOOK_ARGUMENTS,
            "poll_interval",
        )
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            name: getattr(self, name) for name in names
        }

    # Two ways to run: Airflow 3.3 opens one stream for all triggers of a key, older ones run each by itself.

    def shared_stream_key(self) -> Hashable | None:
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

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with self._stream() as stream, self._poller() as (poller, scope):
            async for event in self._events(stream, poller, scope):
                yield event

    async def cleanup(self) -> None:
        """The triggerer stops, or the watcher is gone: note what is known, so that less is asked again."""
        with suppress(Exception):
            await asyncio.wait_for(self._note(), LAST_NOTE)

    async def _events(
        self, stream: AsyncIterator[Run | None], poller: RunPoller, scope: Scope
    ) -> AsyncIterator[TriggerEvent]:
        for run in await self._catch_up(poller, scope):
            yield TriggerEvent(event_payload(run))
        notes = asyncio.create_task(self._keep_notes())
        try:
            async for seen in stream:
                # None: the stream has only now begun to follow everything, so look at what was in between.
                runs = [seen] if seen else await self._catch_up(poller, scope)
                for run in runs:
                    if seen is None or self._tell(run):
                        self.log.info("Run %s is %s", run.id, run.state)
                        yield TriggerEvent(event_payload(run))
        finally:
            notes.cancel()

    async def _catch_up(self, poller: RunPoller, scope: Scope) -> list[Run]:
        """Runs to tell of that nobody has watched."""
        from airflow_provider_dataflow.client.poller.run_stream import read_missed_changes

        warned = False
        while True:
            try:
                if self._progress is None and (saved := await self._noted()) is not None:
                    self._progress = ReportedRuns.from_snapshot(self.states, saved)
                if self._progress is None:
                    begin = ReportedRuns(self.states, time.time() - OVERLAP_SECONDS)
                    runs, _ = await read_missed_changes(poller, scope, begin.since, {})
                    begin.add_existing(runs)
                    self._progress = begin
                    await self._note()
                    return []
                progress = self._progress
                found, gone = await read_missed_changes(poller, scope, progress.since, progress.open)
                for run_id in gone:
                    progress.forget(run_id)
                return [run for run in found if self._tell(run)]
            except Exception as error:  # noqa: BLE001 - a watcher outlasts whatever may pass
                if not warned:
                    self.log.warning("The watch has not begun yet: %s", error)
                warned = True
                await asyncio.sleep(self.poll_interval)

    def _tell(self, run: Run) -> bool:
        return self._progress is not None and self._progress.update(run, _monotonic())

    # What outlives this trigger

    @property
    def _note_key(self) -> str:
        """An asset may have several watchers."""
        _, kwargs = self.serialize()
        del kwargs["poll_interval"]
        return f"run_event:{hashlib.sha256(json.dumps(kwargs).encode()).hexdigest()[:16]}"

    async def _noted(self) -> Any:
        store = asset_state_store(self)
        return await store.aget(self._note_key) if store else None

    async def _note(self) -> None:
        store = asset_state_store(self)
        if store and self._progress:
            await store.aset(self._note_key, self._progress.snapshot(_monotonic()))

    async def _keep_notes(self) -> None:
        """Soon after each event, and now and then."""
        noted_at = _monotonic()
        while True:
            await asyncio.sleep(1)
            now = _monotonic()
            progress = self._progress
            if progress and (now - noted_at > NOTE_EVERY or progress.has_settled_since(noted_at, now)):
                noted_at = now
                try:
                    await self._note()
                except Exception as error:  # noqa: BLE001 - it is tried again
                    self.log.warning("How far the watch is could not be noted: %s", error)

    # Access

    _part = "triggerer"

    @property
    def _hook(self) -> DataFlowHook:
        return self.new_hook()

    @asynccontextmanager
    async def _poller(self) -> AsyncIterator[tuple[RunPoller, Scope]]:
        poller_module = await module("airflow_provider_dataflow.client.poller.shared")
        stream_module = await module("airflow_provider_dataflow.client.poller.run_stream")
        hook = self._hook
        async with poller_module.shared_poller(hook.key, hook.async_client) as poller:
            compartment_id = self.compartment_id
            while not compartment_id:
                # Never fails, since Airflow would begin anew every second.
                try:
                    compartment_id = await in_thread(lambda: self._hook.compartment_id)
                    problem: object = "there is no compartment_id, and the connection has none either"
                except Exception as error:  # noqa: BLE001
                    problem = error
                if not compartment_id:
                    self.log.error("Runs cannot be watched: %s", problem)
                    await asyncio.sleep(NOTE_EVERY)
            yield poller, stream_module.Scope(compartment_id, self.application_id)

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[RunStream]:
        stream_module = await module("airflow_provider_dataflow.client.poller.run_stream")
        async with (
            self._poller() as (poller, scope),
            stream_module.RunStream(poller, scope, self.poll_interval) as stream,
        ):
            yield stream


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
