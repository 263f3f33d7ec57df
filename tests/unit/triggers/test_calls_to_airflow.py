"""Calls to Airflow from threads of a triggerer, through Airflow's own connection to the supervisor."""

from __future__ import annotations

import asyncio
import inspect
import socket
import threading
import time

import msgspec
import pytest
from airflow.jobs.triggerer_job_runner import TriggerCommsDecoder
from airflow.sdk.execution_time.comms import GetConnection

from airflow_provider_dataflow.client.threads import call_with_timeout, in_thread, start


def supervise(end: socket.socket) -> None:
    """Respond to each request after 20 ms, like the supervisor."""
    encode = msgspec.msgpack.Encoder().encode

    def read(size: int) -> bytes:
        content = b""
        while len(content) < size:
            if not (more := end.recv(size - len(content))):
                raise EOFError
            content += more
        return content

    try:
        while True:
            number, request = msgspec.msgpack.decode(read(int.from_bytes(read(4), "big")))[:2]
            time.sleep(0.02)
            found = dict.fromkeys(("host", "schema", "login", "password", "port", "extra"))
            found |= {"type": "ConnectionResult", "conn_id": request["conn_id"], "conn_type": "oci"}
            response = encode([number, found, None])
            end.sendall(len(response).to_bytes(4, "big") + response)
    except (EOFError, OSError):
        pass


@pytest.fixture
async def comms():
    """``SUPERVISOR_COMMS`` of a triggerer."""
    ours, theirs = socket.socketpair()
    supervisor = threading.Thread(target=supervise, args=(theirs,))
    supervisor.start()
    reader, writer = await asyncio.open_connection(sock=ours)
    given = {"async_writer": writer, "async_reader": reader, "socket": None}
    known = inspect.signature(TriggerCommsDecoder).parameters
    comms = TriggerCommsDecoder(**{name: value for name, value in given.items() if name in known})
    if hasattr(comms, "start_reader"):
        await comms.start_reader()
    yield comms
    theirs.shutdown(socket.SHUT_RDWR)
    supervisor.join(5)
    writer.close()
    theirs.close()


async def test_calls_from_threads_and_from_the_event_loop_get_their_responses(comms):
    def get(conn_id: str) -> str:
        return comms.send(GetConnection(conn_id=conn_id)).conn_id

    async with asyncio.timeout(20):
        found = await asyncio.gather(*(in_thread(lambda i=i: get(f"a{i}")) for i in range(5)))
        assert found == [f"a{i}" for i in range(5)]
        assert await asyncio.wrap_future(start(lambda: get("b"), urgent=True)) == "b"
        # From a thread that a thread has started.
        assert await in_thread(lambda: call_with_timeout(5, lambda: get("c"))) == "c"
        # The triggerer's own call still gets its response.
        assert (await comms.asend(GetConnection(conn_id="d"))).conn_id == "d"


async def test_call_without_response_times_out():
    with pytest.raises(TimeoutError):
        await in_thread(lambda: call_with_timeout(0.05, lambda: time.sleep(1)))
