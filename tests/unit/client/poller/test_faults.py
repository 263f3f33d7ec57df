"""Whatever happens to one wait, the others of its connection end with their runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_dataflow.client.async_client import RunPage
from airflow_provider_dataflow.client.poller import scheduler as schedule_module
from airflow_provider_dataflow.client.poller.compartment import Compartment
from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.client.poller.requests import Questions
from airflow_provider_dataflow.client.poller.subscriptions import Subscription, Watch
from airflow_provider_dataflow.exceptions import (
    InvalidArgument,
    InvalidConnection,
    RunLost,
    ServiceError,
    UnexpectedResponse,
)
from airflow_provider_dataflow.models.run import SUCCESS_STATES, Run
from airflow_provider_dataflow.polling import MAX_CONNECTIONS, ErrorBudget, seconds_of
from benchmarks.polling import virtual_time

#: More than there are workers: each of them meets one.
BAD = [f"bad-{number}" for number in range(2 * MAX_CONNECTIONS)]
GOOD = [f"good-{number}" for number in range(3)]

Main = Callable[[RunPoller, "Client"], Awaitable[Any]]


class Odd(BaseException):
    """As Airflow's TaskDeferred and AirflowTaskTimeout: no Exception."""


class Client:
    """Each good run ends after 300 seconds; what a bad one does is up to the test."""

    max_requests_per_second = 100.0

    def __init__(self) -> None:
        self.ask_bad: Callable[[str], Awaitable[Run]] = self.running
        self.list_runs: Callable[[], Any] = lambda: []

    async def running(self, run_id: str) -> Run:
        return Run(id=run_id, state="IN_PROGRESS", compartment_id="c")

    async def get_run(self, run_id: str) -> Run:
        await asyncio.sleep(0.01)
        if run_id in BAD:
            return await self.ask_bad(run_id)
        over = asyncio.get_running_loop().time() > 300
        return Run(id=run_id, state="SUCCEEDED" if over else "IN_PROGRESS", compartment_id="c")

    async def list_runs_page(self, compartment_id: str, **_: Any) -> Any:
        return self.list_runs()

    async def close(self) -> None:
        pass


def play(main: Main) -> Any:
    """Run in virtual time, where hours take no time."""

    async def wrapped() -> Any:
        client = Client()

        async def make() -> Client:
            return client

        poller = RunPoller(make, now=asyncio.get_running_loop().time)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(24 * 3600):
                return await main(poller, client)
        finally:
            await poller.close()

    return virtual_time.run(wrapped())


async def wait(poller: RunPoller, run_id: str, **kwargs: Any) -> Run:
    return await poller.wait_for(run_id, states=SUCCESS_STATES, poll_interval=30, **kwargs)


async def wait_for_all(poller: RunPoller, **kwargs: Any) -> dict[str, str]:
    """How each wait has ended: the state of the run, or the error's note."""
    ends = await asyncio.gather(
        *(wait(poller, run_id, **kwargs) for run_id in BAD),
        *(wait(poller, run_id) for run_id in GOOD),
        return_exceptions=True,
    )
    told = {}
    for run_id, end in zip([*BAD, *GOOD], ends, strict=True):
        assert isinstance(end, (Run, RunLost)), repr(end)
        told[run_id] = end.state if isinstance(end, Run) else f"lost: {end.note}"
    return told


def check(ends: dict[str, Any], cause: str) -> None:
    assert {ends[run_id] for run_id in GOOD} == {"SUCCEEDED"}
    for run_id in BAD:
        assert ends[run_id].startswith("lost: "), ends[run_id]
        assert cause in ends[run_id]


def raising_for_bad(error: BaseException, original: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.run_id in BAD:
            raise error
        return original(self, *args, **kwargs)

    return method


ERRORS = [
    ZeroDivisionError("a fault of ours"),
    Odd("a fault of ours"),
    asyncio.CancelledError("a fault of ours"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("kind", "method"), [(Watch, "deliver"), (Watch, "interval"), (Subscription, "deliver")]
)
def test_a_fault_in_a_job_ends_its_own_waits_only(monkeypatch, kind, method, error):
    monkeypatch.setattr(kind, method, raising_for_bad(error, getattr(kind, method)))
    ends = play(lambda poller, client: wait_for_all(poller))
    check(ends, f"{type(error).__name__}: a fault of ours")
    for run_id in BAD:
        assert run_id in ends[run_id]


def test_a_budget_that_cannot_be_used_ends_its_own_waits_only(monkeypatch):
    def failure(self: ErrorBudget, *_: Any) -> bool:
        raise TypeError("an odd budget")

    monkeypatch.setattr(ErrorBudget, "failure", failure)

    async def main(poller: RunPoller, client: Client) -> Any:
        async def down(run_id: str) -> Run:
            raise ServiceError(operation="GetRun", message="down", status=503)

        client.ask_bad = down
        return await wait_for_all(poller)

    check(play(main), "TypeError: an odd budget")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_callback_that_fails_disturbs_nobody(error, caplog):
    def fail(run: Run) -> None:
        raise error

    async def main(poller: RunPoller, client: Client) -> Any:
        return await asyncio.gather(*(wait(poller, run_id, on_change=fail) for run_id in GOOD))

    assert {run.state for run in play(main)} == {"SUCCEEDED"}
    assert "callback fails" in caplog.text


def test_a_callback_may_end_the_process():
    def stop(run: Run) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        play(lambda poller, client: wait(poller, GOOD[0], on_change=stop))


@pytest.mark.parametrize(
    "error",
    [*ERRORS, UnexpectedResponse(operation="GetRun", message="a fault of ours")],
    ids=lambda error: type(error).__name__,
)
def test_a_request_that_fails_uses_up_the_budget(error):
    async def main(poller: RunPoller, client: Client) -> Any:
        async def fail(run_id: str) -> Run:
            raise error

        client.ask_bad = fail
        ends = await wait_for_all(poller, error_budget=600)
        assert asyncio.get_running_loop().time() >= 600
        return ends

    check(play(main), "a fault of ours")


def test_a_request_without_end_uses_up_the_budget():
    async def main(poller: RunPoller, client: Client) -> Any:
        async def hang(run_id: str) -> Run:
            await asyncio.Event().wait()
            raise AssertionError

        client.ask_bad = hang
        return await wait_for_all(poller, error_budget=1000)

    check(play(main), "longer than 300 s")


def test_a_job_that_ignores_its_cancellation_is_given_up(caplog):
    async def main(poller: RunPoller, client: Client) -> Any:
        async def hang(run_id: str) -> Run:
            until = asyncio.get_running_loop().time() + 4 * 3600
            while asyncio.get_running_loop().time() < until:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    continue
            raise TimeoutError

        client.ask_bad = hang
        return await wait_for_all(poller, error_budget=1000)

    check(play(main), "no progress")
    lines = [record for record in caplog.records if "made no progress for" in record.message]
    assert len([record for record in lines if record.levelno >= logging.WARNING]) == 1


def test_a_schedule_that_has_ended_is_started_again(caplog):
    async def main(poller: RunPoller, client: Client) -> Any:
        waits = asyncio.gather(*(wait(poller, run_id) for run_id in GOOD))
        for _ in range(3):
            await asyncio.sleep(70)
            assert poller._schedule._task
            poller._schedule._task.cancel()
        return await waits

    assert {run.state for run in play(main)} == {"SUCCEEDED"}
    assert len([record for record in caplog.records if "started again" in record.message]) == 1


def test_workers_that_are_cancelled_are_replaced():
    async def main(poller: RunPoller, client: Client) -> Any:
        async def hang(run_id: str) -> Run:
            for worker in list(poller._schedule._workers):
                worker.cancel()
            return await client.running(run_id)

        client.ask_bad = hang
        waits = [asyncio.create_task(wait(poller, run_id)) for run_id in BAD]
        ends = await asyncio.gather(*(wait(poller, run_id) for run_id in GOOD))
        for task in waits:
            task.cancel()
        return ends

    assert {run.state for run in play(main)} == {"SUCCEEDED"}


def test_a_stopped_schedule_does_nothing_more(caplog):
    async def main(poller: RunPoller, client: Client) -> None:
        task = asyncio.create_task(wait(poller, GOOD[0]))
        await asyncio.sleep(10)
        await poller.close()
        await asyncio.sleep(10 * schedule_module.CHECK_SECONDS)
        assert poller._schedule._task is None
        assert not poller._schedule._workers
        assert task.cancelled()

    play(main)
    assert not caplog.records


# Compartments

WAITING = [*GOOD, *(f"more-{number}" for number in range(60))]


def rows_of_good() -> list[dict[str, Any]]:
    over = asyncio.get_running_loop().time() > 300
    return [] if over else [{"id": run_id, "lifecycleState": "IN_PROGRESS"} for run_id in WAITING]


async def wait_in_compartment(poller: RunPoller, **kwargs: Any) -> list[Run]:
    return await asyncio.gather(*(wait(poller, run_id, compartment_id="c", **kwargs) for run_id in WAITING))


def listing(make: Callable[[], Any]) -> Main:
    async def main(poller: RunPoller, client: Client) -> Any:
        client.list_runs = make
        return await wait_in_compartment(poller, error_budget=20)

    return main


def test_odd_rows_of_a_list_are_left_out():
    odd: list[Any] = [
        {"id": []},
        {"id": {}},
        {},
        {"id": GOOD[0], "lifecycleState": ["x"]},
        {"id": GOOD[1], "lifecycleState": "SUCCEEDED", "timeCreated": 5},
    ]
    runs = play(listing(lambda: RunPage([*odd, *rows_of_good()])))
    assert {run.state for run in runs} == {"SUCCEEDED"}


@pytest.mark.parametrize(
    "error",
    [UnexpectedResponse(operation="ListRuns", message="nonsense"), TypeError("odd"), Odd("odd")],
    ids=lambda error: type(error).__name__,
)
def test_lists_that_are_nonsense_leave_runs_to_be_asked_for_one_by_one(error):
    def fail() -> Any:
        raise error

    async def main(poller: RunPoller, client: Client) -> Any:
        client.list_runs = fail
        return await wait_in_compartment(poller, error_budget=600)

    assert {run.state for run in play(main)} == {"SUCCEEDED"}


def test_lists_that_fail_for_long_leave_runs_to_be_asked_for_one_by_one():
    def fail() -> Any:
        raise ServiceError(operation="ListRuns", message="down", status=500)

    async def main(poller: RunPoller, client: Client) -> Any:
        client.list_runs = fail
        return await wait_in_compartment(poller, error_budget=250)

    assert {run.state for run in play(main)} == {"SUCCEEDED"}


@pytest.mark.parametrize(("kind", "method"), [(Compartment, "choose"), (Questions, "_choose")])
def test_a_fault_in_the_job_of_a_compartment_loses_no_run(monkeypatch, kind, method):
    def fail(*_: Any, **__: Any) -> Any:
        raise Odd("a fault of ours")

    monkeypatch.setattr(kind, method, fail)
    runs = play(lambda poller, client: wait_in_compartment(poller))
    assert {run.state for run in runs} == {"SUCCEEDED"}


# Retry-After


def test_a_budget_ends_before_the_service_may_be_asked_again():
    async def main(poller: RunPoller, client: Client) -> float:
        async def busy(run_id: str) -> Run:
            raise ServiceError(operation="GetRun", message="busy", status=503, retry_after=500)

        client.ask_bad = busy
        with pytest.raises(RunLost, match="busy"):
            await wait(poller, BAD[0], error_budget=60)
        return asyncio.get_running_loop().time()

    assert 60 <= play(main) < 100


def test_a_connection_that_has_worked_may_be_invalid_for_a_while():
    async def main(poller: RunPoller, client: Client) -> Any:
        async def invalid(run_id: str) -> Run:
            if asyncio.get_running_loop().time() < 100:
                return await client.running(run_id)
            raise InvalidConnection("the token file is half written")

        client.ask_bad = invalid
        return await wait_for_all(poller, error_budget=600)

    check(play(main), "half written")


def test_one_failing_run_among_others_is_logged_once(caplog):
    async def main(poller: RunPoller, client: Client) -> Any:
        async def down(run_id: str) -> Run:
            raise ServiceError(operation="GetRun", message="down", status=503)

        client.ask_bad = down
        with caplog.at_level(logging.INFO):
            return await wait_for_all(poller, error_budget=250)

    check(play(main), "down")
    assert len([record for record in caplog.records if "although" in record.message]) == 1


# Arguments


def test_a_budget_may_be_a_timedelta():
    async def main(poller: RunPoller, client: Client) -> Any:
        async def down(run_id: str) -> Run:
            raise ServiceError(operation="GetRun", message="down", status=503)

        client.ask_bad = down
        ends = await wait_for_all(poller, error_budget=timedelta(minutes=30))
        assert 1800 <= asyncio.get_running_loop().time() < 1900
        return ends

    check(play(main), "down")


@pytest.mark.parametrize("value", [None, "soon", float("nan"), True, [], object(), 1j])
@pytest.mark.parametrize("name", ["poll_interval", "error_budget"])
def test_what_is_no_duration_is_refused_and_leaves_nothing(name, value):
    async def main(poller: RunPoller, client: Client) -> None:
        with pytest.raises(InvalidArgument, match=name):
            poller.subscribe(BAD[0], **{"states": SUCCESS_STATES, "poll_interval": 30, name: value})
        assert poller.is_idle

    play(main)


@pytest.mark.parametrize("value", [0, -5, float("inf")])
def test_an_interval_that_never_comes_or_never_ends_is_refused(value):
    async def main(poller: RunPoller, client: Client) -> None:
        with pytest.raises(InvalidArgument, match="poll_interval"):
            poller.subscribe(BAD[0], states=SUCCESS_STATES, poll_interval=value)

    play(main)


@pytest.mark.parametrize("value", [90, 90.0, "90", timedelta(seconds=90)])
def test_a_duration_is_read(value):
    assert seconds_of(value, "x") == 90.0
    assert ErrorBudget(value).seconds == 90.0


@pytest.mark.parametrize(
    "odd", [{"compartment_id": ["c"]}, {"compartment_id": 5}, {"states": 5}, {"states": None}]
)
def test_odd_arguments_of_one_wait_disturb_nobody(odd):
    async def main(poller: RunPoller, client: Client) -> Any:
        arguments: dict[str, Any] = {"states": SUCCESS_STATES, "poll_interval": 30, **odd}
        bad = [poller.subscribe(run_id, **arguments) for run_id in BAD]
        runs = await asyncio.gather(*(wait(poller, run_id) for run_id in GOOD))
        for subscription in bad:
            poller.unsubscribe(subscription)
        assert poller.is_idle
        return runs

    assert {run.state for run in play(main)} == {"SUCCEEDED"}
