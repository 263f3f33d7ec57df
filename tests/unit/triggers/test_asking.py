"""Questions to Airflow from our threads, through its own end of the line between triggerer and supervisor."""

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

from airflow_provider_dataflow.client.threads import answer_within, in_thread, start


def supervise(end: socket.socket) -> None:
    """Answers each question after a while, as the supervisor does."""
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
            number, question = msgspec.msgpack.decode(read(int.from_bytes(read(4), "big")))[:2]
            time.sleep(0.02)
            found = dict.fromkeys(("host", "schema", "login", "password", "port", "extra"))
            found |= {"type": "ConnectionResult", "conn_id": question["conn_id"], "conn_type": "oci"}
            answer = encode([number, found, None])
            end.sendall(len(answer).to_bytes(4, "big") + answer)
    except (EOFError, OSError):
        pass


@pytest.fixture
async def line():
    """What ``SUPERVISOR_COMMS`` is in a triggerer."""
    ours, theirs = socket.socketpair()
    supervisor = threading.Thread(target=supervise, args=(theirs,))
    supervisor.start()
    reader, writer = await asyncio.open_connection(sock=ours)
    given = {"async_writer": writer, "async_reader": reader, "socket": None}
    known = inspect.signature(TriggerCommsDecoder).parameters
    line = TriggerCommsDecoder(**{name: value for name, value in given.items() if name in known})
    if hasattr(line, "start_reader"):
        await line.start_reader()
    yield line
    theirs.shutdown(socket.SHUT_RDWR)
    supervisor.join(5)
    writer.close()
    theirs.close()


async def test_our_threads_ask_and_the_triggerer_goes_on(line):
    def ask(conn_id: str) -> str:
        return line.send(GetConnection(conn_id=conn_id)).conn_id

    async with asyncio.timeout(20):
        answers = await asyncio.gather(*(in_thread(lambda i=i: ask(f"a{i}")) for i in range(5)))
        assert answers == [f"a{i}" for i in range(5)]
        assert await asyncio.wrap_future(start(lambda: ask("b"), urgent=True)) == "b"
        # A thread of a thread of ours.
        assert await in_thread(lambda: answer_within(5, lambda: ask("c"))) == "c"
        # The triggerer itself has lost count of nothing.
        assert (await line.asend(GetConnection(conn_id="d"))).conn_id == "d"


async def test_no_answer_is_not_waited_for():
    with pytest.raises(TimeoutError):
        await in_thread(lambda: answer_within(0.05, lambda: time.sleep(1)))
