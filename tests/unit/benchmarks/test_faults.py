"""The fault benchmark: fakes of the competitors' services, counting of runs, and the report."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from benchmarks.faults.__main__ import report
from benchmarks.faults.cases import CASES
from benchmarks.faults.competitor_services import FakeCompetitorServices
from benchmarks.faults.run_service import READ, SUBMIT
from benchmarks.faults.trial import Trial, TrialResult
from dev.airflow_rest import WaitTimeout


class DatabricksClient:
    cancelled = "CANCELED"

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def request(self, method: str, operation: str, user: str, **body: Any) -> httpx.Response:
        sent: dict[str, Any] = {"params": body} if method == "GET" else {"json": body}
        headers = {"authorization": f"Bearer {user}"}
        return self.http.request(method, f"/api/2.2/jobs/runs/{operation}", headers=headers, **sent)

    def submit(self, user: str, token: str | None = None) -> str:
        body = {"idempotency_token": token} if token else {}
        return str(self.request("POST", "submit", user, **body).raise_for_status().json()["run_id"])

    def read(self, user: str, run_id: str) -> httpx.Response:
        return self.request("GET", "get", user, run_id=run_id)

    def state(self, user: str, run_id: str) -> str:
        state = self.read(user, run_id).json()["state"]
        return str(state.get("result_state", state["life_cycle_state"]))

    def cancel(self, user: str, run_id: str) -> None:
        self.request("POST", "cancel", user, run_id=int(run_id)).raise_for_status()


class EmrClient:
    cancelled = "CANCELLED"

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def request(self, method: str, path: str, user: str, **body: Any) -> httpx.Response:
        headers = {"authorization": f"AWS4-HMAC-SHA256 Credential={user}/20260101/us-east-1, Signature=0"}
        path = f"/applications/benchmark/jobruns{path}"
        return self.http.request(method, path, headers=headers, json=body or None)

    def submit(self, user: str, token: str | None = None) -> str:
        return str(self.request("POST", "", user, clientToken=token).raise_for_status().json()["jobRunId"])

    def read(self, user: str, run_id: str) -> httpx.Response:
        return self.request("GET", f"/{run_id}", user)

    def state(self, user: str, run_id: str) -> str:
        return str(self.read(user, run_id).json()["jobRun"]["state"])

    def cancel(self, user: str, run_id: str) -> None:
        self.request("DELETE", f"/{run_id}", user).raise_for_status()


@pytest.fixture
def services() -> Iterator[FakeCompetitorServices]:
    with FakeCompetitorServices() as services:
        yield services


@pytest.fixture(params=[DatabricksClient, EmrClient], ids=["databricks", "emr"])
def client(request: pytest.FixtureRequest, services: FakeCompetitorServices) -> Iterator[Any]:
    with httpx.Client(base_url=f"http://127.0.0.1:{services.port}", trust_env=False) as http:
        yield request.param(http)


def test_runs_stay_active_until_ended_or_cancelled(services: FakeCompetitorServices, client: Any) -> None:
    first, second = client.submit("a"), client.submit("a")
    assert [client.state("a", run_id) for run_id in (first, second)] == ["RUNNING", "RUNNING"]
    services.end(first)
    client.cancel("a", second)
    client.cancel("a", first)
    assert (client.state("a", first), client.state("a", second)) == ("SUCCESS", client.cancelled)
    runs = services.runs("a")
    assert [(run.is_active, run.is_cancelled) for run in runs] == [(False, False), (False, True)]
    assert client.read("a", "77").status_code == 404


def test_known_token_returns_existing_run(services: FakeCompetitorServices, client: Any) -> None:
    assert client.submit("a", "x") == client.submit("a", "x")
    assert client.submit("a", "y") != client.submit("b", "y")
    assert (len(services.runs("a")), len(services.runs("b"))) == (2, 1)


def test_lost_response_has_created_a_run(services: FakeCompetitorServices, client: Any) -> None:
    services.add_fault("a", "lost_response", operation=SUBMIT, count=1)
    client.submit("b")
    with pytest.raises(httpx.RemoteProtocolError):
        client.submit("a")
    client.submit("a")
    assert (len(services.runs("a")), len(services.runs("b"))) == (2, 1)


def test_reads_record_status_of_each_response(services: FakeCompetitorServices, client: Any) -> None:
    run_id = client.submit("a")
    services.add_fault("a", "status", operation=READ, status=404, count=1)
    outage = services.add_fault("a", "status", status=503)
    assert [client.read("a", run_id).status_code for _ in range(3)] == [404, 503, 503]
    services.remove_fault(outage)
    services.add_fault("a", "drop", operation=READ, count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.read("a", run_id)
    assert client.read("a", run_id).status_code == 200
    assert services.reads("a") == [404, 503, 503, 0, 200]
    assert services.reads("b") == []


class SucceedingAirflow:
    """Stands in for SharedAirflow; every task has succeeded."""

    def __init__(self) -> None:
        self.api_lock = threading.Lock()
        self.rest = self
        self.marked: list[tuple[str, str, str]] = []

    def task(self, dag_id: str, dag_run: str) -> tuple[str, int, None]:
        return "success", 1, None

    def set_run_state(self, dag_id: str, dag_run: str, state: str) -> None:
        self.marked.append((dag_id, dag_run, state))


def new_trial(airflow: SucceedingAirflow, services: FakeCompetitorServices) -> Trial:
    return Trial(airflow, services, "dag", "a", settle_seconds=0)  # type: ignore[arg-type]


def test_disturbed_trial_is_repeated(services: FakeCompetitorServices, client: Any) -> None:
    airflow = SucceedingAirflow()

    def scenario(trial: Trial) -> None:
        if trial.attempt == 1:
            client.submit("a")
            trial.add_fault("status", status=503)
            raise WaitTimeout("the machine is busy")
        if trial.attempt == 3:
            client.submit("a")

    result = new_trial(airflow, services).measure(scenario)
    assert result == TrialResult(runs=1, cancelled=0, active=1, task_state="success")
    assert airflow.marked == [("dag", "faults_1", "failed"), ("dag", "faults_2", "failed")]


def test_trial_without_a_run_raises(services: FakeCompetitorServices) -> None:
    with pytest.raises(WaitTimeout, match="dag has submitted no run in 3 attempts"):
        new_trial(SucceedingAirflow(), services).measure(lambda _: None)


def test_report_marks_correct_results() -> None:
    (case,) = [case for case in CASES if case.name == "cleared_deferred"]
    found = {
        "dataflow": TrialResult(runs=2, cancelled=1, active=0, task_state="success"),
        "databricks": TrialResult(runs=2, cancelled=0, active=1, task_state="success"),
        "emr": TrialResult(runs=1, cancelled=0, active=1, task_state="deferred"),
    }
    results = {(operator, case.name): result for operator, result in found.items()}
    row, totals = report(results, list(found), [case]).splitlines()[2:]
    assert [cell.strip() for cell in row.strip("|").split("|")][2:] == [
        "+ success, 2 runs, 1 cancelled",
        "- success, 2 runs, 1 left active",
        "- still deferred, 1 run, 1 active",
    ]
    assert [cell.strip() for cell in totals.strip("|").split("|")][2:] == ["1 of 1", "0 of 1", "0 of 1"]
