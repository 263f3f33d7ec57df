from __future__ import annotations

import asyncio
import gzip
import threading

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from airflow_provider_dataflow.client.async_client import MAX_LOG_CONNECTIONS, AsyncDataFlowClient
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.run import RunLog
from tests.unit.support import RUN_ID, run_body, verify_signature


@pytest.fixture
async def service():
    """Service that sends the responses in ``service.answers`` in order, and records the requests."""
    requests = []
    answers: list = []

    async def handle(request: web.Request) -> web.StreamResponse:
        requests.append(request)
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        status, body, *headers = answer
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=headers[0] if headers else None)
        if isinstance(body, str):
            return web.Response(status=status, text=body, headers=headers[0] if headers else None)
        return web.json_response(body, status=status, headers=headers[0] if headers else None)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    async with TestServer(app, host="127.0.0.1") as server:
        server.answers = answers  # type: ignore[attr-defined]
        server.requests = requests  # type: ignore[attr-defined]
        yield server


@pytest.fixture
async def client(service, key_fields):
    access = Access(ApiKey(**key_fields), "us-ashburn-1", str(service.make_url("")).rstrip("/"))
    async with await AsyncDataFlowClient.create(lambda: access) as client:
        yield client


async def test_get_run_returns_the_run(client, service):
    service.answers.append((200, run_body("IN_PROGRESS")))
    assert (await client.get_run(RUN_ID)).state == "IN_PROGRESS"
    (request,) = service.requests
    assert request.path == f"/20200129/runs/{RUN_ID}"
    assert request.headers["authorization"].startswith('Signature algorithm="rsa-sha256"')


async def test_error_response_becomes_service_error_with_its_details(client, service):
    body = {"code": "TooManyRequests", "message": "User-rate limit exceeded."}
    service.answers.append((429, body, {"retry-after": "7", "opc-request-id": "req"}))
    with pytest.raises(ServiceError) as caught:
        await client.get_run(RUN_ID)
    error = caught.value
    assert (error.status, error.code, error.retry_after, error.opc_request_id) == (
        429,
        body["code"],
        7.0,
        "req",
    )
    assert body["message"] in str(error)


@pytest.mark.parametrize("answer", [None, (200, '{"id": "x", "lifecy'), (200, "{}"), (200, "[]")])
async def test_missing_or_truncated_response_is_transient(client, service, answer):
    service.answers.append(answer)
    with pytest.raises(ServiceError) as caught:
        await client.get_run(RUN_ID)
    assert caught.value.is_transient


async def test_a_redirect_is_not_followed(client, service):
    service.answers.append((302, "", {"location": "http://127.0.0.1:1/elsewhere"}))
    with pytest.raises(ServiceError) as caught:
        await client.get_run(RUN_ID)
    assert caught.value.status == 302


async def test_client_is_prepared_in_another_thread(key_fields, service, mocker):
    access = Access(ApiKey(**key_fields), "us-ashburn-1", str(service.make_url("")).rstrip("/"))
    threads = []
    prepare = Access.prepare

    def recorded(self):
        threads.append(threading.get_ident())
        prepare(self)

    mocker.patch.object(Access, "prepare", recorded)
    async with await AsyncDataFlowClient.create(lambda: access):
        pass
    assert threads
    assert threading.get_ident() not in threads


async def read_log(client, name="x.log.gz") -> bytes:
    return b"".join([chunk async for chunk in client.get_run_log(RUN_ID, name)])


async def test_list_run_logs_returns_the_logs(client, service):
    service.answers.append(
        (200, [{"name": "a.log.gz", "source": "APPLICATION", "type": "STDOUT", "sizeInBytes": 5, "more": 1}])
    )
    assert await client.list_run_logs(RUN_ID) == [RunLog("a.log.gz", "APPLICATION", "STDOUT", 5)]
    (request,) = service.requests
    assert request.path == f"/20200129/runs/{RUN_ID}/logs"


@pytest.mark.parametrize("answer", [(200, "{"), (200, [1]), (200, [{}]), (200, '"x"'), None])
async def test_malformed_list_of_logs_is_a_service_error(client, service, answer):
    service.answers.append(answer)
    with pytest.raises(ServiceError):
        await client.list_run_logs(RUN_ID)


LOG = b"".join(b"line %d\n" % n for n in range(100_000))


@pytest.mark.parametrize(
    "answer",
    [
        (200, gzip.compress(LOG), {"content-encoding": "gzip"}),
        (200, gzip.compress(LOG)),
        (200, LOG),
    ],
    ids=["encoded", "compressed", "plain"],
)
async def test_get_run_log_decompresses(client, service, answer):
    service.answers.append(answer)
    assert await read_log(client, "a/b c") == LOG
    (request,) = service.requests
    assert request.raw_path == f"/20200129/runs/{RUN_ID}/logs/a%2Fb%20c"
    assert request.headers["authorization"].startswith("Signature")


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"code": "NotAuthorizedOrNotFound", "message": "no"}),
        (302, "", {"location": "http://127.0.0.1:1/elsewhere"}),
        (200, gzip.compress(LOG)[:5000] + b"garbage" * 1000),
        None,
    ],
)
async def test_failed_log_download_is_a_service_error(client, service, answer):
    service.answers.append(answer)
    with pytest.raises(ServiceError, match="GetRunLog"):
        await read_log(client)


async def test_log_downloads_leave_connections_for_status_polls(client, service):
    service.answers.append((200, gzip.compress(LOG)))
    open_logs = [client.get_run_log(RUN_ID, str(n)) for n in range(MAX_LOG_CONNECTIONS)]
    for log in open_logs:
        await anext(log)
    waiting = asyncio.create_task(read_log(client))
    service.answers[:] = [(200, run_body())]
    assert (await client.get_run(RUN_ID)).id == RUN_ID
    assert not waiting.done()
    service.answers[:] = [(200, LOG)]
    await open_logs[0].aclose()
    assert await waiting == LOG
    await open_logs[1].aclose()


async def test_signature_matches_the_sent_request(key_fields, private_key, service):
    """Verify with another implementation than the signer's, for ids that need escaping."""
    access = Access(ApiKey(**key_fields), "us-ashburn-1", str(service.make_url("")).rstrip("/"))
    service.answers.append((200, run_body()))
    hostile = ["a b", "a/b", "a%2Fb", "\u00fc", "a:b@c", "~$!'()*,", "a?b=c&d"]
    async with await AsyncDataFlowClient.create(lambda: access) as client:
        for run_id in hostile:
            await client.get_run(run_id)
    for request in service.requests:
        verify_signature(private_key.public_key(), request.method, request.raw_path, request.headers)


async def test_list_runs_page_returns_rows_and_next_page(client, service, private_key):
    rows = [run_body("IN_PROGRESS", id=f"run-{number}", note="a, [b] \u00fc") for number in range(120)]
    service.answers.append((200, rows, {"opc-next-page": "2"}))
    page = await client.list_runs_page(
        "ocid1.compartment", lifecycle_state="IN_PROGRESS", limit=120, page="a b&c"
    )
    assert page.rows == rows
    assert page.next_page == "2"
    (request,) = service.requests
    assert dict(request.query) == {
        "compartmentId": "ocid1.compartment",
        "lifecycleState": "IN_PROGRESS",
        "limit": "120",
        "page": "a b&c",
        "sortBy": "timeCreated",
        "sortOrder": "DESC",
    }
    verify_signature(private_key.public_key(), request.method, request.raw_path, request.headers)


async def test_the_last_page_may_be_empty(client, service):
    service.answers.append((200, " [ ] "))
    page = await client.list_runs_page("c", limit=100)
    assert (page.rows, page.next_page) == ([], None)


@pytest.mark.parametrize(
    "body", ["", "{}", "null", "[1]", '[{"id": "a"}', '[{"id": "a"} {"id": "b"}]', '[{"id"', "["]
)
async def test_truncated_page_is_transient(client, service, body):
    service.answers.append((200, body))
    with pytest.raises(ServiceError, match="no list of runs") as caught:
        await client.list_runs_page("c", limit=100)
    assert caught.value.is_transient
