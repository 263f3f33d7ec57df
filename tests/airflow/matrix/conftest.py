"""All tests of the matrix at the same time, in one Airflow, against one Local Data Flow.

Most of a test is waiting: for a worker to start, for a trigger to look again, for a signal to be heard. So
each test is a script that runs in a thread, many at the same time; when pytest comes to it, only its result
is waited for. Those that hurt what all share, the triggerer, are marked ``alone`` and come last.

Each test has a DAG of its own, made from its mark ``case``, and a connection of its own, by whose user the
service knows which requests its faults are for.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dev.postgres import Postgres
from dev.workbench import Workbench
from matrix.stage import LONGER, PLAYS, Stage, Task, user_of

HERE = Path(__file__).parent

#: So many tests act at the same time. With more, the scheduler takes longer for each of its rounds.
AT_ONCE = 28

SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "16",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_TO_CREATE_PER_LOOP": "50",
    # Else it looks at 20 DAG runs at a time, and at those of backfills last.
    "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "300",
    # The scheduler is busy, and with it Airflow's own race of (26b) is lost more often.
    "AIRFLOW__OCI_DATA_FLOW__NO_EVENT_BEFORE": "25",
    # A machine that is gone is missed after so long.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    # A triggerer that is silent or stuck loses its triggers to another one after so long.
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__TRIGGERER__RUNNER_HEALTH_CHECK_THRESHOLD": "8",
}

#: What a test need not say about its task.
DEFAULTS = {"execute": "oci://matrix@local/app.py", "poll_interval": 1, "retries": 0, "retry_delay": 1}


def dag_id_of(item: pytest.Item) -> str:
    return re.sub(r"\W+", "_", item.name.removeprefix("test_")).strip("_")


def values_of(item: Any) -> dict[str, Any]:
    return dict(item.callspec.params) if hasattr(item, "callspec") else {}


def cases_of(item: pytest.Item) -> dict[str, dict[str, Any]]:
    """The DAGs of a test, and how the runs of their tasks go."""
    mark = item.get_closest_marker("case")
    given = dict(mark.kwargs) if mark else {}
    also = given.pop("also", {})
    values = values_of(item)
    given |= values.get("arguments", {})
    if "where" in values:
        given["deferrable"] = values["where"] == "deferred"
        if isinstance(given.get("operator"), dict):
            given["operator"] = given["operator"][values["where"]]
    dag_id = dag_id_of(item)
    others = {
        f"{dag_id}_{name}": case_from(f"{dag_id}_{name}", given | other) for name, other in also.items()
    }
    return {dag_id: case_from(dag_id, given), **others}


def case_from(dag_id: str, given: dict[str, Any]) -> dict[str, Any]:
    given = dict(given)
    # Until the test says that they have ended.
    course = given.pop("course", {"outcome": "IN_PROGRESS"})
    case = {
        "operator": given.pop("operator", "InvokeRunOperator"),
        "dag": {"schedule": None} | given.pop("dag", {}),
        "mapped": given.pop("mapped", 0),
        "course": course if isinstance(course, list) else [course],
        "courses": given.pop("courses", {}),
    }
    if case["operator"] == "CancelOrphanRunsOperator":
        given = {"min_age_in_minutes": given["min_age_in_minutes"]}
    own: dict[str, Any] = {"oci_conn_id": dag_id}
    if case["operator"] not in ("CancelOrphanRunsOperator", "RunSensor"):
        own |= DEFAULTS | {"display_name": dag_id}
    return case | {"arguments": own | given}


def rules_of(dag_id: str, case: dict[str, Any]) -> list[dict[str, Any]]:
    """``course`` is how the runs go, one after the other; ``courses`` has that by the end of their names."""
    named = {f"{dag_id} {end}": attempts for end, attempts in case["courses"].items()}
    return [
        {"displayName": name, "attempts": attempts}
        for name, attempts in {**named, dag_id: case["course"]}.items()
    ]


@pytest.fixture(scope="package")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    items = [item for item in request.session.items if HERE in item.path.parents]
    cases = {dag_id: case for item in items for dag_id, case in cases_of(item).items()}
    home = tmp_path_factory.mktemp("matrix")
    (home / "cases.json").write_text(json.dumps(cases))
    bench = Workbench(
        home / "bench",
        dags=HERE / "dags",
        env=SETTINGS
        | {
            "PYTHONPATH": str(HERE / "parts"),
            "MATRIX_CASES": str(home / "cases.json"),
            "MATRIX_CALLBACKS": str(home / "callbacks.jsonl"),
        },
        # Not verified, as each test is another user with the same key; requests are signed all the same.
        local_options=("--engine", "scripted", "--no-verify"),
    )
    postgres = Postgres()
    pool = ThreadPoolExecutor(max_workers=AT_ONCE)
    stage = None
    try:
        postgres.start()
        bench.airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = postgres.url
        bench.local.start()
        connection = json.loads(bench.local.connection)
        for dag_id in cases:
            own = json.dumps(connection | {"login": user_of(dag_id)})
            bench.airflow.env[f"AIRFLOW_CONN_{dag_id.upper()}"] = own
        bench.airflow.start()
        stage = Stage(bench, postgres.connect(), home / "callbacks.jsonl")
        stage.local(
            "PUT", "rules", [rule for dag_id, case in cases.items() for rule in rules_of(dag_id, case)]
        )
        stage.wait_for_dags(cases)
        request.session.stash[PLAYS] = plays = {}
        for item in items:
            dag_id = dag_id_of(item)
            task = Task(stage, dag_id, user_of(dag_id))
            plays[item.nodeid] = task, None
            if not item.get_closest_marker("alone"):
                plays[item.nodeid] = task, pool.submit(play, item, task)
        yield stage
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        bench.airflow.stop()
        left = bench.local.stop()
        if stage:
            stage.close()
        postgres.stop()
    assert not left


def play(item: Any, task: Task) -> None:
    """Run a test's function, in a thread."""
    wanted = inspect.signature(item.obj).parameters
    item.obj(**{name: value for name, value in {**values_of(item), "task": task}.items() if name in wanted})


@pytest.fixture
def where() -> None:
    """Whether the task waits ``deferred`` or ``running``: what tests are parametrized with."""


@pytest.fixture
def arguments() -> None:
    """Arguments of the operator, of tests that are parametrized with them."""


@pytest.fixture
def task(stage: Stage, where: None, arguments: None, request: pytest.FixtureRequest) -> Task:
    return request.session.stash[PLAYS][request.node.nodeid][0]


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Wait for a test that runs already."""
    plays = pyfuncitem.session.stash.get(PLAYS, {})
    _, future = plays.get(pyfuncitem.nodeid, (None, None))
    if isinstance(future, Future):
        pyfuncitem.obj = lambda **_: future.result(timeout=900 + LONGER)
    return (yield)
