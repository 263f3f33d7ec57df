"""Latency of a triggerer's event loop while tokens are refreshed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.instance_principal import InstancePrincipal
from airflow_provider_dataflow.client.auth.resource_principal import ResourcePrincipal, WorkloadIdentity
from airflow_provider_dataflow.client.poller.poller import RunPoller
from tests.identity_service import new_key, pem_of, token_for

WAITS = 1000
SECONDS = 8
LIFETIME = 6
LONGEST = 0.05
#: Other effects of a busy machine (memory, clock) are not measured.
ATTEMPTS = 3
RP = "OCI_RESOURCE_PRINCIPAL_"


@contextmanager
def identity_service(folder: Path) -> Iterator[dict[str, Any]]:
    """Start the service in another process; its counters can be read after its end."""
    options = json.dumps({"latency": 0.1, "lifetime": LIFETIME})
    command = [sys.executable, "-m", "tests.identity_service", options, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        service = json.loads(process.stdout.readline())
        try:
            yield service
        finally:
            process.stdin.close()
            service |= json.loads(process.stdout.readline() or "{}")


def waits_for_a_core() -> dict[str, float]:
    """For how many seconds each thread of this process was ready to run while others had the cores; nothing,
    where no system says so."""
    waits = {}
    for schedstat in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # threads come and go
            waits[schedstat.parent.name] = int(schedstat.read_text().split()[1]) / 1e9
    return waits


@asynccontextmanager
async def longest_stall() -> AsyncIterator[list[float]]:
    """Measure the longest delay of a task on this loop.

    Without what other processes have taken: whoever blocks the loop, or holds the interpreter, waits for a
    core as the loop itself does.
    """
    longest = [0.0]

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            before, wanted = waits_for_a_core(), loop.time() + 0.005
            await asyncio.sleep(0.005)
            late = loop.time() - wanted
            if late > longest[0]:
                # They wait at the same time, so the longest wait counts.
                waited = max((after - before.get(n, 0) for n, after in waits_for_a_core().items()), default=0)
                longest[0] = max(longest[0], late - waited)

    watcher = asyncio.create_task(watch())
    yield longest
    watcher.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watcher


@pytest.mark.parametrize("blocked_by", ["a sleep", "another thread's work"])
async def test_blocking_of_an_event_loop_is_detected(blocked_by):
    async with longest_stall() as longest:
        await asyncio.sleep(0.02)
        if blocked_by == "a sleep":
            time.sleep(2 * LONGEST)  # noqa: ASYNC251 - on purpose
        else:
            # One call into C, which holds the GIL.
            numbers = range(10_000_000)
            await asyncio.to_thread(sum, numbers)
        await asyncio.sleep(0.02)
    assert longest[0] > LONGEST


@pytest.fixture(params=["instance principal", "resource principal", "workload identity"])
def credentials(request, monkeypatch, tmp_path):
    """Return a function that takes a running service and returns credentials."""
    account = tmp_path / "token"
    account.write_text(token_for(new_key().public_key(), 3600))

    def make(service: dict[str, Any]) -> Any:
        if request.param == "instance principal":
            monkeypatch.setenv("OCI_METADATA_BASE_URL", f"{service['url']}/opc/v2")
            return InstancePrincipal(federation_endpoint=f"{service['url']}/v1/x509")
        if request.param == "workload identity":
            from oci.auth.signers import resource_principals_signer as of_sdk

            port = str(service["tls_port"])
            monkeypatch.setattr(of_sdk, "OCI_KUBERNETES_PROXYMUX_SERVICE_PORT", port)
            path = "oci.auth.rpt_path_providers.OCI_KUBERNETES_SERVICE_ACCOUNT_TOKEN_PATH"
            monkeypatch.setattr(path, str(account))
            monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
            monkeypatch.setenv("OCI_KUBERNETES_SERVICE_ACCOUNT_CERT_PATH", str(tmp_path / "ca.crt"))
            return WorkloadIdentity()
        monkeypatch.setenv(f"{RP}VERSION", "2.2")
        monkeypatch.setenv(f"{RP}RPST", str(tmp_path / "rpst"))
        monkeypatch.setenv(f"{RP}PRIVATE_PEM", str(tmp_path / "key.pem"))
        rewrite(tmp_path)
        return ResourcePrincipal()

    return make


def rewrite(folder: Path) -> None:
    """Rewrite token and key, as OCI does for a resource principal before its token expires."""
    key = new_key()
    (folder / "key.pem").write_text(pem_of(key))
    (folder / "rpst").write_text(token_for(key.public_key(), LIFETIME))


async def wait_for_a_thousand_runs(access: Access, folder: Path) -> tuple[float, int]:
    """Return the longest stall of the loop, and the number of sign-ins."""
    ready = asyncio.Event()

    async def new_client() -> AsyncDataFlowClient:
        client = await AsyncDataFlowClient.create(lambda: access)
        ready.set()
        return client

    poller = RunPoller(new_client)
    signed_in: set[str] = set()
    waits = [
        asyncio.create_task(poller.wait_for(f"ocid1.run.{n}", states=["SUCCEEDED"], poll_interval=5))
        for n in range(WAITS)
    ]
    try:
        await ready.wait()
        async with longest_stall() as longest:
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                await asyncio.sleep(0.25)
                sign_in = access.signer._sign_in
                assert sign_in is not None
                signed_in.add(sign_in.key_id)
                if (folder / "rpst").exists() and time.time() > sign_in.created_at + LIFETIME / 2:
                    await asyncio.to_thread(rewrite, folder)
        assert not any(wait.done() for wait in waits)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        await poller.close()
    return longest[0], len(signed_in)


@pytest.mark.slow
def test_event_loop_is_not_blocked_by_a_thousand_waits_and_token_refreshes(credentials, tmp_path):
    stalls = []
    for attempt in range(ATTEMPTS):
        with identity_service(tmp_path) as service:
            access = Access(
                credentials(service), service_endpoint=service["url"], connection=f"attempt {attempt}"
            )
            stall, signed_in = asyncio.run(wait_for_a_thousand_runs(access, tmp_path))
        assert "the signature does not match the token" not in service["problems"]
        assert service["calls"]["data flow"] >= 100
        assert signed_in >= 2, service
        stalls.append(stall)
        if stall <= LONGEST:
            return
    pytest.fail(f"the loop stood still for {[f'{stall * 1000:.0f} ms' for stall in stalls]}")
