"""Apply the same faults to InvokeRunOperator and to comparable operators, and compare tasks and runs.

::

    python -m benchmarks.faults

How it is measured:

* One real Airflow, with scheduler, triggerer, LocalExecutor and PostgreSQL, in an environment of its own
  (``.cache/faults``) with the providers of all operators. Nothing of Airflow or of an operator is mocked.
* Each case has one single-task DAG per operator. A worker is killed by SIGKILL to the process of the task;
  marks and clears go through the REST API.
* The services are not the real ones. Ours is Local Data Flow with its scripted engine; the competitors' are
  :mod:`benchmarks.faults.competitor_services`. Faults have the same counts and durations for all operators,
  and each applies to the requests of one task only.
* All settings of the operators are their defaults, except the interval of polls: 2 s for all, to save time,
  with the maximum number of polls raised accordingly. How often and when a failed request is retried is not
  changed.
* Runs are counted at the service, 15 s after the task has ended. A run that is ``left active`` costs money
  while no task waits for it. A task that has not ended a minute after its timeout is shown in its state then.
* A trial that fails for another reason, such as a busy machine, is repeated at most twice.

The result does not show how often or how the real services fail. Both fakes return the existing run for a
submit with a known token, as the documentation of the services promises.
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

from benchmarks.faults.cases import CASES, FaultCase
from benchmarks.faults.competitor_services import FakeCompetitorServices
from benchmarks.faults.run_service import LocalDataFlowService, RunService
from benchmarks.faults.trial import SharedAirflow, Trial, TrialResult
from benchmarks.imports import ROOT, install, versions
from dev.airflow_stack import AirflowStack
from dev.local_service import LocalService
from dev.postgres import Postgres

VENV = ROOT / ".cache" / "faults"
PROVIDERS = ("databricks", "amazon[aiobotocore]")
DAGS = Path(__file__).parent / "dags"

#: By the prefix of their DAG ids.
OPERATORS = {
    "dataflow": "InvokeRunOperator",
    "databricks": "DatabricksSubmitRunOperator",
    "emr": "EmrServerlessStartJobOperator",
}
#: More would only slow each other down.
MAX_CONCURRENT_TRIALS = 10

#: Operator and name of a case.
TrialKey = tuple[str, str]
Results = dict[TrialKey, TrialResult]


def user_of(operator: str, dag_id: str) -> str:
    return f"ocid1.user.oc1..{dag_id}" if operator == "dataflow" else dag_id


def connection(operator: str, dag_id: str, local: LocalService, port: int) -> str:
    """Return the JSON of a DAG's connection. Each has another user, so that faults apply to one task only."""
    if operator == "dataflow":
        return json.dumps(json.loads(local.connection) | {"login": user_of(operator, dag_id)})
    if operator == "databricks":
        values = {"conn_type": "databricks", "host": "127.0.0.1", "schema": "http", "port": port}
        return json.dumps(values | {"password": dag_id})
    extra = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1"}
    return json.dumps({"conn_type": "aws", "login": dag_id, "password": "secret", "extra": extra})


@contextmanager
def running_trials(
    home: Path, operators: Sequence[str], cases: Sequence[FaultCase]
) -> Iterator[dict[TrialKey, Trial]]:
    """Start Airflow and the services, and yield a trial for each operator and case."""
    dag_ids = {(operator, case.name): f"{operator}_{case.name}" for case in cases for operator in operators}
    with ExitStack() as stack:
        competitors = stack.enter_context(FakeCompetitorServices())
        postgres = stack.enter_context(Postgres())
        # Signatures are not verified: each task is another user, all with the same key.
        options = ("--engine", "scripted", "--no-verify")
        local = stack.enter_context(LocalService(home / "dataflow", options=options))
        env = {
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": postgres.url,
            "AIRFLOW__CORE__PARALLELISM": "16",
            # On a busy machine, the default timeout would fail workers.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        }
        for (operator, _), dag_id in dag_ids.items():
            env[f"AIRFLOW_CONN_{dag_id.upper()}"] = connection(operator, dag_id, local, competitors.port)
        airflow = stack.enter_context(AirflowStack(home / "airflow", DAGS, env=env))
        airflow.rest.wait_for_dags(set(dag_ids.values()), timeout=180)
        shared = SharedAirflow(airflow, stack.enter_context(closing(postgres.connect())))
        services: dict[str, RunService] = dict.fromkeys(operators, competitors)
        services["dataflow"] = LocalDataFlowService(local.endpoint)
        yield {
            (operator, name): Trial(shared, services[operator], dag_id, user_of(operator, dag_id))
            for (operator, name), dag_id in dag_ids.items()
        }


def run(home: Path, operators: Sequence[str], cases: Sequence[FaultCase]) -> Results:
    begin = time.monotonic()

    def measure(case: FaultCase, trial: Trial) -> TrialResult:
        result = trial.measure(case.scenario)
        print(f"{time.monotonic() - begin:5.0f} s  {trial.dag_id}: {result}", file=sys.stderr, flush=True)
        return result

    by_name = {case.name: case for case in cases}
    with (
        running_trials(home, operators, cases) as trials,
        ThreadPoolExecutor(MAX_CONCURRENT_TRIALS) as pool,
    ):
        futures = {key: pool.submit(measure, by_name[key[1]], trial) for key, trial in trials.items()}
        return {key: future.result() for key, future in futures.items()}


def is_correct(case: FaultCase, result: TrialResult) -> bool:
    return (result.task_state, result.runs, result.active) == (case.task_state, case.runs, 0)


def report(results: Results, operators: Sequence[str], cases: Sequence[FaultCase]) -> str:
    """Return a Markdown table in which correct results are marked with a plus."""
    rows = [["", "Case", *(f"`{OPERATORS[operator]}`" for operator in operators)]]
    rows.append(["---"] * len(rows[0]))
    correct = dict.fromkeys(operators, 0)
    for case in cases:
        cells = []
        for operator in operators:
            result = results[operator, case.name]
            correct[operator] += is_correct(case, result)
            cells.append(f"{'+' if is_correct(case, result) else '-'} {result}")
        rows.append([f"({case.number})", case.title, *cells])
    rows.append(["", "correct", *(f"{correct[operator]} of {len(cases)}" for operator in operators)])
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
