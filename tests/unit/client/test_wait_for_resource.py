from __future__ import annotations

import time

import pytest

from airflow_provider_dataflow.client import wait_for_resource as watching
from airflow_provider_dataflow.client.wait_for_resource import OutOfSight, OutOfTime, Watch
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.pool import Pool

REFUSED = ServiceError(operation="GetPool", message="no", status=404)
OUTAGE = ServiceError(operation="GetPool", message="later", status=503)


class Log:
    def __init__(self):
        self.lines = []

    def info(self, text, *args):
        self.lines.append(text % args)

    warning = info


@pytest.fixture
def log():
    return Log()


@pytest.fixture(params=["in the worker", "in the triggerer"])
def wait(request, mocker, log):
    """Both loops over the same states: a test says what is seen, look by look."""
    mocker.patch.object(watching, "nap", lambda seconds, check: check())

    async def wait(*seen, **kwargs):
        looks = iter(seen)

        def look():
            state = next(looks)
            if isinstance(state, Exception):
                raise state
            return Pool("p", state)

        async def look_async():
            return look()

        watch = Watch(
            about="Pool p", is_over=lambda state: state == "ACTIVE", poll_interval=0, log=log, **kwargs
        )
        if request.param == "in the worker":
            return watch.in_worker(look, lambda: None)
        return await watch.in_triggerer(look_async)

    return wait


async def test_it_says_every_change_once(wait, log):
    assert (await wait("ACCEPTED", "CREATING", "CREATING", "ACTIVE", state="ACCEPTED")).state == "ACTIVE"
    assert log.lines == ["Pool p is CREATING", "Pool p is ACTIVE"]


async def test_an_outage_is_borne_and_said(wait, log):
    await wait(OUTAGE, OUTAGE, "ACTIVE")
    assert [line.partition(" although")[0] for line in log.lines] == [
        "Waiting on for Pool p",
        "Pool p is in sight again",
        "Pool p is ACTIVE",
    ]


async def test_errors_outlast_the_budget(wait):
    with pytest.raises(OutOfSight, match="404"):
        await wait(REFUSED, error_budget=0)


async def test_time_is_up_but_what_is_over_by_then_is_over_in_time(wait):
    assert (await wait("ACTIVE", until=0)).state == "ACTIVE"
    with pytest.raises(OutOfTime, match="Pool p is CREATING"):
        await wait("CREATING", until=time.time() - 1)


async def test_a_heartbeat_when_nothing_changes(wait, log, monkeypatch):
    monkeypatch.setattr("airflow_provider_dataflow.polling.HEARTBEAT_SECONDS", 0)
    await wait("CREATING", "CREATING", "ACTIVE")
    assert log.lines.count("Pool p is still CREATING") == 2


def test_a_kill_ends_the_wait_in_a_worker(log):
    class Killed(Exception):
        pass

    def check():
        raise Killed

    watch = Watch(about="Pool p", is_over=lambda state: False, poll_interval=0, log=log)
    with pytest.raises(Killed):
        watch.in_worker(lambda: Pool("p", "CREATING"), check)
