"""Refresh of shared signers, with errors and races."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
from airflow_provider_dataflow.client.auth import signer as signing
from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.api_key import ApiKey
from airflow_provider_dataflow.client.auth.credentials import SignIn, sign_in_with_token
from airflow_provider_dataflow.client.auth.resource_principal import ResourcePrincipal
from airflow_provider_dataflow.client.auth.signer import SharedSigner, shared_signer
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.exceptions import InvalidConnection, ServiceError
from tests.identity_service import IdentityService, check_signature, new_key, pem_of, token_for
from tests.unit.support import RUN_ID


class Issuer:
    """Credentials whose tokens live for ``lifetime`` seconds; errors in ``errors`` are raised first."""

    def __init__(self, lifetime: float = 1200, latency: float = 0, bits: int = 2048) -> None:
        self.lifetime, self.latency = lifetime, latency
        self.errors: list[Exception] = []
        self.signed_in = 0
        self.threads: set[int] = set()
        self._keys = [new_key(bits) for _ in range(4)]

    def sign_in(self) -> SignIn:
        self.threads.add(threading.get_ident())
        time.sleep(self.latency)
        if self.errors:
            raise self.errors.pop(0)
        self.signed_in += 1
        key = self._keys[self.signed_in % len(self._keys)]
        return sign_in_with_token(token_for(key.public_key(), self.lifetime), key)


def signed(signer: SharedSigner, target: str = "/20200129/runs/x") -> str | None:
    """Sign a request as the SDK does. Return the problem of its signature, or ``None``."""
    request = SimpleNamespace(
        method="GET", url=f"http://127.0.0.1{target}", path_url=target, headers={}, body=None
    )
    signer.current().sign(request)
    return check_signature("GET", target, request.headers)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_concurrent_callers_share_one_sign_in():
    issuer = Issuer(latency=0.2)
    signer = SharedSigner(issuer)
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: signed(signer), range(64))) == {None}
    assert issuer.signed_in == 1


async def test_current_async_blocks_neither_the_loop_nor_its_threads():
    issuer = Issuer(latency=0.3)
    signer = SharedSigner(issuer)
    waits = [asyncio.create_task(signer.current_async()) for _ in range(200)]
    # There are more callers than threads of the loop, so this would wait if each caller held one.
    assert await asyncio.to_thread(lambda: 1) == 1
    assert not waits[0].done()
    waits[0].cancel()
    assert len({id(s) for s in await asyncio.gather(*waits[1:])}) == 1
    assert issuer.signed_in == 1


@pytest.mark.slow
def test_advisory_refresh_keeps_using_the_old_token():
    issuer = Issuer(lifetime=8)
    signer = SharedSigner(issuer)
    first = signer.current()
    issuer.latency = 0.3
    wait_until(lambda: first.is_refresh_due)
    assert signer.current() is first
    wait_until(lambda: issuer.signed_in == 2)
    wait_until(lambda: signer.current() is not first)
    assert not first.is_expired
    assert signed(signer) is None


def test_mandatory_refresh_happens_before_the_next_signature():
    issuer = Issuer(lifetime=1.5)
    signer = SharedSigner(issuer)
    first = signer.current()
    wait_until(lambda: first.is_expired)
    issuer.lifetime = 1200
    assert signer.current() is not first
    assert signed(signer) is None


def test_wrong_clock_does_not_cause_endless_refreshes():
    """All tokens are expired when they arrive."""
    issuer = Issuer(lifetime=-5)
    signer = SharedSigner(issuer)
    for _ in range(10):
        assert signed(signer) == "the token has expired"
    assert issuer.signed_in <= 2


@pytest.mark.slow
def test_failed_refresh_is_logged_and_repeated_after_a_pause(caplog):
    issuer = Issuer(lifetime=8)
    signer = SharedSigner(issuer, refresh_pause=0.2)
    first = signer.current()
    issuer.errors = [ServiceError(operation="SignIn", message="down")] * 2
    wait_until(lambda: first.is_refresh_due)
    wait_until(lambda: signer.current() is not first)
    failures = [record for record in caplog.records if "the old token is still valid" in record.message]
    assert len(failures) == 2
    assert failures[0].message.startswith(
        "OCI sign-in: refresh failed; the old token is still valid, retrying in 0.2 s: "
        "SignIn got no response: down."
    )
    assert signed(signer) is None


def test_failed_first_sign_in_raises():
    issuer = Issuer()
    issuer.errors = [InvalidConnection("auth_type: no")]
    signer = SharedSigner(issuer)
    with pytest.raises(InvalidConnection, match="auth_type: no"):
        signer.current()
    assert signed(signer) is None


def test_sign_in_runs_in_another_thread():
    """The caller may be an event loop."""
    issuer = Issuer()
    SharedSigner(issuer).current()
    assert threading.get_ident() not in issuer.threads


def test_refresh_after_401_happens_once_for_many_callers():
    issuer = Issuer(latency=0.1)
    signer = SharedSigner(issuer)
    refused = signer.current()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: signer.refresh_after_401(refused), range(8)))
    assert issuer.signed_in == 2
    assert not signer.refresh_after_401(signer.current())
    assert issuer.signed_in == 2


KEYS = [new_key(1024), new_key(1024)]


@pytest.mark.parametrize(
    "change", [{"delegation_token": "new"}, {"region": "us-ashburn-1"}, {"private_key": KEYS[1]}]
)
def test_refresh_uses_what_changed_under_the_same_key_id(change):
    """For example, a renewed delegation token of the connection."""
    parts = {
        "token": token_for(KEYS[0].public_key(), 1200),
        "private_key": KEYS[0],
        "region": "eu-frankfurt-1",
        "delegation_token": "old",
    }
    signer = SharedSigner(SimpleNamespace(sign_in=lambda: sign_in_with_token(**parts)))
    refused = signer.current()
    assert not signer.refresh_after_401(refused)
    assert signer.current() is refused
    parts.update(change)
    signer._next_after_401 = 0
    assert signer.refresh_after_401(refused)
    used = signer.current()
    assert used is not refused
    found = {
        "delegation_token": used.delegation_token,
        "region": used.region,
        "private_key": used.signer.private_key,
    }
    assert {name: found[name] for name in change} == change


def test_refresh_recovers_when_no_thread_can_start(monkeypatch):
    signer = SharedSigner(Issuer())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("no more")))
        with pytest.raises(RuntimeError, match="no more"):
            signer.current()
    first = signer.current()
    with monkeypatch.context() as patch:
        patch.setattr(SignIn, "is_refresh_due", True)
        patch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("no more")))
        assert [signer.current() for _ in range(3)] == [first] * 3


def test_equal_credentials_of_a_connection_share_a_signer(key_fields):
    key = ApiKey(**key_fields)
    assert shared_signer("a", key) is shared_signer("a", ApiKey(**key_fields))
    assert shared_signer("b", key) is not shared_signer("a", key)
    other = ApiKey(**key_fields, pass_phrase="x")
    assert shared_signer("a", other) is not shared_signer("a", key)


def test_least_recently_used_signer_is_dropped(key_fields):
    first = shared_signer("first", ApiKey(**key_fields))
    for n in range(signing.MAX_SHARED_SIGNERS):
        shared_signer(f"n{n}", ApiKey(**key_fields))
    assert len(signing._shared) == signing.MAX_SHARED_SIGNERS
    assert shared_signer("first", ApiKey(**key_fields)) is not first


@pytest.fixture
def service():
    service = IdentityService()
    yield service
    service.close()


class Rotated:
    """Credentials whose token the service refuses after the key was rotated, or the token revoked."""

    def __init__(self) -> None:
        self.key = new_key()
        self.token = token_for(self.key.public_key(), 1200)

    def sign_in(self) -> SignIn:
        return sign_in_with_token(self.token, self.key)

    def revoke(self) -> None:
        self.token = token_for(new_key().public_key(), 1200)


async def test_rotated_key_is_used_after_a_401(service):
    current = Rotated()
    access = Access(current, service_endpoint=service.url, connection="rotated", reload=lambda: current)
    client = DataFlowClient(access)
    async with await AsyncDataFlowClient.create(lambda: access) as aclient:
        current.revoke()
        access.signer._sign_in = current.sign_in()  # signs with the key, claims another
        current = Rotated()
        assert (await aclient.get_run(RUN_ID)).id == RUN_ID
    assert service.problems == {"the signature does not match the token": 1}
    refused = Rotated()
    refused.revoke()
    access.signer._sign_in = refused.sign_in()
    access.signer._next_after_401 = 0
    assert client.get_run(RUN_ID).id == RUN_ID
    assert service.problems == {"the signature does not match the token": 2}


async def test_401_without_a_changed_key_is_raised_at_once(service):
    revoked = Rotated()
    revoked.revoke()
    access = Access(revoked, service_endpoint=service.url, connection="revoked")
    async with await AsyncDataFlowClient.create(lambda: access) as aclient:
        for call in (
            lambda: asyncio.to_thread(DataFlowClient(access).get_run, RUN_ID),
            lambda: aclient.get_run(RUN_ID),
        ):
            with pytest.raises(ServiceError) as caught:
                await call()
            assert caught.value.status == 401
            assert caught.value.date
    assert service.problems.total() == 2


def test_401_of_one_thread_is_independent_of_other_threads(service):
    """Both threads share a client. One signs with a new token while the other waits for its response."""
    current = Rotated()
    access = Access(current, service_endpoint=service.url, connection="two threads", reload=lambda: current)
    client = DataFlowClient(access)
    refused = Rotated()
    refused.revoke()
    access.signer._sign_in = refused.sign_in()
    with ThreadPoolExecutor(1) as other:

        def get_run_elsewhere_first(run_id: str, call=client.sdk.get_run) -> object:
            try:
                return call(run_id)
            finally:
                access.signer._sign_in = current.sign_in()
                other.submit(call, run_id).result()
                # No refresh is needed: the sign-in has changed already.
                access.signer._next_after_401 = time.monotonic() + 60

        client.sdk.get_run = get_run_elsewhere_first
        assert client.get_run(RUN_ID).id == RUN_ID


@pytest.mark.slow
def test_signatures_match_their_token_during_refreshes():
    """Sign in eight threads while tokens expire, and refresh at random moments."""
    # Short keys, for more signatures per second.
    issuer = Issuer(lifetime=4, bits=1024)
    signer = SharedSigner(issuer)
    problems: list[str] = []
    done = [0] * 8

    def work(n: int) -> None:
        chance = random.Random(n)
        while sum(done) < 100_000:
            if problem := signed(signer, f"/20200129/runs/{n}-{done[n]}"):
                problems.append(problem)
            done[n] += 1
            if chance.random() < 0.0005:
                signer._next_after_401 = 0
                signer.refresh_after_401(signer.current())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert problems == []
    assert sum(done) >= 100_000
    assert issuer.signed_in > 20


class Files:
    """Token and key files of a resource principal, rewritten one after the other in alternating order.

    :param folder: folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self.token, self.key = folder / "rpst", folder / "key.pem"
        keys = [new_key(1024) for _ in range(4)]
        self._pems = [(key.public_key(), pem_of(key)) for key in keys]
        self.written = 0
        self.rewrite()

    def rewrite(self, pause: float = 0) -> None:
        public_key, pem = self._pems[self.written % len(self._pems)]
        parts = [(self.token, token_for(public_key, 1200)), (self.key, pem)]
        if self.written % 2:
            parts.reverse()
        for path, text in parts:
            path.write_text(text)
            time.sleep(pause)
        self.written += 1


@pytest.fixture
def files(monkeypatch, tmp_path):
    files = Files(tmp_path)
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", str(files.token))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", str(files.key))
    return files


@pytest.fixture
def restless_threads():
    """Switch threads a hundred times as often, to provoke races."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.slow
def test_signatures_match_while_token_and_key_files_are_rewritten(files, restless_threads):
    """Sign and refresh in eight threads while the files are rewritten all the time."""
    signer = SharedSigner(ResourcePrincipal())
    signer.current()
    until = time.monotonic() + 4
    problems: list[str] = []
    renewals = [0] * 8

    def work(n: int) -> None:
        while time.monotonic() < until:
            if problem := signed(signer):
                problems.append(problem)
            signer._next_after_401 = 0
            try:
                renewals[n] += signer.refresh_after_401(signer.current())
            except InvalidConnection:
                continue  # the files did not match in time; the old token stays in use

    def rewrite() -> None:
        while time.monotonic() < until:
            files.rewrite(pause=0.005)

    with ThreadPoolExecutor(9) as pool:
        for done in [pool.submit(rewrite), *(pool.submit(work, n) for n in range(8))]:
            done.result()
    assert problems == []
    assert sum(renewals) > 20
    assert files.written > 20
