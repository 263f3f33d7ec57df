from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator

import pytest

from airflow_provider_dataflow.client.logs import follower as log_follower
from airflow_provider_dataflow.client.logs.cursor import LogCursor, LogLimits, LogPollBackoff
from airflow_provider_dataflow.client.logs.follower import AsyncLogFollower, LogFollower
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.run import RunLog
from tests.unit.support import RUN_ID

STDOUT, STDERR = "spark_application_stdout.log.gz", "spark_application_stderr.log.gz"


class Logs:
    """Growing logs of a run, with a journal of the requests."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.fails: set[str] = set()
        self.closed = 0

    def list_run_logs(self, run_id: str) -> list[RunLog]:
        self._call("list")
        return [
            RunLog(name, name.split("_")[1].upper(), name.split("_")[2].split(".")[0].upper(), len(content))
            for name, content in self.contents.items()
        ]

    def get_run_log(self, run_id: str, name: str) -> Iterator[bytes]:
        self._call(name)
        content = self.contents[name]
        try:
            for start in range(0, len(content), 8):
                yield content[start : start + 8]
        finally:
            self.closed += 1

    def _call(self, what: str) -> None:
        self.calls.append(what)
        if what in self.fails:
            raise ServiceError(operation="GetRunLog", message="try later", status=503)


class AsyncLogs:
    def __init__(self, logs: Logs) -> None:
        self.logs = logs

    async def list_run_logs(self, run_id: str) -> list[RunLog]:
        return self.logs.list_run_logs(run_id)

    async def get_run_log(self, run_id: str, name: str) -> AsyncIterator[bytes]:
        for chunk in self.logs.get_run_log(run_id, name):
            await asyncio.sleep(0)
            yield chunk


@pytest.fixture
def logs() -> Logs:
    return Logs()


@pytest.fixture
def now(monkeypatch):
    """Return a function that advances the stopped clock."""
    moment = [1000.0]

    def advance(seconds: float) -> None:
        moment[0] += seconds

    monkeypatch.setattr(log_follower, "monotonic", lambda: moment[0])
    monkeypatch.setattr(log_follower, "jittered", lambda seconds: seconds)
    return advance


@pytest.fixture(params=["sync", "async"])
def follow(request, logs, caplog):
    """Return a function that creates a follower, synchronous or asynchronous."""
    caplog.set_level(logging.INFO)
    log = logging.getLogger("task")

    def make(cursor=None):
        if request.param == "sync":
            return LogFollower(logs, RUN_ID, log, cursor=cursor)
        return AsyncLogFollower(AsyncLogs(logs), RUN_ID, log, cursor=cursor)

    return make


@pytest.fixture
async def copy(caplog):
    async def call(follower, what="new"):
        caplog.clear()
        result = getattr(follower, f"copy_{what}")()
        if result is not None:
            await result
        return [record.getMessage() for record in caplog.records if record.name == "task"]

    return call


async def test_new_lines_are_copied_and_the_rest_at_the_end(logs, follow, copy, now):
    follower = follow()
    assert await copy(follower) == []
    now(60)
    logs.contents = {STDOUT: b"one\ntw", STDERR: b""}
    assert await copy(follower) == [f"Driver's stdout ({STDOUT}):", "one"]
    now(60)
    logs.contents = {STDOUT: b"one\ntwo\nthr", STDERR: b"warning\n"}
    assert await copy(follower) == ["two", f"Driver's stderr ({STDERR}):", "warning"]
    # The stored log has another size, but only its last line is new.
    assert await copy(follower, "rest") == [f"Driver's stdout ({STDOUT}):", "thr"]
    assert await copy(follower, "rest") == []
    assert follower.cursor == {STDOUT: 11, STDERR: 8}


async def test_follower_continues_from_a_cursor(logs, follow, copy):
    logs.contents = {STDOUT: b"one\n"}
    first = follow()
    await copy(first)
    logs.contents = {STDOUT: b"one\ntwo"}
    assert await copy(follow(first.cursor), "rest") == [f"Driver's stdout ({STDOUT}):", "two"]


async def test_follower_backs_off_and_reads_only_changed_logs(logs, follow, copy, now):
    logs.contents = {STDOUT: b"one\n", STDERR: b"x\n"}
    follower = follow()
    await copy(follower)
    assert logs.calls == ["list", STDOUT, STDERR]
    logs.contents[STDOUT] += b"two\n"
    assert await copy(follower) == [], "too early"
    assert len(logs.calls) == 3
    now(LogPollBackoff.min_pause_seconds)
    await copy(follower)
    assert logs.calls[3:] == ["list", STDOUT]
    for _ in range(100):
        now(5)
        await copy(follower)
    # 500 seconds: pauses of 10, 15, 22.5 ... seconds
    assert len(logs.calls) - 5 < 10


async def test_failed_log_is_one_warning(logs, follow, copy, now):
    logs.contents = {STDOUT: b"one\n", STDERR: b"x\n"}
    logs.fails = {STDOUT}
    follower = follow()
    first = await copy(follower)
    assert len([line for line in first if "cannot read" in line]) == 1
    assert "x" in first, "the other log is copied all the same"
    logs.fails = {"list"}
    now(60)
    assert len(await copy(follower)) == 1
    now(600)
    assert await copy(follower) == []
    assert len(await copy(follower, "rest")) == 1, "at the end it is said again"
    logs.fails = set()
    assert await copy(follower, "rest") == [f"Driver's stdout ({STDOUT}):", "one"]


async def test_polls_of_a_failing_log_back_off(logs, follow, copy, now):
    logs.contents, logs.fails = {STDOUT: b"one\n"}, {STDOUT}
    follower = follow()
    for _ in range(60):
        await copy(follower)
        now(5)
    assert logs.calls.count(STDOUT) < 10


async def test_replaced_log_is_copied_again(logs, follow, copy, now):
    logs.contents = {STDOUT: b"one\ntwo\n"}
    follower = follow()
    await copy(follower)
    now(60)
    logs.contents = {STDOUT: b"new\n"}
    assert await copy(follower) == [
        f"{STDOUT} is shorter than before; copying it again from its start",
        "new",
    ]
    assert follower.cursor == {STDOUT: 4}


async def test_rotated_driver_logs_are_copied_until_application_logs_exist(logs, follow, copy, now):
    first, second = "spark_driver_stderr_1.log.gz", "spark_driver_stderr_2.log.gz"
    logs.contents = {first: b"INFO a\n"}
    follower = follow()
    assert await copy(follower) == [f"Driver's stderr ({first}):", "INFO a"]
    now(60)
    logs.contents[second] = b"INFO b\n"
    assert await copy(follower) == [f"Driver's stderr ({second}):", "INFO b"]
    logs.contents[STDOUT] = b"42 rows\n"
    assert await copy(follower, "rest") == [f"Driver's stdout ({STDOUT}):", "42 rows"]


async def test_download_ends_at_the_limit(logs, follow, copy, monkeypatch):
    monkeypatch.setattr(LogCursor, "limits", LogLimits(head_bytes=16))
    logs.contents = {STDOUT: b"x\n" * 1000}
    assert len(await copy(follow())) == 1 + 8 + 1
    assert logs.closed == 1


async def test_cancelled_follower_loses_no_line(logs, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(AsyncLogFollower, "lines_between_yields", 1)
    lines = [str(n) for n in range(50)]
    logs.contents = {STDOUT: "\n".join([*lines, ""]).encode()}
    cursor: dict[str, int] = {}
    steps = 0
    while cursor.get(STDOUT) != len(logs.contents[STDOUT]):
        follower = AsyncLogFollower(AsyncLogs(logs), RUN_ID, logging.getLogger("task"), cursor=cursor)
        task = asyncio.create_task(follower.follow())
        steps += 3
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        cursor = follower.cursor
    said = [record.getMessage() for record in caplog.records if record.name == "task"]
    assert [line for line in said if line.isdigit()] == lines


async def test_follow_continues_until_cancelled(logs, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(LogPollBackoff, "min_pause_seconds", 0.0)
    monkeypatch.setattr(AsyncLogFollower, "min_sleep_seconds", 0.0)
    follower = AsyncLogFollower(AsyncLogs(logs), RUN_ID, logging.getLogger("task"))
    task = asyncio.create_task(follower.follow())
    for n in range(3):
        logs.contents = {STDOUT: logs.contents.get(STDOUT, b"") + b"line %d\n" % n}
        while f"line {n}" not in caplog.messages:  # noqa: ASYNC110 - nothing says when a line is logged
            await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
