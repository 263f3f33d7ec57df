from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_provider_dataflow import __version__
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.rate_limit import RateLimit
from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.exceptions import ServiceError, SubmitRejected
from airflow_provider_dataflow.models.run_request import RunRequest
from tests.unit.support import APPLICATION_ID, COMPARTMENT_ID, RUN_ID, run_body

REQUEST = RunRequest.build({"application_id": APPLICATION_ID, "compartment_id": COMPARTMENT_ID})
REFUSED = {"code": "NotAuthorizedOrNotFound", "message": "Not found."}


class Service:
    """Service that sends the responses in ``answers`` in order; ``None`` closes the connection."""

    def __init__(self) -> None:
        self.answers: list = []
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                service.requests.append(
                    (self.command, self.path, {k.lower(): v for k, v in self.headers.items()})
                )
                answer = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
                if answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                status, body, *headers = answer
                data = b"" if status == 204 else json.dumps(body).encode()
                self.send_response(status)
                for name, value in (headers[0] if headers else {}).items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def service(monkeypatch) -> Iterator[Service]:
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(sleep=lambda seconds: None))
    service = Service()
    thread = threading.Thread(target=service.server.serve_forever, daemon=True)
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()


@pytest.fixture
def client(service, key_fields) -> DataFlowClient:
    return DataFlowClient(Access(ApiKey(**key_fields), "us-ashburn-1", service.url))


def test_submit_is_retried_with_one_token(client, service):
    service.answers.extend([(503, {}), None, (429, {}), (200, run_body())])
    assert client.create_run(REQUEST, "token").id == RUN_ID
    assert [headers["opc-retry-token"] for _, _, headers in service.requests] == ["token"] * 4


def test_user_agent_names_the_component(client, service):
    service.answers.append((204, None))
    client.cancel_run(RUN_ID)
    DataFlowClient(client.access, "triggerer").cancel_run(RUN_ID)
    agents = [headers["user-agent"] for _, _, headers in service.requests]
    assert [agent.rpartition(" airflow-provider-dataflow/")[2] for agent in agents] == [
        f"{__version__} (worker)",
        f"{__version__} (triggerer)",
    ]


def test_submit_without_response_is_not_rejected(client, service):
    service.answers.append((503, {"code": "ServiceUnavailable", "message": "later"}))
    with pytest.raises(ServiceError, match="later") as caught:
        client.create_run(REQUEST, "token")
    assert not isinstance(caught.value, SubmitRejected)
    assert len(service.requests) == RetryPolicy().max_attempts


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refused_submit_names_the_request_and_is_not_retried(client, service, status):
    service.answers.append((status, REFUSED, {"opc-request-id": "req"}))
    with pytest.raises(SubmitRejected, match=APPLICATION_ID) as caught:
        client.create_run(REQUEST, "token")
    assert caught.value.opc_request_id == "req"
    assert caught.value.code == REFUSED["code"]
    assert len(service.requests) == 1


def test_retry_after_is_honoured_up_to_a_limit():
    class Outcome:
        def __init__(self, seconds):
            self.error = ServiceError(operation="x", message="", status=429, retry_after=seconds)

        def exception(self):
            return self.error

    class State:
        attempt_number = 1

        def __init__(self, seconds):
            self.outcome = Outcome(seconds)

    policy = RetryPolicy()
    assert policy.pause(State(7)) == 7
    assert policy.pause(State(None)) < 1
    assert policy.pause(State(3600)) == policy.max_seconds


def test_lists_are_read_page_by_page(client, service):
    service.answers.extend([(200, [run_body()] * 2, {"opc-next-page": "2"}), (200, [run_body("FAILED")])])
    assert [run.state for run in client.list_runs(COMPARTMENT_ID, application_id=APPLICATION_ID)] == [
        "ACCEPTED",
        "ACCEPTED",
        "FAILED",
    ]
    first, second = (path for _, path, _ in service.requests)
    assert "applicationId=" in first
    assert "page=" not in first
    assert "page=2" in second


def test_state_unknown_to_the_sdk_is_returned(client, service):
    service.answers.append((200, run_body("HIBERNATING")))
    assert client.get_run(RUN_ID).state == "HIBERNATING"


def test_incomplete_run_is_transient(client, service):
    service.answers.append((200, {"id": RUN_ID}))
    with pytest.raises(ServiceError) as caught:
        client.get_run(RUN_ID)
    assert caught.value.is_transient


@pytest.mark.parametrize("status", [404, 409])
def test_cancel_of_an_ended_run_succeeds(client, service, status):
    service.answers.extend([(status, REFUSED), (200, run_body("CANCELED"))])
    client.cancel_run(RUN_ID)


def test_refused_cancel_raises(client, service):
    service.answers.extend([(409, REFUSED), (200, run_body("IN_PROGRESS"))])
    with pytest.raises(ServiceError, match="409"):
        client.cancel_run(RUN_ID)


def test_open_circuit_breaker_of_another_client_has_no_effect(client, service):
    service.answers.extend([(503, {})] * 12 + [(200, run_body())])
    for _ in range(2):
        with pytest.raises(ServiceError):
            client.get_run(RUN_ID)
    service.answers[:] = [(200, run_body())]
    assert client.get_run(RUN_ID).id == RUN_ID


def test_requests_in_a_triggerer_count_for_the_rate_limit_of_its_connection(client, service):
    limit = RateLimit(1000)
    limited = DataFlowClient(client.access, "triggerer", limit)
    limited.retry_policy = RetryPolicy(max_attempts=1)
    service.answers[:] = [(429, {}, {"retry-after": "20"})]
    with pytest.raises(ServiceError):
        limited.get_run(RUN_ID)
    # The pause that the service has asked for delays the poller, too, and other submits ...
    assert 15 < limit.reserve(time.monotonic()) <= 20
    # ... but no cancel.
    service.answers[:] = [(204, None)]
    DataFlowClient(client.access, "triggerer", limit, urgent=True).cancel_run(RUN_ID)
    assert len(service.requests) == 2
