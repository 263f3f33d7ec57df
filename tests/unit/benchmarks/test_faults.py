"""The benchmark of faults: the services of the others, over HTTP as they are asked, and what is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from benchmarks.faults import play
from benchmarks.faults.__main__ import report
from benchmarks.faults.cases import CASES
from benchmarks.faults.fakes import FakeServices
from benchmarks.faults.play import Play, Result
from benchmarks.faults.service import READ, SUBMIT
from dev.airflow_rest import WaitTimeout


class Databricks:
    cancelled = "CANCELED"

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def ask(self, method: str, operation: str, user: str, **body: Any) -> httpx.Response:
        sent: dict[str, Any] = {"params": body} if method == "GET" else {"json": body}
        headers = {"authorization": f"Bearer {user}"}
        return self.http.request(method, f"/api/2.2/jobs/runs/{operation}", headers=headers, **sent)

    def submit(self, user: str, token: str | None = None) -> str:
        body = {"idempotency_token": token} if token else {}
        return str(self.ask("POST", "submit", user, **body).raise_for_status().json()["run_id"])

    def read(self, user: str, run_id: str) -> httpx.Response:
        return self.ask("GET", "get", user, run_id=run_id)

    def state(self, user: str, run_id: str) -> str:
        state = self.read(user, run_id).json()["state"]
        return str(state.get("result_state", state["life_cycle_state"]))

    def cancel(self, user: str, run_id: str) -> None:
        self.ask("POST", "cancel", user, run_id=int(run_id)).raise_for_status()


class Emr:
    cancelled = "CANCELLED"

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def ask(self, method: str, path: str, user: str, **body: Any) -> httpx.Response:
        headers = {"authorization": f"AWS4-HMAC-SHA256 Credential={user}/20260101/us-east-1, Signature=0"}
        path = f"/applications/benchmark/jobruns{path}"
        return self.http.request(method, path, headers=headers, json=body or None)

    def submit(self, user: str, token: str | None = None) -> str:
        return str(self.ask("POST", "", user, clientToken=token).raise_for_status().json()["jobRunId"])

    def read(self, user: str, run_id: str) -> httpx.Response:
        return self.ask("GET", f"/{run_id}", user)

    def state(self, user: str, run_id: str) -> str:
        return str(self.read(user, run_id).json()["jobRun"]["state"])

    def cancel(self, user: str, run_id: str) -> None:
        self.ask("DELETE", f"/{run_id}", user).raise_for_status()


@pytest.fixture
def fakes() -> Iterator[FakeServices]:
    with FakeServices() as fakes:
        yield fakes


@pytest.fixture(params=["databricks", "emr"])
def client(request: pytest.FixtureRequest, fakes: FakeServices) -> Iterator[Any]:
    with httpx.Client(base_url=f"http://127.0.0.1:{fakes.port}", trust_env=False) as http:
        yield {"databricks": Databricks, "emr": Emr}[request.param](http)


def test_runs_go_on_until_they_are_ended_or_cancelled(fakes: FakeServices, client: Any) -> None:
    first, second = client.submit("a"), client.submit("a")
    assert [client.state("a", run_id) for run_id in (first, second)] == ["RUNNING", "RUNNING"]
    fakes.end(first)
    client.cancel("a", second)
    client.cancel("a", first)
    assert (client.state("a", first), client.state("a", second)) == ("SUCCESS", client.cancelled)
    assert [(run.is_active, run.is_cancelled) for run in fakes.runs("a")] == [(False, False), (False, True)]
    assert client.read("a", "77").status_code == 404


def test_a_token_is_answered_with_its_run(fakes: FakeServices, client: Any) -> None:
    assert client.submit("a", "x") == client.submit("a", "x")
    assert client.submit("a", "y") != client.submit("b", "y")
    assert (len(fakes.runs("a")), len(fakes.runs("b"))) == (2, 1)


def test_a_lost_answer_has_made_a_run(fakes: FakeServices, client: Any) -> None:
    fakes.fault("a", "lost_response", operation=SUBMIT, count=1)
    client.submit("b")
    with pytest.raises(httpx.RemoteProtocolError):
        client.submit("a")
    client.submit("a")
    assert (len(fakes.runs("a")), len(fakes.runs("b"))) == (2, 1)


def test_faults_of_reads_are_counted(fakes: FakeServices, client: Any) -> None:
    run_id = client.submit("a")
    fakes.fault("a", "status", operation=READ, status=404, count=1)
    outage = fakes.fault("a", "status", status=503)
    assert [client.read("a", run_id).status_code for _ in range(3)] == [404, 503, 503]
    fakes.heal(outage)
    fakes.fault("a", "drop", operation=READ, count=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.read("a", run_id)
    assert client.read("a", run_id).status_code == 200
    assert fakes.reads("a") == [404, 503, 503, 0, 200]
    assert fakes.reads("b") == []


class Airflow:
    """In which every task has succeeded."""

    def __init__(self) -> None:
        self.writing = threading.Lock()
        self.rest = self
        self.marked: list[tuple[str, str, str]] = []

    def task(self, dag_id: str, dag_run: str) -> tuple[str, int, None]:
        return "success", 1, None

    def set_run_state(self, dag_id: str, dag_run: str, state: str) -> None:
        self.marked.append((dag_id, dag_run, state))


def test_what_could_not_be_played_is_played_again(
    fakes: FakeServices, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(play, "SETTLED", 0)
    airflow = Airflow()

    def act(played: Play) -> None:
        if played.attempt == 1:
            client.submit("a")
            played.fault("status", status=503)
            raise WaitTimeout("the machine is busy")
        if played.attempt == 3:
            client.submit("a")

    result = Play(airflow, fakes, "dag", "a").measure(act)  # type: ignore[arg-type]
    assert result == Result(runs=1, cancelled=0, left=1, outcome="success")
    assert airflow.marked == [("dag", "faults_1", "failed"), ("dag", "faults_2", "failed")]


def test_what_cannot_be_played_has_no_result(fakes: FakeServices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(play, "SETTLED", 0)
    with pytest.raises(WaitTimeout, match="dag has asked for no run"):
        Play(Airflow(), fakes, "dag", "a").measure(lambda _: None)  # type: ignore[arg-type]


def test_the_table_tells_what_is_as_it_should_be() -> None:
    (case,) = [case for case in CASES if case.name == "cleared_deferred"]
    found = {
        "dataflow": Result(runs=2, cancelled=1, left=0, outcome="success"),
        "databricks": Result(runs=2, cancelled=0, left=1, outcome="success"),
        "emr": Result(runs=1, cancelled=0, left=1, outcome="deferred"),
    }
    results = {(operator, case.name): result for operator, result in found.items()}
    row, totals = report(results, list(found), [case]).splitlines()[2:]
    assert [cell.strip() for cell in row.strip("|").split("|")][2:] == [
        "+ success, 2 runs, 1 cancelled",
        "- success, 2 runs, 1 left active",
        "- still deferred, 1 run, 1 active",
    ]
    assert [cell.strip() for cell in totals.strip("|").split("|")][2:] == ["1 of 1", "0 of 1", "0 of 1"]
