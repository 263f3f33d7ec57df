"""STREAMING runs that are stopped for maintenance, through the real SDK and the poller.

A thread plays the service while the task waits. Only the task state store and XComs survive a try.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_dataflow.compat import deployment_id
from airflow_provider_dataflow.exceptions import AlreadyRunning, DataFlowError, RunStopped
from airflow_provider_dataflow.local.testing.fixture import DataFlowFixture
from airflow_provider_dataflow.models.run import TERMINAL_STATES
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership.record_store import RECORD_KEY
from airflow_provider_dataflow.ownership.task_attempt import TaskAttempt
from airflow_provider_dataflow.ownership.task_state import TaskState
from airflow_provider_dataflow.sensors.run import RunSensor
from airflow_provider_dataflow.triggers import cancel_on_kill, followed_run
from airflow_provider_dataflow.triggers.events import Outcome, RunEvent
from airflow_provider_dataflow.triggers.run import RunTrigger
from tests.contract.conftest import poll_at_once, target_of
from tests.contract.tasks import run_task
from tests.contract.test_start_from_trigger import Airflow
from tests.unit.support import FakeStateStore, FakeTaskInstance

#: Time from the end of a run to its successor, and what the tests allow for it.
AFTER, TIMEOUT = 0.4, 20.0

both_modes = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
with_and_without_tags = pytest.mark.parametrize("copy_tags", [False, True], ids=["no tags", "tags"])


class Stream:
    """A task with a streaming application, its tries, and the service that runs it."""

    def __init__(self, local: DataFlowFixture, mocker: Any) -> None:
        self.local, self.store, self.state = local, FakeStateStore(), "deferred"
        self.application_id = target_of(local).create_application("hello.py", type="STREAMING").id
        self.try_number, self.max_tries, self.clear_number = 1, 2, 0
        self.ti = FakeTaskInstance()
        mocker.patch.object(followed_run, "push_xcom", lambda task, key, value: self._push(key, value))
        mocker.patch.object(followed_run, "pull_xcom", lambda task, key: self.ti.xcoms.get(key))
        mocker.patch.object(
            cancel_on_kill,
            "read_task_state",
            lambda task, key: TaskState(True, self.state, self.ti.xcoms.get(key)),
        )

    def _push(self, key: str, value: Any) -> None:
        self.ti.xcoms[key] = list(value) if isinstance(value, list) else value

    def operator(self, **kwargs: Any) -> InvokeRunOperator:
        arguments: dict[str, Any] = {"application_id": self.application_id, "poll_interval": 0.05}
        arguments |= {"fetch_logs": "never", "successor_timeout": TIMEOUT}
        return InvokeRunOperator(task_id="task", **arguments | kwargs)

    def run(self, **kwargs: Any) -> Any:
        """Run one try to its end, with its deferrals."""
        self.ti = FakeTaskInstance(try_number=self.try_number, max_tries=self.max_tries)
        return run_task(
            lambda: self.operator(**kwargs),
            self.ti,
            give_task_instance=True,
            task_state_store=self.store,
            dag_run=self.dag_run,
        )

    @property
    def dag_run(self) -> Any:
        return SimpleNamespace(start_date=None, clear_number=self.clear_number)

    def defer(self, **kwargs: Any) -> RunTrigger:
        """Run one try until it is deferred, and return its trigger."""
        self.ti = FakeTaskInstance(try_number=self.try_number, max_tries=self.max_tries)
        context = {"ti": self.ti, "task_state_store": self.store, "dag_run": self.dag_run}
        with pytest.raises(TaskDeferred) as deferred:
            self.operator(deferrable=True, **kwargs).execute(context)
        return self.restored(deferred.value.trigger)

    def restored(self, trigger: Any) -> RunTrigger:
        """Return the trigger as another triggerer creates it from its row."""
        restored = RunTrigger(**trigger.serialize()[1])
        restored.task_instance = self.ti
        return restored

    def submit(self, **fields: Any) -> str:
        """Submit a run that no task owns."""
        return str(target_of(self.local).submit(self.application_id, **fields).id)

    # --- The service ---------------------------------------------------------------------------------------

    def wait_for(self, probe: Callable[[], Any]) -> Any:
        until = time.monotonic() + 60
        while not (found := probe()):
            assert time.monotonic() < until, "the service waited in vain"
            time.sleep(0.02)
        return found

    def polled(self, number: int) -> str:
        """Wait until the n-th run is in progress and was polled, and return its id."""
        self.wait_for(lambda: len(self.ids()) >= number)
        run_id = self.ids()[number - 1]
        self.wait_for(lambda: self.states()[number - 1] == "IN_PROGRESS")
        self.wait_for(lambda: self.local.journal("GetRun", run_id))
        return run_id

    def maintain(self, number: int, **kwargs: Any) -> None:
        self.local.maintain(self.polled(number), **{"successor_after": AFTER} | kwargs)

    def stop(self, number: int = 1, **kwargs: Any) -> None:
        """Stop a run for maintenance, and wait until it is STOPPED."""
        self.wait_for(lambda: self.states()[number - 1] == "IN_PROGRESS")
        self.local.maintain(self.ids()[number - 1], **{"successor_after": AFTER} | kwargs)
        self.wait_for(lambda: self.states()[number - 1] == "STOPPED")

    def ids(self) -> list[str]:
        return self.local.runs_created

    def states(self) -> list[str]:
        return [run["lifecycleState"] for run in self.local.runs]

    def end_all(self) -> None:
        for run_id in self.ids():
            with suppress(RuntimeError):  # it has ended
                self.local.end_run(run_id)

    @contextmanager
    def meanwhile(self, *actions: Callable[[], object]) -> Iterator[None]:
        """Carry out actions in a thread while the task waits. Their errors fail the test."""
        errors: list[BaseException] = []
        task_ended = threading.Event()

        def play() -> None:
            try:
                for action in actions:
                    action()
            except BaseException as error:  # noqa: BLE001 - raised in the test
                errors.append(error)
                # Otherwise the task would wait forever.
                while not task_ended.wait(0.2):
                    self.end_all()

        thread = threading.Thread(target=play)
        thread.start()
        try:
            yield
        finally:
            task_ended.set()
            thread.join(60)
        assert not errors, errors


@pytest.fixture
def stream(scripted: DataFlowFixture, mocker: Any, monkeypatch: pytest.MonkeyPatch) -> Stream:
    poll_at_once(monkeypatch)
    scripted.keeps_running()
    return Stream(scripted, mocker)


@pytest.fixture
def task_log(mocker: Any, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Log of the task and of its triggers."""
    caplog.set_level("INFO", "task")
    for cls in (InvokeRunOperator, RunTrigger):
        mocker.patch.object(cls, "log", logging.getLogger("task"))
    return caplog


async def event_of(trigger: RunTrigger) -> RunEvent:
    async with asyncio.timeout(90):
        (event,) = [RunEvent.parse(event.payload) async for event in trigger.run()]
    return event


# --- Follow the successor --------------------------------------------------------------------------------


@both_modes
@with_and_without_tags
def test_task_goes_on_with_successors_after_maintenance(stream, deferrable, copy_tags):
    """Two in a row. One CreateRun."""
    with stream.meanwhile(
        lambda: stream.maintain(1, copy_tags=copy_tags),
        lambda: stream.maintain(2, copy_tags=copy_tags),
        lambda: stream.local.end_run(stream.polled(3)),
    ):
        result = stream.run(deferrable=deferrable)
    ids = stream.ids()
    assert stream.states() == ["STOPPED", "STOPPED", "SUCCEEDED"]
    assert result == ids[2]
    assert stream.ti.xcoms["run_ids"] == ids
    assert stream.ti.xcoms["run_id"] == ids[2]
    assert ids[2] in stream.ti.xcoms["run_page_url"]
    assert stream.ti.xcoms["lifecycle_state"] == "SUCCEEDED"
    stream.local.assert_requests(CreateRun=1, DeleteRun=0)


def test_record_of_task_in_worker_has_the_successor(stream):
    with stream.meanwhile(lambda: stream.maintain(1), lambda: stream.local.end_run(stream.polled(2))):
        stream.run()
    record = stream.store.get(RECORD_KEY)
    assert (record["run_id"], record["earlier_run_ids"]) == (stream.ids()[1], stream.ids()[:1])


@both_modes
def test_output_of_each_run_is_copied(stream, deferrable, task_log):
    stream.local.keeps_running(stdout="one line\n")
    with stream.meanwhile(lambda: stream.maintain(1), lambda: stream.local.end_run(stream.polled(2))):
        stream.run(deferrable=deferrable, fetch_logs="always")
    assert task_log.messages.count("one line") == 2


@both_modes
def test_task_fails_if_no_successor_appears(stream, deferrable):
    with (
        stream.meanwhile(lambda: stream.maintain(1, successor_after=3600)),
        pytest.raises(RunStopped, match=r"No successor appeared within 0\.5 seconds \(successor_timeout\)"),
    ):
        stream.run(deferrable=deferrable, successor_timeout=0.5)
    stream.local.assert_requests(CreateRun=1, DeleteRun=0)


@both_modes
def test_run_stopped_on_purpose_has_no_successor(stream, deferrable):
    client = target_of(stream.local).client
    with (
        stream.meanwhile(lambda: client.delete_run(stream.polled(1))),
        pytest.raises(RunStopped, match="stopped by a user") as raised,
    ):
        stream.run(deferrable=deferrable)
    assert raised.value.note is None
    stream.local.assert_requests(CreateRun=1)


@both_modes
def test_stopped_as_target_state_ends_the_wait(stream, deferrable):
    with stream.meanwhile(lambda: stream.maintain(1)):
        stream.run(deferrable=deferrable, target_states=TERMINAL_STATES)
    assert stream.ti.xcoms["lifecycle_state"] == "STOPPED"


@both_modes
def test_errors_during_the_search_are_retried(stream, deferrable):
    with stream.meanwhile(
        lambda: stream.polled(1),
        lambda: stream.local.add_fault("status", status=404, operation="ListRuns", count=3),
        lambda: stream.maintain(1),
        lambda: stream.local.end_run(stream.polled(2)),
    ):
        stream.run(deferrable=deferrable)
    assert stream.states() == ["STOPPED", "SUCCEEDED"]


@both_modes
@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_sensor_goes_on_with_successors(stream, deferrable, mode):
    run_id = stream.submit()

    def sensor() -> RunSensor:
        return RunSensor(
            task_id="task", run_id=run_id, deferrable=deferrable, poke_interval=0.05, fetch_logs="never"
        )

    with stream.meanwhile(
        lambda: stream.maintain(1),
        lambda: stream.maintain(2),
        lambda: stream.local.end_run(stream.polled(3)),
    ):
        if mode == "reschedule" and not deferrable:
            # Each poke is a new process.
            while not (poked := sensor()).poke({}):
                time.sleep(0.02)
            assert poked._last_state == "SUCCEEDED"
        else:
            assert run_task(sensor) == "SUCCEEDED"
    assert len(stream.ids()) == 3


def test_sensor_fails_if_no_successor_appears(stream):
    run_id = stream.submit()
    stream.stop(successor_after=3600)
    for deferrable in (False, True):
        with pytest.raises(RunStopped, match=r"No successor appeared within 0\.1 seconds"):
            run_task(
                lambda deferrable=deferrable: RunSensor(
                    task_id="task",
                    run_id=run_id,
                    deferrable=deferrable,
                    poke_interval=0.05,
                    successor_timeout=0.1,
                )
            )


# --- Restarts of the triggerer, rows of other versions -----------------------------------------------------


async def test_maintenance_while_the_triggerer_is_down(stream):
    """Twice: the trigger starts again from its row, which has the first run."""
    trigger = stream.defer()
    stream.stop(1)
    stream.wait_for(lambda: len(stream.ids()) == 2)
    stream.stop(2)
    stream.wait_for(lambda: len(stream.ids()) == 3 and stream.states()[2] == "IN_PROGRESS")
    stream.local.end_run(stream.ids()[2])
    event = await event_of(trigger)
    assert (event.outcome, event.run_id, event.state) == (Outcome.REACHED, stream.ids()[2], "SUCCEEDED")
    assert stream.ti.xcoms["run_ids"] == stream.ids()
    stream.local.assert_requests(CreateRun=1)


async def test_other_trigger_starts_with_the_successor(stream):
    trigger = stream.defer()
    stream.stop(1)
    stream.wait_for(lambda: len(stream.ids()) == 2)
    first, second = stream.ids()
    stream.ti.xcoms |= {"run_id": second, "run_ids": [first, second]}
    stream.local.clear_journal()
    waiting = asyncio.create_task(event_of(trigger))
    await asyncio.to_thread(stream.polled, 2)
    assert stream.local.journal("GetRun", first) == []
    stream.local.end_run(second)
    assert (await waiting).run_id == second


def test_event_of_trigger_that_does_not_follow_is_followed_by_the_worker(stream):
    """So with a row or a triggerer of an earlier version; the task then waits in the triggerer again."""
    trigger = stream.defer()
    row = {name: value for name, value in trigger.serialize()[1].items() if name != "successor_timeout"}
    stream.stop(1)
    event = asyncio.run(event_of(RunTrigger(**row)))
    assert (event.run_id, event.state, event.message) == (stream.ids()[0], "STOPPED", None)
    context = {"ti": stream.ti, "task_state_store": stream.store}
    with pytest.raises(TaskDeferred) as deferred:
        stream.operator(deferrable=True).resume_execution(
            "execute_complete", {"event": event.payload()}, context
        )
    assert deferred.value.trigger.run_id == stream.ids()[1] == stream.ti.xcoms["run_id"]
    assert deferred.value.trigger.run_ids == stream.ids() == stream.ti.xcoms["run_ids"]


# --- Kill ---------------------------------------------------------------------------------------------------


async def test_kill_after_second_maintenance_cancels_third_run(stream):
    trigger = stream.defer()
    waiting = asyncio.create_task(event_of(trigger))
    for number in (1, 2):
        await asyncio.to_thread(stream.maintain, number)
    third = await asyncio.to_thread(stream.polled, 3)
    stream.state = "failed"
    waiting.cancel()
    await trigger.on_kill()
    assert stream.local.cancels == [third]
    await asyncio.gather(waiting, return_exceptions=True)


async def test_kill_before_restarted_trigger_has_polled_cancels_successor(stream):
    trigger = stream.defer()
    stream.stop(1)
    stream.wait_for(lambda: len(stream.ids()) == 2)
    stream.state = "failed"
    await trigger.on_kill()
    assert stream.states()[1] in ("STOPPING", "STOPPED")


async def test_kill_while_other_trigger_waits_for_successor_cancels_nothing(stream):
    trigger = stream.defer()
    stream.stop(1)
    stream.wait_for(lambda: len(stream.ids()) == 2)
    stream.ti.xcoms |= {"run_id": stream.ids()[1], "run_ids": stream.ids()}
    await trigger.on_kill()
    assert stream.local.cancels == []


@pytest.mark.parametrize("airflow_tags", [True, False])
async def test_kill_of_old_trigger_spares_run_after_clear(stream, airflow_tags):
    """The old run was stopped for maintenance, and the run of the next clear epoch is no successor of it."""
    old = stream.defer(airflow_tags=airflow_tags, successor_timeout=0.1)
    stream.stop(1, successor_after=3600)
    await asyncio.sleep(0.2)
    stream.try_number, stream.max_tries = 2, 3
    stream.defer(airflow_tags=airflow_tags, successor_timeout=0.1)
    assert len(stream.ids()) == 2
    old.task_instance = stream.ti
    await old.on_kill()
    assert stream.states()[1] in ("ACCEPTED", "IN_PROGRESS")


def test_kill_in_worker_cancels_successor(stream):
    operator = stream.operator()

    def kill() -> None:
        stream.polled(2)
        operator.on_kill()

    stream.ti = FakeTaskInstance()
    with stream.meanwhile(lambda: stream.maintain(1), kill), pytest.raises(Exception, match="killed"):
        operator.execute({"ti": stream.ti, "task_state_store": stream.store})
    assert stream.local.cancels[-1] == stream.ids()[1]
    stream.local.assert_requests(CreateRun=1)


# --- Retry and clear ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("maintained", [1, 2], ids=["once", "twice"])
def test_retry_reattaches_to_successor(stream, maintained):
    """The worker was lost, and the service stopped the run before the next try."""
    stream.defer()
    for number in range(1, maintained + 1):
        stream.stop(number)
        stream.wait_for(lambda number=number: len(stream.ids()) == number + 1)
    stream.try_number = 2
    stream.defer()
    assert stream.ti.xcoms["run_id"] == stream.ids()[-1]
    assert stream.ti.xcoms["run_ids"] == stream.ids()
    stream.local.assert_requests(CreateRun=1, DeleteRun=0)


@both_modes
def test_retry_waits_for_successor(stream, deferrable):
    """The next try starts between the end of the run and the start of its successor."""
    stream.defer()
    stream.stop(1, successor_after=1)
    stream.try_number = 2
    with stream.meanwhile(lambda: stream.local.end_run(stream.polled(2))):
        stream.run(deferrable=deferrable)
    assert stream.states() == ["STOPPED", "SUCCEEDED"]
    stream.local.assert_requests(CreateRun=1)


def test_retry_submits_when_the_successor_is_overdue(stream):
    stream.defer()
    stream.stop(1, successor_after=3600)
    stream.try_number = 2
    time.sleep(0.2)
    stream.defer(successor_timeout=0.1)
    assert len(stream.ids()) == 2
    stream.local.assert_requests(CreateRun=2)


@both_modes
@pytest.mark.parametrize("waits", [False, True], ids=["after", "before"])
def test_clear_while_successor_starts_cancels_it_before_the_submit(stream, deferrable, waits):
    """The clear comes before or after the successor has appeared. No two runs are live at any time."""
    stream.defer()
    stream.stop(1, successor_after=1 if waits else 0)
    if not waits:
        stream.wait_for(lambda: len(stream.ids()) == 2)
    stream.try_number, stream.max_tries = 2, 3
    with stream.meanwhile(lambda: stream.local.end_run(stream.polled(3))):
        stream.run(deferrable=deferrable)
    assert stream.states() == ["STOPPED", "STOPPED", "SUCCEEDED"]
    assert stream.local.cancels == [stream.ids()[1]]
    assert [entry["status"] for entry in stream.local.journal("CreateRun")] == [200, 200]
    assert stream.ti.xcoms["run_ids"] == stream.ids()[2:]


@both_modes
@pytest.mark.parametrize("waits", [False, True], ids=["after", "before"])
def test_clear_in_worker_without_a_retry_left_cancels_the_successor(stream, deferrable, waits):
    """Such a clear leaves ``max_tries`` unchanged, but is counted in the DAG run."""
    stream.max_tries = 0
    stream.defer()
    stream.stop(1, successor_after=1 if waits else 0)
    if not waits:
        stream.wait_for(lambda: len(stream.ids()) == 2)
    stream.try_number, stream.clear_number = 2, 1
    with stream.meanwhile(lambda: stream.local.end_run(stream.polled(3))):
        stream.run(deferrable=deferrable)
    assert stream.states() == ["STOPPED", "STOPPED", "SUCCEEDED"]
    assert stream.local.cancels == [stream.ids()[1]]
    assert [entry["status"] for entry in stream.local.journal("CreateRun")] == [200, 200]
    assert stream.ti.xcoms["run_ids"] == stream.ids()[2:]


def test_try_after_the_loss_of_a_scheduler_reattaches_to_successor(stream):
    """Airflow starts another try although there are no retries. Nothing was cleared."""
    stream.max_tries = 0
    stream.defer()
    stream.stop(1)
    stream.wait_for(lambda: len(stream.ids()) == 2)
    stream.try_number = 2
    stream.defer()
    assert stream.ti.xcoms["run_ids"] == stream.ids()
    stream.local.assert_requests(CreateRun=1, DeleteRun=0)


# --- One live run per application ---------------------------------------------------------------------------


def test_live_run_of_another_is_refused(stream):
    other = stream.submit()
    with pytest.raises(AlreadyRunning, match=f"{other}.*if_already_running"):
        stream.run()
    stream.local.assert_requests(CreateRun=1, DeleteRun=0)


@both_modes
def test_live_run_of_another_is_adopted(stream, deferrable):
    other = stream.submit()
    with stream.meanwhile(lambda: stream.local.end_run(stream.polled(1))):
        assert stream.run(if_already_running="adopt", deferrable=deferrable) == other
    assert stream.ti.xcoms["run_ids"] == [other]
    stream.local.assert_requests(CreateRun=1)


@both_modes
def test_submit_waits_for_the_end_of_a_run_that_is_stopping(stream, deferrable):
    stream.local.keeps_running(cancel_duration=0.5)
    other = stream.submit()
    stream.wait_for(lambda: stream.states() == ["IN_PROGRESS"])
    target_of(stream.local).client.delete_run(other)
    with stream.meanwhile(lambda: stream.local.end_run(stream.polled(2))):
        stream.run(deferrable=deferrable)
    assert stream.states() == ["STOPPED", "SUCCEEDED"]


@pytest.mark.parametrize("airflow_tags", [True, False])
def test_own_run_after_lost_response_is_not_refused(stream, airflow_tags, mocker):
    submit = mocker.patch(
        "airflow_provider_dataflow.hooks.data_flow.DataFlowHook.create_run", side_effect=KeyboardInterrupt
    )
    with pytest.raises(KeyboardInterrupt):
        stream.run(airflow_tags=airflow_tags)
    request, token = submit.call_args.args
    mocker.stop(submit)
    operator = stream.operator()
    lost = operator.hook.create_run(request, token)
    stream.try_number = 2
    stream.defer(airflow_tags=airflow_tags)
    assert stream.ids() == [lost.id] == [stream.ti.xcoms["run_id"]]


def test_batch_application_may_have_many_live_runs(scripted):
    scripted.keeps_running()
    application_id = target_of(scripted).create_application("hello.py").id
    for number in range(2):
        operator = InvokeRunOperator(
            task_id=f"task{number}", application_id=application_id, wait_for_completion=False
        )
        operator.execute({"ti": FakeTaskInstance(f"task{number}")})
    scripted.assert_requests(CreateRun=2, ListRuns=0)


# --- Warnings -----------------------------------------------------------------------------------------------


def test_streaming_without_checkpoint_and_long_batch_are_warned_about(stream, task_log):
    stream.defer()
    assert "spark-streaming.htm" in task_log.text
    task_log.clear()
    operator = InvokeRunOperator(
        task_id="task",
        application_id=target_of(stream.local).create_application("hello.py").id,
        max_duration_in_minutes=1441,
        wait_for_completion=False,
    )
    operator.execute({"ti": FakeTaskInstance()})
    assert "dataflow.auth=resource_principal" in task_log.text


# --- Runs of execute, whose application the service creates -------------------------------------------------


@both_modes
@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "unrecorded"])
def test_clear_waits_for_successor_of_run_with_execute(stream, deferrable, recorded):
    """Each submit has another application, so only the record or the tags lead to the run from before."""
    if not recorded:
        stream.store = None
    given = {"application_id": None, "execute": "oci://data@ns/hello.py", "type": "STREAMING"}
    shapes = {"driver_shape": "VM.Standard2.1", "executor_shape": "VM.Standard2.1", "num_executors": 1}
    stream.defer(**given | shapes)
    stream.stop(1, successor_after=1)
    stream.try_number, stream.max_tries = 2, 3
    with stream.meanwhile(lambda: stream.local.end_run(stream.polled(3))):
        stream.run(**given | shapes, deferrable=deferrable)
    assert stream.states() == ["STOPPED", "STOPPED", "SUCCEEDED"]
    stream.local.assert_requests(CreateRun=2)


@both_modes
def test_clear_cancels_live_stream_and_submits_after_its_end(stream, deferrable):
    stream.local.keeps_running(cancel_duration=0.5)
    stream.defer()
    stream.wait_for(lambda: stream.states() == ["IN_PROGRESS"])
    stream.try_number, stream.max_tries = 2, 3
    with stream.meanwhile(lambda: stream.local.end_run(stream.polled(2))):
        stream.run(deferrable=deferrable)
    assert stream.states() == ["STOPPED", "SUCCEEDED"]
    assert [entry["status"] for entry in stream.local.journal("CreateRun")] == [200, 200]


# --- Tasks that start in the triggerer ----------------------------------------------------------------------


@pytest.fixture
def from_triggerer(stream: Stream, mocker: Any) -> Airflow:
    airflow = Airflow(stream.local, mocker)
    airflow.application_id = stream.application_id
    mocker.patch.object(followed_run, "push_xcom", lambda task, key, value: airflow._push(key, value))
    mocker.patch.object(followed_run, "pull_xcom", lambda task, key: airflow.xcoms.get(key))
    return airflow


async def test_task_from_triggerer_goes_on_with_successors(stream, from_triggerer):
    """Also if the triggerer is restarted after the first maintenance."""
    waiting = asyncio.create_task(event_of(from_triggerer.trigger()))
    await asyncio.to_thread(stream.maintain, 1)
    second = await asyncio.to_thread(stream.polled, 2)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert from_triggerer.xcoms["run_id"] == second

    waiting = asyncio.create_task(event_of(from_triggerer.trigger()))
    await asyncio.to_thread(stream.maintain, 2)
    third = await asyncio.to_thread(stream.polled, 3)
    stream.local.end_run(third)
    assert (await waiting).run_id == third
    assert from_triggerer.xcoms["run_ids"] == stream.ids()
    stream.local.assert_requests(CreateRun=1, DeleteRun=0)


async def test_kill_of_task_from_triggerer_cancels_successor(stream, from_triggerer):
    trigger = from_triggerer.trigger()
    waiting = asyncio.create_task(event_of(trigger))
    await asyncio.to_thread(stream.maintain, 1)
    second = await asyncio.to_thread(stream.polled, 2)
    from_triggerer.state = "failed"
    await trigger.on_kill()
    assert stream.local.cancels == [second]
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


def test_crashed_trigger_from_triggerer_is_replaced_for_the_successor(stream, from_triggerer):
    first, second = "ocid1.dataflowrun.oc1..1", "ocid1.dataflowrun.oc1..2"
    epoch = TaskAttempt.in_trigger(from_triggerer.ti, 0).clear_epoch
    stored = {
        "token": "t",
        "generation": 0,
        "max_tries": epoch,
        "try_number": 1,
        "time": 1.0,
        "run_id": first,
    }
    from_triggerer.ti.xcoms |= {RECORD_KEY: stored, "run_id": second, "run_ids": [first, second]}
    operator = from_triggerer.operator()
    with pytest.raises(TaskDeferred) as deferred:
        operator.resume_execution("__fail__", {"error": "it crashed"}, {"ti": from_triggerer.ti})
    assert deferred.value.trigger.run_id == second
    assert deferred.value.trigger.run_ids == [first, second]


# --- The sweep of the triggerer, for a task that was killed without its trigger's knowledge ----------------


@with_and_without_tags
def test_sweep_cancels_the_successor(stream: Stream, copy_tags: bool) -> None:
    trigger = stream.defer()
    stopped = trigger.run_id
    stream.local.maintain(stopped, successor_after=0, copy_tags=copy_tags)
    owner = TaskIdentity.of(stream.ti)
    client = stream.operator().hook.client
    outcome = trigger.cancel_leftover(client, owner, deployment_id())
    (successor,) = (run for run in stream.local.runs if run["id"] != stopped)
    assert stream.local.cancels == [successor["id"]]
    assert successor["id"] in str(outcome)
    assert trigger.cancel_leftover(client, owner, deployment_id()) is None


def test_sweep_tries_again_while_a_successor_may_start(stream: Stream) -> None:
    trigger = stream.defer()
    stream.local.maintain(trigger.run_id, successor_after=3600)
    owner = TaskIdentity.of(stream.ti)
    client = stream.operator().hook.client
    with pytest.raises(DataFlowError, match="the service may start its successor"):
        trigger.cancel_leftover(client, owner, deployment_id())
    trigger.successor_timeout = 0
    assert trigger.cancel_leftover(client, owner, deployment_id()) is None
