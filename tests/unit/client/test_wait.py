"""Waits in a worker and in the triggerer."""

from __future__ import annotations

import time

import pytest

from airflow_provider_dataflow.client import wait as waiting
from airflow_provider_dataflow.client.wait import ErrorBudgetExceeded, Wait, WaitTimedOut, wait_for_run
from airflow_provider_dataflow.exceptions import RunLost, RunTimedOut, ServiceError
from airflow_provider_dataflow.models.pool import Pool
from airflow_provider_dataflow.models.run import Run
from tests.unit.support import RUN_ID, run_body

NOT_FOUND = ServiceError(operation="GetPool", message="no", status=404, opc_request_id="request-1")
OUTAGE = ServiceError(operation="GetPool", message="later", status=503)


class FakeLog:
    def __init__(self):
        self.lines = []

    def info(self, text, *args):
        self.lines.append(text % args)

    warning = info


@pytest.fixture
def log():
    return FakeLog()


@pytest.fixture(autouse=True)
def no_sleep(mocker):
    mocker.patch.object(waiting, "sleep", lambda seconds, raise_if_killed: raise_if_killed())


@pytest.fixture(params=["worker", "triggerer"])
def wait(request, log):
    """Wait for a pool to become ACTIVE. The arguments are what the polls return, one by one."""

    async def wait(*results, **kwargs):
        polls = iter(results)

        def read():
            result = next(polls)
            if isinstance(result, Exception):
                raise result
            return Pool("p", result)

        async def read_async():
            return read()

        wait = Wait(
            subject="Pool p", is_over=lambda state: state == "ACTIVE", poll_interval=0, log=log, **kwargs
        )
        if request.param == "worker":
            return wait.in_worker(read, lambda: None)
        return await wait.in_triggerer(read_async)

    return wait


async def test_each_change_of_state_is_logged_once(wait, log):
    assert (await wait("ACCEPTED", "CREATING", "CREATING", "ACTIVE", state="ACCEPTED")).state == "ACTIVE"
    assert log.lines == ["Pool p is CREATING", "Pool p is ACTIVE"]


async def test_outage_is_retried_and_logged_once(wait, log):
    await wait(OUTAGE, OUTAGE, "ACTIVE", error_budget=60)
    assert log.lines == [
        f"Pool p: cannot read its state; retrying for up to 60 s: {OUTAGE}",
        "Pool p: its state can be read again",
        "Pool p is ACTIVE",
    ]


async def test_errors_beyond_the_budget_end_the_wait(wait, log):
    with pytest.raises(ErrorBudgetExceeded, match="404") as caught:
        await wait(NOT_FOUND, error_budget=0)
    assert caught.value.error is NOT_FOUND
    assert log.lines == []


async def test_final_state_after_the_deadline_still_counts(wait):
    assert (await wait("ACTIVE", deadline=0)).state == "ACTIVE"
    with pytest.raises(WaitTimedOut, match="Pool p is CREATING"):
        await wait("CREATING", deadline=time.time() - 1)


async def test_outage_at_the_deadline_is_a_timeout(wait):
    with pytest.raises(WaitTimedOut, match="Pool p has not been read yet"):
        await wait(OUTAGE, deadline=time.time() - 1)


async def test_heartbeat_is_logged_when_nothing_changes(wait, log, mocker):
    mocker.patch.object(waiting.Heartbeat, "is_due", return_value=True)
    await wait("CREATING", "CREATING", "ACTIVE")
    assert log.lines.count("Pool p is still CREATING") == 2


class Killed(Exception):
    pass


def test_kill_ends_the_wait_in_a_worker(log):
    def raise_if_killed():
        raise Killed

    wait = Wait(subject="Pool p", is_over=lambda state: False, poll_interval=0, log=log)
    with pytest.raises(Killed):
        wait.in_worker(lambda: Pool("p", "CREATING"), raise_if_killed)


def test_pause_ends_at_the_deadline(log):
    def pause(deadline):
        wait = Wait("Pool p", lambda state: False, poll_interval=60, log=log, deadline=deadline)
        return wait._pause()

    assert 45 <= pause(None) <= 60
    assert 45 <= pause(time.time() + 3600) <= 60
    assert 0.5 < pause(time.time() + 1) <= 1
    assert pause(time.time() - 1) == 0


# --- Runs ----------------------------------------------------------------------------------------------


class FakeClient:
    def __init__(self, *results):
        self.results = list(results)

    def get_run(self, run_id):
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return Run.from_api(run_body(result))


def wait_for(log, *results, **kwargs):
    return wait_for_run(
        FakeClient(*results),
        RUN_ID,
        poll_interval=0,
        raise_if_killed=lambda: None,
        log=log,
        **{"states": ["IN_PROGRESS"], **kwargs},
    )


@pytest.mark.parametrize("state", ["IN_PROGRESS", "FAILED"])
def test_run_wait_ends_in_a_target_state_or_a_terminal_state(log, state):
    polls = []
    run = wait_for(log, "ACCEPTED", "ACCEPTED", state, after_poll=lambda: polls.append(1))
    assert run.state == state
    assert len(polls) == 2


def test_run_wait_raises_run_lost_beyond_the_budget(log):
    with pytest.raises(RunLost, match="404") as caught:
        wait_for(log, "ACCEPTED", NOT_FOUND, error_budget=0)
    assert (caught.value.state, caught.value.opc_request_id) == ("ACCEPTED", "request-1")


def test_run_wait_raises_run_timed_out_at_the_deadline(log):
    with pytest.raises(RunTimedOut) as caught:
        wait_for(log, "ACCEPTED", deadline=time.time() - 1)
    assert caught.value.state == "ACCEPTED"
