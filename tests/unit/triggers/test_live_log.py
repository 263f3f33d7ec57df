from __future__ import annotations

import asyncio
import logging

import pytest

from airflow_provider_dataflow.client.logs import follower as log_follower
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.run import RunLog
from airflow_provider_dataflow.triggers import live_log
from airflow_provider_dataflow.triggers.live_log import LOG_CURSOR, LiveLog
from tests.unit.support import RUN_ID, FakeTaskInstance

NAME = "spark_application_stdout.log.gz"


class Source:
    """Driver log that grows by one line with each listing."""

    def __init__(self, *lines: str, error: Exception | None = None) -> None:
        self.lines, self.error = list(lines), error
        self.shown = 0

    async def list_run_logs(self, run_id: str) -> list[RunLog]:
        if self.error:
            raise self.error
        self.shown += 1
        return [RunLog(NAME, "APPLICATION", "STDOUT", size_in_bytes=self.shown)]

    async def get_run_log(self, run_id: str, name: str):
        yield "".join(f"{line}\n" for line in self.lines[: self.shown]).encode()


@pytest.fixture
def xcoms(mocker):
    """The task's XComs."""
    values: dict[str, object] = {}
    mocker.patch.object(live_log, "pull_xcom", lambda task, key: values.get(key))
    mocker.patch.object(live_log, "push_xcom", lambda task, key, value: values.update({key: value}))
    return values


@pytest.fixture(autouse=True)
def poll_fast(monkeypatch):
    monkeypatch.setattr(log_follower.AsyncLogFollower, "min_sleep_seconds", 0.01)
    monkeypatch.setattr(log_follower._Follower, "is_due", True)
    monkeypatch.setattr(log_follower._Follower, "_schedule_next_poll", lambda self, received: None)


def live(source: Source, task_instance: object = None) -> LiveLog:
    return LiveLog(source, RUN_ID, logging.getLogger("task"), task_instance)


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0.01)


async def test_new_lines_are_copied_and_the_cursor_is_saved(caplog, xcoms):
    caplog.set_level("INFO", "task")
    whole = {NAME: len("one\ntwo\nthree\n")}
    async with live(Source("one", "two", "three"), FakeTaskInstance()) as log:
        await until(lambda: xcoms.get(LOG_CURSOR) == whole)
    assert [m for m in caplog.messages if m in ("one", "two", "three")] == ["one", "two", "three"]
    assert log.cursor == whole


async def test_next_triggerer_continues_at_the_saved_cursor(caplog, xcoms):
    caplog.set_level("INFO", "task")
    xcoms[LOG_CURSOR] = {NAME: len("one\n")}
    async with live(Source("one", "two"), FakeTaskInstance()):
        await until(lambda: "two" in caplog.messages)
    assert "one" not in caplog.messages


@pytest.mark.parametrize("failing", ["pull_xcom", "push_xcom"])
async def test_lines_are_copied_although_xcom_fails(caplog, xcoms, mocker, failing):
    caplog.set_level("INFO", "task")
    mocker.patch.object(live_log, failing, side_effect=RuntimeError)
    async with live(Source("one"), FakeTaskInstance()) as log:
        await until(lambda: log.cursor == {NAME: 4})
    assert "one" in caplog.messages


async def test_failing_service_is_logged_once(caplog):
    source = Source(error=ServiceError(operation="ListRunLogs", message="down", status=503))
    async with live(source) as log:
        await asyncio.sleep(0.1)
    assert sum("cannot read" in message for message in caplog.messages) == 1
    assert log.cursor is None


async def test_number_of_followed_runs_is_limited(caplog, monkeypatch):
    caplog.set_level("INFO", "task")
    monkeypatch.setattr(LiveLog, "MAX_FOLLOWED", 1)
    async with live(Source("one")):
        async with live(Source("other")) as unfollowed:
            await until(lambda: "one" in caplog.messages)
        assert unfollowed.cursor is None
    async with live(Source("third")):
        await until(lambda: "third" in caplog.messages)
    assert "other" not in caplog.messages
    assert not live_log._followed


async def test_nothing_is_copied_before_secrets_are_masked(caplog, xcoms):
    caplog.set_level("INFO", "task")
    masked = asyncio.Event()
    source = Source("one secret")

    async def hide():
        await masked.wait()
        return lambda line: line.replace("secret", "***")

    async with LiveLog(source, RUN_ID, logging.getLogger("task"), None, hide=hide):
        await asyncio.sleep(0.05)
        assert source.shown == 0
        masked.set()
        await until(lambda: "one ***" in caplog.messages)


async def test_rest_is_not_copied_while_secrets_cannot_be_hidden(xcoms, caplog, monkeypatch):
    """The trigger has to go on: the run has ended, and nothing else would end the wait."""
    monkeypatch.setattr(LiveLog, "HIDE_TIMEOUT_SECONDS", 0.05)
    log = LiveLog(Source("a secret"), RUN_ID, logging.getLogger("task"), None, hide=asyncio.Event().wait)
    async with asyncio.timeout(10):
        await log.copy_rest()
    assert "cannot copy the rest of its output" in caplog.text
    assert "a secret" not in caplog.text
