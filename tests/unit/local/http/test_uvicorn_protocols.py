from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest

from airflow_provider_dataflow.local.http.uvicorn_protocols import LimitedH11, fastest_protocol


@pytest.mark.parametrize(
    "protocol", sorted({LimitedH11, fastest_protocol()}, key=lambda p: p.__name__), ids=lambda p: p.__name__
)
@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{"]
)
async def test_incomplete_request_times_out(protocol, sent):
    import uvicorn

    async def app(scope, receive, send):
        while (message := await receive())["type"] != "http.disconnect" and message.get("more_body"):
            pass

    limited = type("Limited", (protocol,), {"REQUEST_TIMEOUT_SECONDS": 0.1})
    config = uvicorn.Config(app, http=limited, ws="none", log_config=None, lifespan="off")
    config.load()
    state = uvicorn.Server(config).server_state
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: limited(config, state, {}, loop), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        response = await asyncio.wait_for(reader.read(), 5)
        writer.close()
    assert response.startswith(b"HTTP/1.1 408")
    assert b'"code":"RequestTimeout"' in response


@pytest.mark.parametrize("is_unfinished", [True, False])
def test_data_of_upload_restarts_timeout_of_unfinished_request(is_unfinished):
    loop = Mock(spec=asyncio.AbstractEventLoop)
    loop.call_later.side_effect = lambda *_: Mock(spec=asyncio.TimerHandle)
    protocol = LimitedH11.__new__(LimitedH11)
    protocol.loop = loop
    if is_unfinished:
        protocol._start_timeout()
    first = protocol._deadline
    protocol.extend_timeout()
    assert loop.call_later.call_count == (2 if is_unfinished else 0)
    if first is not None:
        first.cancel.assert_called_once_with()
        assert protocol._deadline is not first
