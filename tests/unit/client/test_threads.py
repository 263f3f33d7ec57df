"""Blocking calls in threads."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from types import ModuleType

import pytest

from airflow_provider_dataflow.client import threads
from airflow_provider_dataflow.client.threads import import_in_thread, in_thread


@pytest.fixture
def importing(monkeypatch):
    """Make imports wait for the event, and record their names."""
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


async def test_concurrent_imports_of_a_module_run_once(importing):
    go, names = importing
    asking = [asyncio.create_task(import_in_thread("sys")) for _ in range(1000)]
    await asyncio.sleep(0.05)
    # Cancelling one caller does not cancel the import for the others.
    asking.pop().cancel()
    await asyncio.sleep(0.01)
    go.set()
    assert set(await asyncio.gather(*asking)) == {sys}
    assert await import_in_thread("sys") is sys
    assert names == ["sys"]


async def test_failed_import_is_repeated(importing):
    go, names = importing
    go.set()
    with pytest.raises(ImportError, match="not yet"):
        await import_in_thread("broken")
    assert await import_in_thread("broken") is sys
    assert names == ["broken", "broken"]


async def test_forked_process_has_its_own_threads():
    parent = await in_thread(os.getpid)
    child = os.fork()
    if not child:
        # The child must never continue the test session.
        try:
            asyncio.events._set_running_loop(None)
            # With the parent's pool, it would wait for ever for an idle thread that does not exist here.
            answer = asyncio.run(asyncio.wait_for(in_thread(os.getpid), 5))
            os._exit(0 if answer == os.getpid() != parent else 1)
        finally:
            os._exit(2)
    _, status = await in_thread(lambda: os.waitpid(child, 0))
    assert os.waitstatus_to_exitcode(status) == 0
