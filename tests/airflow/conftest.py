"""One Airflow and one Local Data Flow for all tests; all of their DAG runs started at the beginning.

Two cores are busy with starting Spark most of the time, so what counts is that nothing waits for nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Session, start_dag_runs

from dev.local_service import EXAMPLES
from dev.workbench import Workbench

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.airflow)


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    shutil.copytree(EXAMPLES, dags, ignore=shutil.ignore_patterns("data", "spark"))
    shutil.copytree(HERE / "dags", dags, dirs_exist_ok=True)
    bench = Workbench(
        home / "bench",
        dags=dags,
        env={"AIRFLOW__CORE__PARALLELISM": "6"},
        # Those that sleep until they are killed must not keep the others waiting.
        local_options=("--max-concurrent-runs", "5", "--no-warm"),
    )
    try:
        bench.start()
        shutil.copy(HERE / "apps" / "outcome.py", bench.local.bucket("tests"))
        started = Session(bench)
        start_dag_runs(started)
        yield started
    finally:
        killed = bench.stop()
    # Runs and workers that a test has killed are gone by now, or else they were left behind.
    assert not killed
