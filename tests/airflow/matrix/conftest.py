"""Run all tests of the matrix concurrently, in one Airflow and against one Local Data Flow.

A test mostly waits: for a worker to start, for the next poll, for a signal to arrive. So the functions of all
tests run in threads as soon as Airflow is up, and pytest only collects their results. Tests that disturb what
all share, the triggerer, are marked ``serial`` and run after the others.

Each test has a DAG of its own, made from its ``matrix_case`` marker, and a connection of its own. The service
applies a fault only to requests of that connection's user.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dev.postgres import Postgres
from dev.workbench import Workbench
from matrix.dag_definitions import dag_id_of, definitions_of, parameters_of, rules_of
from matrix.matrix_harness import EXTRA_OUTAGE_SECONDS, SCHEDULED_TESTS, MatrixHarness, ScheduledTest, user_of
from matrix.task_under_test import TaskUnderTest

HERE = Path(__file__).parent

#: Tests that run at the same time. With more, each round of the scheduler takes noticeably longer.
MAX_CONCURRENT_TESTS = 28

SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "16",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    # Airflow 3.0 removes DAGs that a busy machine takes longer than this to store.
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "3600",
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_TO_CREATE_PER_LOOP": "50",
    # By default the scheduler examines 20 DAG runs per loop, those of backfills last.
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "300",
    # A busy scheduler loses the race of case (26b) more often than with the default.
    "AIRFLOW__OCI_DATA_FLOW__NO_EVENT_BEFORE": "25",
    # Detect a lost machine within a minute.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    # Seconds after which a silent or stuck triggerer loses its triggers to another one.
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__RUNNER_HEALTH_CHECK_THRESHOLD": "8",
}


@pytest.fixture(scope="package")
def harness(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MatrixHarness]:
    items = [item for item in request.session.items if HERE in item.path.parents]
    definitions = {dag_id: each for item in items for dag_id, each in definitions_of(item).items()}
    home = tmp_path_factory.mktemp("matrix")
    (home / "dags.json").write_text(json.dumps(definitions))
    bench = Workbench(
        home / "bench",
        dags=HERE / "dags",
        env=SETTINGS
        | {
            "PYTHONPATH": str(HERE / "operators"),
            "MATRIX_DAGS": str(home / "dags.json"),
            "MATRIX_CALLBACKS": str(home / "callbacks.jsonl"),
        },
        # Requests are signed, but not verified: each test is another user, all with the same key.
        local_options=("--engine", "scripted", "--no-verify"),
    )
    postgres = Postgres()
    pool = ThreadPoolExecutor(max_workers=MAX_CONCURRENT_TESTS)
    harness = None
    try:
        postgres.start()
        bench.airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = postgres.url
        bench.local.start()
        connection = json.loads(bench.local.connection)
        for dag_id in definitions:
            own_connection = json.dumps(connection | {"login": user_of(dag_id)})
            bench.airflow.env[f"AIRFLOW_CONN_{dag_id.upper()}"] = own_connection
        bench.airflow.start()
        harness = MatrixHarness(bench, postgres.connect(), home / "callbacks.jsonl")
        rules = [rule for dag_id, definition in definitions.items() for rule in rules_of(dag_id, definition)]
        harness.call_local("PUT", "rules", rules)
        harness.wait_for_dags(definitions)
        request.session.stash[SCHEDULED_TESTS] = scheduled = {}
        for item in items:
            dag_id = dag_id_of(item)
            task = TaskUnderTest(harness, dag_id, user_of(dag_id))
            serial = item.get_closest_marker("serial") is not None
            result = None if serial else pool.submit(call_test_function, item, task)
            scheduled[item.nodeid] = ScheduledTest(task, result)
        yield harness
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        bench.airflow.stop()
        killed = bench.local.stop()
        if harness:
            harness.close()
        postgres.stop()
    assert not killed, "Local Data Flow left processes behind"


def call_test_function(item: Any, task: TaskUnderTest) -> None:
    """Call the test function of ``item`` with its parameters; runs in a thread of the pool."""
    available = {**parameters_of(item), "task": task}
    wanted = inspect.signature(item.obj).parameters
    item.obj(**{name: value for name, value in available.items() if name in wanted})


@pytest.fixture
def mode() -> None:
    """State in which the task waits for its run, ``deferred`` or ``running``; set by ``parametrize``."""


@pytest.fixture
def arguments() -> None:
    """Arguments of the operator, merged into those of the marker; set by ``parametrize``."""


@pytest.fixture
def task(
    harness: MatrixHarness, mode: None, arguments: None, request: pytest.FixtureRequest
) -> TaskUnderTest:
    scheduled: ScheduledTest = request.session.stash[SCHEDULED_TESTS][request.node.nodeid]
    return scheduled.task


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Wait for the result of a test that already runs in a thread, instead of calling its function."""
    scheduled = pyfuncitem.session.stash.get(SCHEDULED_TESTS, {}).get(pyfuncitem.nodeid)
    if scheduled and isinstance(result := scheduled.result, Future):
        pyfuncitem.obj = lambda **_: result.result(timeout=900 + EXTRA_OUTAGE_SECONDS)
    return (yield)
