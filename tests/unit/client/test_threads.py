"""Work in threads of our own."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from types import ModuleType

import pytest

from airflow_provider_dataflow.client import threads
from airflow_provider_dataflow.client.threads import in_thread, module


@pytest.fixture
def importing(monkeypatch):
    """Imports wait for the event; their names are told in order."""
    go, names = threading.Event(), []

    def import_module(name: str) -> ModuleType:
        assert go.wait(10)
        names.append(name)
        if len(names) == 1 and name == "broken":
            raise ImportError("not yet")
        return sys

    monkeypatch.setattr(threads, "import_module", import_module)
    monkeypatch.setattr(threads, "_modules", {})
    return go, names


async def test_a_thousand_who_ask_at_the_same_moment_import_once(importing):
    go, names = importing
    asking = [asyncio.create_task(module("sys")) for _ in range(1000)]
    await asyncio.sleep(0.05)
    # One who leaves takes nothing from the others.
    asking.pop().cancel()
    await asyncio.sleep(0.01)
    go.set()
    assert set(await asyncio.gather(*asking)) == {sys}
    assert await module("sys") is sys
    assert names == ["sys"]


async def test_an_import_that_failed_is_tried_again(importing):
    go, names = importing
    go.set()
    with pytest.raises(ImportError, match="not yet"):
        await module("broken")
    assert await module("broken") is sys
    assert names == ["broken", "broken"]


async def test_a_forked_process_has_threads_of_its_own():
    parent = await in_thread(os.getpid)
    child = os.fork()
    if not child:
        # Nothing of the test session may go on in here, whatever happens.
        try:
            asyncio.events._set_running_loop(None)
            # It would wait for ever for the parent's idle thread.
            answer = asyncio.run(asyncio.wait_for(in_thread(os.getpid), 5))
            os._exit(0 if answer == os.getpid() != parent else 1)
        finally:
            os._exit(2)
    _, status = await in_thread(lambda: os.waitpid(child, 0))
    assert os.waitstatus_to_exitcode(status) == 0
