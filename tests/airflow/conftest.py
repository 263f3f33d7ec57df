"""One Airflow and one Local Data Flow for all tests. All DAG runs are started at the beginning.

Starting Spark keeps two cores busy most of the time, so the DAG runs must overlap.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from harness import Session, start_dag_runs
from results_file import ResultsFile

from dev.local_service import EXAMPLES
from dev.postgres import Postgres
from dev.workbench import Workbench
from tests.marked_secrets import LEVELS, VARIABLES

HERE = Path(__file__).parent

#: They take 15 minutes: run by "make matrix" and CI.
collect_ignore = [] if os.environ.get("DATAFLOW_TEST_MATRIX") else ["matrix", "test_chaos.py"]


def pytest_configure(config: pytest.Config) -> None:
    # Airflow 3.0 writes the log of the test session to its output, with a line for each request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if folder := os.environ.get("DATAFLOW_TEST_RESULTS"):
        config.pluginmanager.register(ResultsFile(Path(folder).absolute()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder and run them last, so that no other test uses the cores meanwhile."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.airflow)
    # The matrix first: its own servers end before the others start.
    items.sort(
        key=lambda item: (
            HERE in item.path.parents,
            HERE / "matrix" not in item.path.parents,
            item.get_closest_marker("serial") is not None,
        )
    )


@pytest.fixture(scope="session")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    shutil.copytree(EXAMPLES, dags, ignore=shutil.ignore_patterns("data"))
    shutil.copytree(HERE / "dags", dags, dirs_exist_ok=True)
    bench = Workbench(
        home / "bench",
        dags=dags,
        env={
            "AIRFLOW__CORE__PARALLELISM": "6",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW_VAR_STOP_FILE": str(home / "stop"),
            "AIRFLOW__OCI_DATA_FLOW__PRICE_PER_OCPU_HOUR": "36000",
            "AIRFLOW__OCI_DATA_FLOW__CURRENCY": "EUR",
            # For the test of secrets.
            "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "AIRFLOW__LOGGING__NAMESPACE_LEVELS": LEVELS,
            "DATAFLOW_TEST_SESSION_CONFIG": str(home / "signed-in" / "config"),
            # Not by the API: Airflow before 3.3 writes its requests, with the values, to the table "log".
            **{f"AIRFLOW_VAR_{key.upper()}": value for key, value in VARIABLES.items()},
        },
        # Enough for the runs that sleep until they are killed and for others at the same time.
        local_options=("--max-concurrent-runs", "6", "--no-warm"),
    )
    postgres = Postgres()
    try:
        postgres.start()
        bench.airflow.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = postgres.url
        bench.start()
        shutil.copy(HERE / "apps" / "outcome.py", bench.local.bucket("tests"))
        started = Session(bench, home / "stop", postgres)
        start_dag_runs(started)
        yield started
    finally:
        bench.airflow.stop()
        remaining_processes = bench.local.stop()
        postgres.stop()
    # The processes of killed runs must have ended, too.
    assert not remaining_processes
