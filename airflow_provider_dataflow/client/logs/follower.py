"""Copying the driver's output into a logger while the run goes on, in a worker or in the triggerer.

Nothing here ever fails: a log that cannot be read is a warning, and the next look goes on where this one
ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from time import monotonic
from typing import Any, Protocol

from airflow_provider_dataflow.client.logs.cursor import LogCursor, LogReading, LogShrunk, Pace
from airflow_provider_dataflow.models.run import RunLog
from airflow_provider_dataflow.polling import jittered

#: Writing a line takes a while, too, and others wait for the event loop.
LINES_AT_A_TIME = 100
#: Seconds; whatever the clock says, looks are not made in a row.
MIN_SLEEP = 1.0


class LogSource(Protocol):
    """Where a worker reads logs: ``DataFlowClient`` or the hook."""

    def list_run_logs(self, run_id: str) -> list[RunLog]: ...

    def get_run_log(self, run_id: str, name: str) -> Iterator[bytes]: ...


class AsyncLogSource(Protocol):
    """Where the triggerer reads logs: ``AsyncDataFlowClient``."""

    async def list_run_logs(self, run_id: str) -> list[RunLog]: ...

    def get_run_log(self, run_id: str, name: str) -> AsyncIterator[bytes]: ...


class _Follower:
    """What both have in common: what has been copied, when to look again, and what is said."""

    def __init__(self, run_id: str, log: Any, cursor: Mapping[str, int] | None) -> None:
        self.run_id = run_id
        self._log = log
        #: Applied to each line before it is logged, to hide secrets.
        self.hide: Callable[[str], str] = str
        self._cursor = LogCursor(cursor)
        self._pace = Pace()
        self._next_look = 0.0
        self._last_written: str | None = None
        self._is_failing = False

    @property
    def cursor(self) -> dict[str, int]:
        """How far each log has been copied, as plain JSON; a follower that is given it goes on there."""
        return self._cursor.as_dict()

    @property
    def is_due(self) -> bool:
        return monotonic() >= self._next_look

    def _looked(self, received: int | None) -> None:
        self._next_look = monotonic() + jittered(self._pace.after(received))

    def _write(self, log: RunLog, lines: Iterable[str]) -> None:
        for line in lines:
            if self._last_written != log.name:
                self._last_written = log.name
                self._log.info("Driver's %s (%s):", log.type.lower(), log.name)
            self._log.info("%s", self.hide(line))

    def _finish(self, reading: LogReading) -> list[str] | None:
        """The last lines; ``None``: the log is to be read again."""
        try:
            lines = reading.finish()
        except LogShrunk:
            self._log.info("%s is shorter than it was; it is copied from its begin", reading.log.name)
            return None
        self._is_failing = False
        return lines

    def _failed(self, what: str, error: Exception) -> None:
        # Once, and not at every look.
        if not self._is_failing:
            self._log.warning("%s of run %s could not be read: %s", what, self.run_id, error)
        self._is_failing = True


class LogFollower(_Follower):
    """Copies the output of a run's driver, for a worker.

    :param source: the hook, or its client.
    :param run_id: OCID of the run.
    :param log: the task's logger.
    :param cursor: of an earlier follower of the same run, to go on where that was.
    """

    def __init__(
        self, source: LogSource, run_id: str, log: Any, *, cursor: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(run_id, log, cursor)
        self._source = source

    def copy_new(self) -> None:
        """Copy what is new, if it is time to look; cheap to call if it is not."""
        if self.is_due:
            self._looked(self._copy(final=False))

    def copy_rest(self) -> None:
        """Copy what is left. For a run that has ended."""
        self._is_failing = False
        self._copy(final=True)

    def _copy(self, *, final: bool) -> int | None:
        try:
            logs = self._cursor.due(self._source.list_run_logs(self.run_id), final=final)
        except Exception as error:  # noqa: BLE001 - a log never decides over a task
            self._failed("The logs", error)
            return None
        received = [self._copy_log(log, final) for log in logs]
        return sum(received) or None

    def _copy_log(self, log: RunLog, final: bool) -> int:
        reading = self._cursor.read(log, final=final)
        try:
            self._read(reading)
            if (lines := self._finish(reading)) is None:
                reading = self._cursor.read(log, final=final)
                self._read(reading)
                lines = self._finish(reading)
            self._write(log, lines or ())
        except Exception as error:  # noqa: BLE001 - a log never decides over a task
            self._failed(f"The log {log.name}", error)
        return reading.received

    def _read(self, reading: LogReading) -> None:
        chunks = self._source.get_run_log(self.run_id, reading.log.name)
        try:
            for chunk in chunks:
                self._write(reading.log, reading.feed(chunk))
                if not reading.wants_more:
                    break
        finally:
            if isinstance(chunks, Generator):
                chunks.close()


class AsyncLogFollower(_Follower):
    """Copies the output of a run's driver, for the triggerer.

    :param source: the client; it may be shared.
    :param run_id: OCID of the run.
    :param log: the trigger's logger.
    :param cursor: of an earlier follower of the same run, to go on where that was.
    """

    def __init__(
        self, source: AsyncLogSource, run_id: str, log: Any, *, cursor: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(run_id, log, cursor)
        self._source = source

    async def follow(self, progress: Callable[[dict[str, int]], Awaitable[None]] | None = None) -> None:
        """Copy what is new until cancelled.

        :param progress: called with the cursor whenever it has moved.
        """
        while True:
            before = self.cursor
            try:
                await self.copy_new()
            finally:
                # Also when it was cancelled half-way.
                if progress is not None and self.cursor != before:
                    await progress(self.cursor)
            await asyncio.sleep(max(self._next_look - monotonic(), MIN_SLEEP))

    async def copy_new(self) -> None:
        """Copy what is new, if it is time to look."""
        if self.is_due:
            self._looked(await self._copy(final=False))

    async def copy_rest(self) -> None:
        """Copy what is left. For a run that has ended."""
        self._is_failing = False
        await self._copy(final=True)

    async def _copy(self, *, final: bool) -> int | None:
        try:
            logs = self._cursor.due(await self._source.list_run_logs(self.run_id), final=final)
        except Exception as error:  # noqa: BLE001 - a log never decides over a task
            self._failed("The logs", error)
            return None
        received = [await self._copy_log(log, final) for log in logs]
        return sum(received) or None

    async def _copy_log(self, log: RunLog, final: bool) -> int:
        reading = self._cursor.read(log, final=final)
        try:
            await self._read(reading)
            if (lines := self._finish(reading)) is None:
                reading = self._cursor.read(log, final=final)
                await self._read(reading)
                lines = self._finish(reading)
            await self._write_in_turns(log, lines or [])
        except Exception as error:  # noqa: BLE001 - a log never decides over a task
            self._failed(f"The log {log.name}", error)
        return reading.received

    async def _read(self, reading: LogReading) -> None:
        chunks = self._source.get_run_log(self.run_id, reading.log.name)
        try:
            async for chunk in chunks:
                await self._write_in_turns(reading.log, reading.feed(chunk))
                if not reading.wants_more:
                    break
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def _write_in_turns(self, log: RunLog, lines: list[str]) -> None:
        try:
            while lines:
                self._write(log, lines[:LINES_AT_A_TIME])
                lines = lines[LINES_AT_A_TIME:]
                await asyncio.sleep(0)
        finally:
            # Cancelled: the cursor is behind them already.
            self._write(log, lines)
