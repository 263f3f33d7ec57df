"""Copy of the driver's output into a task's log while the run is in progress, in a worker or triggerer.

Raises no errors: if a log cannot be read, a warning is logged, and the next poll continues from there.
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

from airflow_provider_dataflow.client.logs.cursor import LogCursor, LogPollBackoff, LogReading, LogShrunk
from airflow_provider_dataflow.models.run import RunLog
from airflow_provider_dataflow.polling import jittered


class LogSource(Protocol):
    """Source of logs in a worker: ``DataFlowClient`` or the hook."""

    def list_run_logs(self, run_id: str) -> list[RunLog]: ...

    def get_run_log(self, run_id: str, name: str) -> Iterator[bytes]: ...


class AsyncLogSource(Protocol):
    """Source of logs in the triggerer: ``AsyncDataFlowClient``."""

    async def list_run_logs(self, run_id: str) -> list[RunLog]: ...

    def get_run_log(self, run_id: str, name: str) -> AsyncIterator[bytes]: ...


class _Follower:
    """Base of both followers: cursor, time of the next poll, and lines in the task's log."""

    def __init__(self, run_id: str, log: Any, cursor: Mapping[str, int] | None) -> None:
        self.run_id = run_id
        self._log = log
        #: Called with each line before it is logged, to hide secrets.
        self.hide: Callable[[str], str] = str
        self._cursor = LogCursor(cursor)
        self._backoff = LogPollBackoff()
        self._next_poll = 0.0
        self._last_written: str | None = None
        self._is_failing = False

    @property
    def cursor(self) -> dict[str, int]:
        """Position in each log, as plain JSON. Another follower continues from it."""
        return self._cursor.as_dict()

    @property
    def is_due(self) -> bool:
        return monotonic() >= self._next_poll

    def _schedule_next_poll(self, received: int | None) -> None:
        self._next_poll = monotonic() + jittered(self._backoff.next_pause(received))

    def _write(self, log: RunLog, lines: Iterable[str]) -> None:
        for line in lines:
            if self._last_written != log.name:
                self._last_written = log.name
                self._log.info("Driver's %s (%s):", log.type.lower(), log.name)
            self._log.info("%s", self.hide(line))

    def _finish(self, reading: LogReading) -> list[str] | None:
        """Return the last lines; ``None``: the log must be read again."""
        try:
            lines = reading.finish()
        except LogShrunk:
            self._log.info("%s is shorter than before; copying it again from its start", reading.log.name)
            return None
        self._is_failing = False
        return lines

    def _failed(self, what: str, error: Exception) -> None:
        # Not at each poll.
        if not self._is_failing:
            self._log.warning("Run %s: cannot read %s: %s", self.run_id, what, error)
        self._is_failing = True


class LogFollower(_Follower):
    """Follower that copies the output of a run's driver in a worker.

    :param source: the hook, or its client.
    :param run_id: OCID of the run.
    :param log: the task's logger.
    :param cursor: cursor of an earlier follower of the same run, to continue from.
    """

    def __init__(
        self, source: LogSource, run_id: str, log: Any, *, cursor: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(run_id, log, cursor)
        self._source = source

    def copy_new(self) -> None:
        """Copy new lines, if the next poll is due. Otherwise cheap to call."""
        if self.is_due:
            self._schedule_next_poll(self._copy(final=False))

    def copy_rest(self) -> None:
        """Copy the remaining lines of a run that has ended."""
        self._is_failing = False
        self._copy(final=True)

    def _copy(self, *, final: bool) -> int | None:
        try:
            logs = self._cursor.logs_to_read(self._source.list_run_logs(self.run_id), final=final)
        except Exception as error:  # noqa: BLE001 - a task must not fail because of a log
            self._failed("its logs", error)
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
        except Exception as error:  # noqa: BLE001 - a task must not fail because of a log
            self._failed(f"its log {log.name}", error)
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
    """Follower that copies the output of a run's driver in the triggerer.

    :param source: the client, which may be shared.
    :param run_id: OCID of the run.
    :param log: the trigger's logger.
    :param cursor: cursor of an earlier follower of the same run, to continue from.
    """

    #: Lines to log before yielding to the event loop.
    lines_between_yields = 100
    min_sleep_seconds = 1.0

    def __init__(
        self, source: AsyncLogSource, run_id: str, log: Any, *, cursor: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(run_id, log, cursor)
        self._source = source

    async def follow(self, progress: Callable[[dict[str, int]], Awaitable[None]] | None = None) -> None:
        """Copy new lines until cancelled.

        :param progress: called with the cursor when it has moved.
        """
        while True:
            before = self.cursor
            try:
                await self.copy_new()
            finally:
                # Also if cancelled.
                if progress is not None and self.cursor != before:
                    await progress(self.cursor)
            await asyncio.sleep(max(self._next_poll - monotonic(), self.min_sleep_seconds))

    async def copy_new(self) -> None:
        """Copy new lines, if the next poll is due."""
        if self.is_due:
            self._schedule_next_poll(await self._copy(final=False))

    async def copy_rest(self) -> None:
        """Copy the remaining lines of a run that has ended."""
        self._is_failing = False
        await self._copy(final=True)

    async def _copy(self, *, final: bool) -> int | None:
        try:
            logs = self._cursor.logs_to_read(await self._source.list_run_logs(self.run_id), final=final)
        except Exception as error:  # noqa: BLE001 - a task must not fail because of a log
            self._failed("its logs", error)
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
            await self._write_and_yield(log, lines or [])
        except Exception as error:  # noqa: BLE001 - a task must not fail because of a log
            self._failed(f"its log {log.name}", error)
        return reading.received

    async def _read(self, reading: LogReading) -> None:
        chunks = self._source.get_run_log(self.run_id, reading.log.name)
        try:
            async for chunk in chunks:
                await self._write_and_yield(reading.log, reading.feed(chunk))
                if not reading.wants_more:
                    break
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    async def _write_and_yield(self, log: RunLog, lines: list[str]) -> None:
        try:
            while lines:
                self._write(log, lines[: self.lines_between_yields])
                lines = lines[self.lines_between_yields :]
                await asyncio.sleep(0)
        finally:
            # If cancelled, write the rest: the cursor has passed these lines.
            self._write(log, lines)
