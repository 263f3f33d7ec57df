"""A fault in one subscription does not affect the others of its connection."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from airflow_provider_dataflow.client.async_client import RunPage
from airflow_provider_dataflow.client.poller import request_dispatcher
from airflow_provider_dataflow.client.poller.poller import RunPoller
from airflow_provider_dataflow.client.poller.request_dispatcher import RequestDispatcher
from airflow_provider_dataflow.client.poller.subscriptions import PolledRun, Subscription
from airflow_provider_dataflow.client.rate_limit import RateLimit
from airflow_provider_dataflow.exceptions import (
    InvalidArgument,
    InvalidConnection,
    RunLost,
    ServiceError,
    UnexpectedResponse,
)
from airflow_provider_dataflow.models.run import SUCCESS_STATES, Run
from airflow_provider_dataflow.polling import CHECK_SECONDS, MAX_CONNECTIONS, ErrorBudget
from benchmarks.polling import virtual_time

#: More than there are workers, so that each worker meets one.
BAD = [f"bad-{number}" for number in range(2 * MAX_CONNECTIONS)]
GOOD = [f"good-{number}" for number in range(3)]
#: Enough to be polled by ListRuns.
LISTED = [*GOOD, *(f"more-{number}" for number in range(60))]

Main = Callable[[RunPoller, "Client"], Awaitable[Any]]


class CustomBaseException(BaseException):
    """Like Airflow's TaskDeferred and AirflowTaskTimeout, which are no ``Exception``."""


class Client:
    """Each good run ends after 300 seconds; each test decides what happens to a bad one."""

    access = None

    def __init__(self) -> None:
        self.rate_limit = RateLimit(100.0)
        self.poll_bad: Callable[[str], Awaitable[Run]] = self.running
        self.list_runs: Callable[[], Any] = lambda: []
        #: GetRun requests by run id.
        self.polls: Counter[str] = Counter()

    async def running(self, run_id: str) -> Run:
        return Run(id=run_id, state="IN_PROGRESS", compartment_id="c")

    async def get_run(self, run_id: str) -> Run:
        self.polls[run_id] += 1
        await asyncio.sleep(0.01)
        if run_id in BAD:
            return await self.poll_bad(run_id)
        has_ended = asyncio.get_running_loop().time() > 300
        return Run(id=run_id, state="SUCCEEDED" if has_ended else "IN_PROGRESS", compartment_id="c")

    async def list_runs_page(self, compartment_id: str, **_: Any) -> Any:
        return self.list_runs()

    async def close(self) -> None:
        pass


def run_in_virtual_time(main: Main) -> Any:
    async def wrapped() -> Any:
        client = Client()

        async def make() -> Client:
            return client

        poller = RunPoller(make)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(24 * 3600):
                return await main(poller, client)
        finally:
            await poller.close()

    return virtual_time.run(wrapped())


def service_error(operation: str = "GetRun", status: int = 503, **fields: Any) -> ServiceError:
    return ServiceError(operation=operation, message="down", status=status, **fields)


async def wait(poller: RunPoller, run_id: str, **kwargs: Any) -> Run:
    return await poller.wait_for(run_id, states=SUCCESS_STATES, poll_interval=30, **kwargs)


async def wait_for_all(poller: RunPoller, **kwargs: Any) -> dict[str, str]:
    """Return how each subscription ends: the state of the run, or the note of the error."""
    ends = await asyncio.gather(
        *(wait(poller, run_id, **kwargs) for run_id in BAD),
        *(wait(poller, run_id) for run_id in GOOD),
        return_exceptions=True,
    )
    notes = {}
    for run_id, end in zip([*BAD, *GOOD], ends, strict=True):
        assert isinstance(end, (Run, RunLost)), repr(end)
        notes[run_id] = end.state if isinstance(end, Run) else f"lost: {end.note}"
    return notes


def assert_only_bad_runs_are_lost(ends: dict[str, Any], cause: str) -> None:
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
    ZeroDivisionError("internal error"),
    CustomBaseException("internal error"),
    asyncio.CancelledError("internal error"),
]


# --- Errors in a job -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("kind", "method"), [(PolledRun, "update"), (PolledRun, "interval"), (Subscription, "update")]
)
def test_internal_error_in_a_job_ends_only_its_own_subscriptions(monkeypatch, kind, method, error):
    monkeypatch.setattr(kind, method, raising_for_bad(error, getattr(kind, method)))
    ends = run_in_virtual_time(lambda poller, client: wait_for_all(poller))
    assert_only_bad_runs_are_lost(ends, f"{type(error).__name__}: internal error")
    for run_id in BAD:
        assert run_id in ends[run_id]


def test_internal_error_in_an_error_budget_ends_only_its_own_subscriptions(monkeypatch):
    def failure(self: ErrorBudget, *_: Any) -> bool:
        raise TypeError("invalid budget")

    monkeypatch.setattr(ErrorBudget, "failure", failure)

    async def main(poller: RunPoller, client: Client) -> Any:
        async def fail(run_id: str) -> Run:
            raise service_error()

        client.poll_bad = fail
        return await wait_for_all(poller)

    assert_only_bad_runs_are_lost(run_in_virtual_time(main), "TypeError: invalid budget")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_in_a_callback_is_logged_and_polling_continues(error, caplog):
    def fail(run: Run) -> None:
        raise error

    async def main(poller: RunPoller, client: Client) -> Any:
        return await asyncio.gather(*(wait(poller, run_id, on_change=fail) for run_id in GOOD))

    assert {run.state for run in run_in_virtual_time(main)} == {"SUCCEEDED"}
    assert "callback raised an error" in caplog.text


def test_callback_may_end_the_process():
    def stop(run: Run) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run_in_virtual_time(lambda poller, client: wait(poller, GOOD[0], on_change=stop))


@pytest.mark.parametrize(
    "error",
    [*ERRORS, UnexpectedResponse(operation="GetRun", message="internal error")],
    ids=lambda error: type(error).__name__,
)
def test_failing_request_uses_the_error_budget(error):
    async def main(poller: RunPoller, client: Client) -> Any:
        async def fail(run_id: str) -> Run:
            raise error

        client.poll_bad = fail
        ends = await wait_for_all(poller, error_budget=600)
        assert asyncio.get_running_loop().time() >= 600
        return ends

    assert_only_bad_runs_are_lost(run_in_virtual_time(main), "internal error")


def test_hanging_request_uses_the_error_budget():
    async def main(poller: RunPoller, client: Client) -> Any:
        async def hang(run_id: str) -> Run:
            await asyncio.Event().wait()
            raise AssertionError

        client.poll_bad = hang
        return await wait_for_all(poller, error_budget=1000)

    assert_only_bad_runs_are_lost(run_in_virtual_time(main), "longer than 300 s")


# --- Supervision -----------------------------------------------------------------------------------


def test_job_that_ignores_its_cancellation_is_given_up(caplog):
    async def main(poller: RunPoller, client: Client) -> Any:
        async def hang(run_id: str) -> Run:
            until = asyncio.get_running_loop().time() + 4 * 3600
            while asyncio.get_running_loop().time() < until:
                try:
                    await asyncio.sleep(600)
                except asyncio.CancelledError:
                    continue
            raise TimeoutError

        client.poll_bad = hang
        return await wait_for_all(poller, error_budget=1000)

    assert_only_bad_runs_are_lost(run_in_virtual_time(main), "no progress")
    lines = [record for record in caplog.records if "has made no progress for" in record.message]
    assert len([record for record in lines if record.levelno >= logging.WARNING]) == 1


def test_cancelled_jobs_are_run_again():
    async def main(poller: RunPoller, client: Client) -> Any:
        async def cancel_jobs(run_id: str) -> Run:
            for task in list(poller._scheduler._running):
                task.cancel()
            return await client.running(run_id)

        client.poll_bad = cancel_jobs
        waits = [asyncio.create_task(wait(poller, run_id)) for run_id in BAD]
        ends = await asyncio.gather(*(wait(poller, run_id) for run_id in GOOD))
        for task in waits:
            task.cancel()
        return ends

    assert {run.state for run in run_in_virtual_time(main)} == {"SUCCEEDED"}


def test_stopped_scheduler_does_nothing(caplog):
    async def main(poller: RunPoller, client: Client) -> None:
        task = asyncio.create_task(wait(poller, GOOD[0]))
        await asyncio.sleep(10)
        await poller.close()
        await asyncio.sleep(10 * CHECK_SECONDS)
        assert not poller._scheduler._running
        poller.subscribe(GOOD[1], states=SUCCESS_STATES, poll_interval=30)
        await asyncio.sleep(10 * CHECK_SECONDS)
        assert not client.polls[GOOD[1]]
        assert task.cancelled()

    run_in_virtual_time(main)
    assert not caplog.records


# --- ListRuns --------------------------------------------------------------------------------------


def rows_of_running() -> list[dict[str, Any]]:
    has_ended = asyncio.get_running_loop().time() > 300
    return [] if has_ended else [{"id": run_id, "lifecycleState": "IN_PROGRESS"} for run_id in LISTED]


def wait_with_lists(list_runs: Callable[[], Any], error_budget: float) -> list[Run]:
    async def main(poller: RunPoller, client: Client) -> Any:
        client.list_runs = list_runs
        return await asyncio.gather(
            *(wait(poller, run_id, compartment_id="c", error_budget=error_budget) for run_id in LISTED)
        )

    runs: list[Run] = run_in_virtual_time(main)
    return runs


def test_invalid_rows_of_a_list_are_ignored():
    invalid: list[Any] = [
        {"id": []},
        {"id": {}},
        {},
        {"id": GOOD[0], "lifecycleState": ["x"]},
        {"id": GOOD[1], "lifecycleState": "SUCCEEDED", "timeCreated": 5},
    ]
    runs = wait_with_lists(lambda: RunPage([*invalid, *rows_of_running()]), error_budget=20)
    assert {run.state for run in runs} == {"SUCCEEDED"}


@pytest.mark.parametrize(
    ("error", "error_budget"),
    [
        (UnexpectedResponse(operation="ListRuns", message="not JSON"), 600),
        (TypeError("internal error"), 600),
        (CustomBaseException("internal error"), 600),
        (service_error("ListRuns", 500), 250),
    ],
    ids=lambda value: type(value).__name__,
)
def test_runs_are_polled_by_get_run_if_list_runs_fails(error, error_budget):
    def fail() -> Any:
        raise error

    assert {run.state for run in wait_with_lists(fail, error_budget)} == {"SUCCEEDED"}


@pytest.mark.parametrize(
    ("owner", "name"), [(RequestDispatcher, "_poll_compartment"), (request_dispatcher, "find_runs")]
)
def test_internal_error_in_the_job_of_a_compartment_loses_no_run(monkeypatch, owner, name):
    def fail(*_: Any, **__: Any) -> Any:
        raise CustomBaseException("internal error")

    monkeypatch.setattr(owner, name, fail)
    runs = wait_with_lists(lambda: RunPage(rows_of_running()), error_budget=1800)
    assert {run.state for run in runs} == {"SUCCEEDED"}


# --- Error budget ----------------------------------------------------------------------------------


def test_error_budget_ends_during_a_longer_retry_after():
    async def main(poller: RunPoller, client: Client) -> float:
        async def fail(run_id: str) -> Run:
            raise service_error(retry_after=500)

        client.poll_bad = fail
        with pytest.raises(RunLost, match="down"):
            await wait(poller, BAD[0], error_budget=60)
        return asyncio.get_running_loop().time()

    assert 60 <= run_in_virtual_time(main) < 100


def test_invalid_connection_uses_the_error_budget_once_it_has_worked():
    async def main(poller: RunPoller, client: Client) -> Any:
        async def invalid(run_id: str) -> Run:
            if asyncio.get_running_loop().time() < 100:
                return await client.running(run_id)
            raise InvalidConnection("the token file is half written")

        client.poll_bad = invalid
        return await wait_for_all(poller, error_budget=600)

    assert_only_bad_runs_are_lost(run_in_virtual_time(main), "half written")


def test_failing_run_among_healthy_ones_is_logged_once(caplog):
    async def main(poller: RunPoller, client: Client) -> Any:
        async def fail(run_id: str) -> Run:
            raise service_error()

        client.poll_bad = fail
        with caplog.at_level(logging.INFO):
            return await wait_for_all(poller, error_budget=250)

    assert_only_bad_runs_are_lost(run_in_virtual_time(main), "down")
    assert len([record for record in caplog.records if "retrying for up to" in record.message]) == 1


# --- Arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, "soon", float("nan"), True, [], object(), 1j])
@pytest.mark.parametrize("name", ["poll_interval", "error_budget"])
def test_invalid_duration_is_refused_and_leaves_nothing(name, value):
    async def main(poller: RunPoller, client: Client) -> None:
        with pytest.raises(InvalidArgument, match=name):
            poller.subscribe(BAD[0], **{"states": SUCCESS_STATES, "poll_interval": 30, name: value})
        await asyncio.sleep(600)
        assert not client.polls

    run_in_virtual_time(main)


@pytest.mark.parametrize("value", [0, -5, float("inf")])
def test_poll_interval_must_be_finite_and_above_zero(value):
    async def main(poller: RunPoller, client: Client) -> None:
        with pytest.raises(InvalidArgument, match="poll_interval"):
            poller.subscribe(BAD[0], states=SUCCESS_STATES, poll_interval=value)

    run_in_virtual_time(main)


@pytest.mark.parametrize(
    "invalid", [{"compartment_id": ["c"]}, {"compartment_id": 5}, {"states": 5}, {"states": None}]
)
def test_invalid_arguments_of_one_subscription_affect_no_other(invalid):
    async def main(poller: RunPoller, client: Client) -> Any:
        arguments: dict[str, Any] = {"states": SUCCESS_STATES, "poll_interval": 30, **invalid}
        bad = [poller.subscribe(run_id, **arguments) for run_id in BAD]
        runs = await asyncio.gather(*(wait(poller, run_id) for run_id in GOOD))
        for subscription in bad:
            poller.unsubscribe(subscription)
        polls = client.polls.total()
        await asyncio.sleep(600)
        assert client.polls.total() == polls
        return runs

    assert {run.state for run in run_in_virtual_time(main)} == {"SUCCEEDED"}
