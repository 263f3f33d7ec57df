"""DNS look-ups of the asynchronous client."""

from __future__ import annotations

import asyncio
import socket
import threading

import aiohttp
import pytest

from airflow_provider_dataflow.client.resolver import ThreadResolver


async def test_addresses_are_those_of_aiohttp():
    ours = await ThreadResolver().resolve("localhost", 443)
    theirs = await aiohttp.ThreadedResolver().resolve("localhost", 443)
    assert ours == theirs


async def test_unknown_host_is_an_error_of_the_system(monkeypatch):
    def fail(*_):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OSError, match="unknown"):
        await ThreadResolver().resolve("nowhere.example.com", 443)


async def test_look_ups_take_no_thread_of_the_default_pool(monkeypatch):
    go, threads = threading.Event(), []

    def getaddrinfo(*_):
        threads.append(threading.current_thread().name)
        go.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    look_ups = [asyncio.create_task(ThreadResolver().resolve("slow.example.com")) for _ in range(50)]
    # Would wait for a look-up if it took a thread of the same pool.
    assert await asyncio.to_thread(lambda: 1) == 1
    assert not any(look_up.done() for look_up in look_ups)
    go.set()
    await asyncio.gather(*look_ups)
    assert all(name.startswith("oci-data-flow-dns") for name in threads)
