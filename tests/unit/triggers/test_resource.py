"""PoolTrigger, SqlEndpointTrigger and StatementTrigger: rows, events and kills."""

from __future__ import annotations

import asyncio

import pytest

from airflow_provider_dataflow import compat
from airflow_provider_dataflow.client.rate_limit import RateLimit
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.pool import Pool
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpoint
from airflow_provider_dataflow.models.statement import Statement
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.ownership.task_state import TaskState
from airflow_provider_dataflow.triggers import cancel_on_kill
from airflow_provider_dataflow.triggers.base import PollingTrigger
from airflow_provider_dataflow.triggers.events import Outcome, PoolEvent, SqlEndpointEvent, StatementEvent
from airflow_provider_dataflow.triggers.pool import PoolTrigger
from airflow_provider_dataflow.triggers.sql_endpoint import SqlEndpointTrigger
from airflow_provider_dataflow.triggers.statement import StatementTrigger, statement_name
from tests.unit.support import RUN_ID, FakeTaskInstance, run_body

POOL_ID = "ocid1.dataflowpool.oc1.iad.aaaa"
SQL_ENDPOINT_ID = "ocid1.dataflowsqlendpoint.oc1.iad.aaaa"


class FakeAsyncClient:
    def __init__(self, run="IN_PROGRESS", statement="IN_PROGRESS", pool="ACTIVE"):
        self.run, self.statement, self.pool = run, statement, pool
        self.sql_endpoints = []
        self.closed = False

    async def get_run(self, run_id):
        return Run.from_api(run_body(self.run))

    async def get_statement(self, run_id, statement_id):
        return Statement(statement_id, self.statement, run_id=run_id)

    async def get_pool(self, pool_id):
        if isinstance(self.pool, Exception):
            raise self.pool
        return Pool(pool_id, self.pool)

    async def get_sql_endpoint(self, sql_endpoint_id):
        return SqlEndpoint(sql_endpoint_id, self.sql_endpoints.pop(0))

    async def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    monkeypatch.setattr(PollingTrigger, "NO_EVENT_BEFORE_SECONDS", 0)


@pytest.fixture
def service(mocker):
    def respond(**states):
        client = FakeAsyncClient(**states)

        async def make(hook):
            return client

        mocker.patch.object(DataFlowHook, "async_client", make)
        return client

    return respond


async def event_of(trigger):
    async for event in trigger.run():
        return event.payload
    raise AssertionError


async def test_pool_in_target_state_ends_the_wait(service):
    client = service(pool="ACTIVE")
    event = PoolEvent.parse(await event_of(PoolTrigger(POOL_ID, target_states=["ACTIVE"])))
    assert event == PoolEvent(Outcome.REACHED, POOL_ID, "ACTIVE")
    assert client.closed


@pytest.mark.parametrize(("missing_is_deleted", "outcome"), [(True, Outcome.REACHED), (False, Outcome.LOST)])
async def test_missing_pool_is_deleted_or_lost(service, missing_is_deleted, outcome):
    service(pool=ServiceError(operation="GetPool", message="no", status=404))
    trigger = PoolTrigger(
        POOL_ID,
        target_states=["DELETED"],
        missing_is_deleted=missing_is_deleted,
        poll_interval=0.01,
        error_budget=0.001,
    )
    event = PoolEvent.parse(await event_of(trigger))
    assert event.outcome is outcome
    assert event.state == ("DELETED" if missing_is_deleted else None)


async def test_pool_that_misses_the_deadline(service):
    service(pool="CREATING")
    event = PoolEvent.parse(await event_of(PoolTrigger(POOL_ID, deadline=1.0)))
    assert event == PoolEvent(Outcome.TIMEOUT, POOL_ID, "CREATING")


async def test_sql_endpoint_waits_through_maintenance_for_its_target_state(service):
    client = service()
    client.sql_endpoints = ["UPDATING", "UPDATING", "INACTIVE"]
    trigger = SqlEndpointTrigger(SQL_ENDPOINT_ID, target_states=["INACTIVE"], poll_interval=0.01)
    event = SqlEndpointEvent.parse(await event_of(trigger))
    assert event == SqlEndpointEvent(Outcome.REACHED, SQL_ENDPOINT_ID, "INACTIVE")
    assert client.sql_endpoints == []


@pytest.mark.parametrize(
    ("run", "statement"),
    [("IN_PROGRESS", "SUCCEEDED"), ("IN_PROGRESS", "CANCELLED"), ("STOPPED", "IN_PROGRESS")],
)
async def test_end_of_statement_or_session_ends_the_wait(service, run, statement):
    service(run=run, statement=statement)
    event = StatementEvent.parse(await event_of(StatementTrigger(RUN_ID, 0)))
    assert event == StatementEvent(Outcome.REACHED, RUN_ID, 0, statement)


@pytest.fixture
def cancelled(mocker):
    """Statements that were cancelled."""
    found = []
    client = mocker.Mock()
    client.statements.cancel.side_effect = lambda *args: found.append(args)
    mocker.patch.object(DataFlowHook, "new_client", return_value=client)
    return found


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (("failed", statement_name(RUN_ID, 0)), True),
        # Another triggerer waits for the statement.
        (("deferred", statement_name(RUN_ID, 0)), False),
        # The task was cleared and waits for another statement.
        (("deferred", statement_name(RUN_ID, 1)), True),
        (("deferred", statement_name("ocid1.dataflowrun.oc1..other", 0)), True),
        (RuntimeError("gone"), True),
    ],
)
async def test_kill_cancels_statement_unless_the_task_waits_for_it(mocker, cancelled, task, expected):
    mocker.patch.object(cancel_on_kill, "kill_looks_like_shutdown", return_value=False)
    mocker.patch.object(
        cancel_on_kill,
        "read_task_state",
        side_effect=task if isinstance(task, Exception) else None,
        return_value=None if isinstance(task, Exception) else TaskState(True, *task),
    )
    trigger = StatementTrigger(RUN_ID, 0, cancel_on_kill=True)
    trigger.task_instance = FakeTaskInstance()
    await trigger.on_kill()
    assert cancelled == [(RUN_ID, 0)] * expected


@pytest.mark.parametrize(("state", "expected"), [("IN_PROGRESS", 1), ("SUCCEEDED", 0), ("CANCELLED", 0)])
def test_sweep_cancels_statement_that_has_not_ended(mocker, state, expected):
    client = mocker.MagicMock()
    client.statements.get.return_value = Statement(id=0, run_id=RUN_ID, state=state)
    owner = TaskIdentity("dag", "run", "task")
    outcome = StatementTrigger(RUN_ID, 0, cancel_on_kill=True).cancel_leftover(client, owner, "")
    assert (outcome is not None) == bool(expected)
    assert client.statements.cancel.call_args_list == [((RUN_ID, 0),)] * expected


async def test_kill_without_cancel_on_kill_cancels_nothing(cancelled):
    await StatementTrigger(RUN_ID, 0).on_kill()
    assert cancelled == []


async def test_cancelled_trigger_cancels_its_statement_if_airflow_has_no_on_kill(mocker, service, cancelled):
    mocker.patch.object(compat, "triggers_have_on_kill", return_value=False)
    service()
    trigger = StatementTrigger(RUN_ID, 0, cancel_on_kill=True, poll_interval=60)
    wait = asyncio.create_task(event_of(trigger))
    await asyncio.sleep(0.05)
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait
    assert cancelled == [(RUN_ID, 0)]


async def test_each_request_of_a_poll_counts_for_the_rate_limit(service, mocker):
    service(statement="SUCCEEDED")
    reserve = mocker.spy(RateLimit, "reserve")
    assert (await event_of(StatementTrigger(RUN_ID, 0)))["state"] == "SUCCEEDED"
    assert reserve.call_count == 2
