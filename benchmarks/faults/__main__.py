"""The same faults to InvokeRunOperator and to comparable operators, and what becomes of tasks and runs.

::

    python -m benchmarks.faults

How it is measured:

* One real Airflow, with scheduler, triggerer, LocalExecutor and PostgreSQL, in an environment of its own
  (``.cache/faults``) that has everybody's provider. Nothing of Airflow or of an operator is replaced.
* Each case is a DAG of one task for each operator. A worker is killed by SIGKILL to the process of the task;
  marks and clears go through the REST API.
* The services are not the real ones. Ours is Local Data Flow, whose runs are scripted; those of the others
  are :mod:`benchmarks.faults.fakes`. Faults are the same, with the same counts and durations, and each is for
  the requests of one task only.
* All settings of the operators are their defaults, but for the interval of polls: 2 s for all, so that each
  look at a run need not be waited for (and as many more looks, where they are counted). How often a failed
  request is repeated, and when, is not touched.
* Runs are counted at the service, 15 s after the task has ended. What is ``left active`` costs money, and no
  task waits for it. A task that has not ended a minute after its timeout is shown as it is then.
* A play in which something else goes wrong, as on a machine that is too busy, is played again, at most twice.

What it does not say is how the real services behave: how often they fail, and how. A submit that names a
token is answered by both fakes with the run that it has made before, as their documentation promises.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import date
from pathlib import Path

from benchmarks.faults.cases import CASES, Case
from benchmarks.faults.fakes import FakeServices
from benchmarks.faults.play import Airflow, Play, Result
from benchmarks.faults.service import DataFlow, Service
from benchmarks.imports import ROOT, install, versions
from dev.airflow_stack import AirflowStack
from dev.local_service import LocalService
from dev.postgres import Postgres

VENV = ROOT / ".cache" / "faults"
PROVIDERS = ("databricks", "amazon[aiobotocore]")
DAGS = Path(__file__).parent / "dags"

#: By the first part of their DAGs' names.
OPERATORS = {
    "dataflow": "InvokeRunOperator",
    "databricks": "DatabricksSubmitRunOperator",
    "emr": "EmrServerlessStartJobOperator",
}
#: So many tasks at the same time: more only slow each other down.
AT_ONCE = 10

#: Of an operator and of a case.
Key = tuple[str, str]
Results = dict[Key, Result]


def user_of(operator: str, dag_id: str) -> str:
    return f"ocid1.user.oc1..{dag_id}" if operator == "dataflow" else dag_id


def connection(operator: str, dag_id: str, local: LocalService, port: int) -> str:
    """The connection of a DAG, in JSON: each is another user."""
    if operator == "dataflow":
        return json.dumps(json.loads(local.connection) | {"login": user_of(operator, dag_id)})
    if operator == "databricks":
        values = {"conn_type": "databricks", "host": "127.0.0.1", "schema": "http", "port": port}
        return json.dumps(values | {"password": dag_id})
    extra = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"}
    return json.dumps({"conn_type": "aws", "login": dag_id, "password": "secret", "extra": extra})


@contextmanager
def plays(home: Path, operators: Sequence[str], cases: Sequence[Case]) -> Iterator[dict[Key, Play]]:
    """Everything up and running, and a play for each operator and case."""
    dag_ids = {(operator, case.name): f"{operator}_{case.name}" for case in cases for operator in operators}
    with ExitStack() as stack:
        fakes = stack.enter_context(FakeServices())
        postgres = stack.enter_context(Postgres())
        # Not verified, as each task is another user with the same key.
        options = ("--engine", "scripted", "--no-verify")
        local = stack.enter_context(LocalService(home / "dataflow", options=options))
        env = {
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url,
            "AIRFLOW__CORE__PARALLELISM": "16",
            # A busy machine must not cost a task its worker.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        }
        for (operator, _), dag_id in dag_ids.items():
            env[f"AIRFLOW_CONN_{dag_id.upper()}"] = connection(operator, dag_id, local, fakes.port)
        airflow = stack.enter_context(AirflowStack(home / "airflow", DAGS, env=env))
        dataflow = DataFlow(local.endpoint)
        airflow.rest.wait_for_dags(set(dag_ids.values()), timeout=180)
        shared = Airflow(airflow, stack.enter_context(closing(postgres.connect())))
        services: dict[str, Service] = dict.fromkeys(operators, fakes) | {"dataflow": dataflow}
        yield {
            (operator, name): Play(shared, services[operator], dag_id, user_of(operator, dag_id))
            for (operator, name), dag_id in dag_ids.items()
        }


def run(home: Path, operators: Sequence[str], cases: Sequence[Case]) -> Results:
    begin = time.monotonic()

    def one(case: Case, play: Play) -> Result:
        found = play.measure(case.act)
        print(f"{time.monotonic() - begin:5.0f} s  {play.dag_id}: {found}", file=sys.stderr, flush=True)
        return found

    acts = {case.name: case for case in cases}
    with plays(home, operators, cases) as by_key, ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {key: pool.submit(one, acts[key[1]], play) for key, play in by_key.items()}
        return {key: future.result() for key, future in futures.items()}


def as_it_should(case: Case, result: Result) -> bool:
    return (result.outcome, result.runs, result.left) == (case.outcome, case.runs, 0)


def report(results: Results, operators: Sequence[str], cases: Sequence[Case]) -> str:
    """A table in Markdown. A plus stands before what is as it should be."""
    rows = [["", "Case", *(f"`{OPERATORS[operator]}`" for operator in operators)]]
    rows.append(["---"] * len(rows[0]))
    good = dict.fromkeys(operators, 0)
    for case in cases:
        cells = []
        for operator in operators:
            result = results[operator, case.name]
            good[operator] += as_it_should(case, result)
            cells.append(f"{'+' if as_it_should(case, result) else '-'} {result}")
        rows.append([f"({case.number})", case.title, *cells])
    rows.append(["", "as it should be", *(f"{good[operator]} of {len(cases)}" for operator in operators)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--operators", nargs="*", default=list(OPERATORS), choices=OPERATORS)
    parser.add_argument("--cases", nargs="*", default=[case.name for case in CASES])
    arguments = parser.parse_args()
    if Path(sys.prefix) != VENV:
        python = str(install(VENV, PROVIDERS, "[test]"))
        os.execv(python, [python, "-m", "benchmarks.faults", *sys.argv[1:]])
    cases = [case for case in CASES if case.name in arguments.cases]
    with tempfile.TemporaryDirectory(prefix="faults-") as home:
        results = run(Path(home), arguments.operators, cases)
    print(
        f"{date.today()}, Python {platform.python_version()}, {versions(Path(sys.executable), PROVIDERS)}\n"
    )
    print(report(results, arguments.operators, cases))


if __name__ == "__main__":
    main()
