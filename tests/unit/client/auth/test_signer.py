"""One signer for all, renewed in time: what may go wrong around the moment of a renewal."""

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
from airflow_provider_dataflow.client.auth.credentials import SignIn, signing_with_token
from airflow_provider_dataflow.client.auth.resource_principal import ResourcePrincipal
from airflow_provider_dataflow.client.auth.signer import SharedSigner, shared_signer
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.exceptions import InvalidConnection, ServiceError
from tests.identity_service import IdentityService, check_signature, new_key, pem_of, token_for
from tests.unit.support import RUN_ID


class Issuer:
    """Credentials whose tokens live for ``lifetime`` seconds; what is in ``errors`` comes first."""

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
        return signing_with_token(token_for(key.public_key(), self.lifetime), key)


def signed(signer: SharedSigner, target: str = "/20200129/runs/x") -> str | None:
    """Sign a request as the SDK does; what is wrong with it."""
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


def test_everybody_waits_for_one_sign_in():
    issuer = Issuer(latency=0.2)
    signer = SharedSigner(issuer)
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: signed(signer), range(64))) == {None}
    assert issuer.signed_in == 1


async def test_a_loop_waits_without_standing_still_or_using_up_its_threads():
    issuer = Issuer(latency=0.3)
    signer = SharedSigner(issuer)
    waits = [asyncio.create_task(signer.acurrent()) for _ in range(200)]
    # More than the loop has threads: were one of them held by each wait, this would wait, too.
    assert await asyncio.to_thread(lambda: 1) == 1
    assert not waits[0].done()
    waits[0].cancel()
    assert len({id(s) for s in await asyncio.gather(*waits[1:])}) == 1
    assert issuer.signed_in == 1


def test_a_token_is_renewed_before_its_end_while_the_old_one_still_serves():
    issuer = Issuer(lifetime=8)
    signer = SharedSigner(issuer)
    first = signer.current()
    issuer.latency = 0.3
    wait_until(lambda: first.is_due)
    assert signer.current() is first
    wait_until(lambda: issuer.signed_in == 2)
    wait_until(lambda: signer.current() is not first)
    assert not first.is_expired
    assert signed(signer) is None


def test_a_token_that_has_run_out_is_replaced_before_anything_is_signed():
    issuer = Issuer(lifetime=1.5)
    signer = SharedSigner(issuer)
    first = signer.current()
    wait_until(lambda: first.is_expired)
    issuer.lifetime = 1200
    assert signer.current() is not first
    assert signed(signer) is None


def test_a_wrong_clock_does_not_make_it_ask_for_ever():
    """All tokens have ended when they come."""
    issuer = Issuer(lifetime=-5)
    signer = SharedSigner(issuer)
    for _ in range(10):
        assert signed(signer) == "the token has expired"
    assert issuer.signed_in <= 2


def test_a_failed_renewal_is_logged_once_and_tried_again_later(caplog, monkeypatch):
    monkeypatch.setattr(signing, "PAUSE", 0.2)
    issuer = Issuer(lifetime=8)
    signer = SharedSigner(issuer)
    first = signer.current()
    issuer.errors = [ServiceError(operation="SignIn", message="down")] * 2
    wait_until(lambda: first.is_due)
    wait_until(lambda: signer.current() is not first)
    assert [record.message for record in caplog.records].count(
        "OCI: the sign-in could not be renewed: SignIn got no response: down."
    ) == 2
    assert signed(signer) is None


def test_without_a_good_token_the_error_is_told():
    issuer = Issuer()
    issuer.errors = [InvalidConnection("auth_type: no")]
    signer = SharedSigner(issuer)
    with pytest.raises(InvalidConnection, match="auth_type: no"):
        signer.current()
    assert signed(signer) is None


def test_it_is_never_built_by_whoever_waits_for_it():
    """An event loop may be among those who wait."""
    issuer = Issuer()
    SharedSigner(issuer).current()
    assert threading.get_ident() not in issuer.threads


def test_after_a_401_one_of_many_renews_and_not_again_at_once():
    issuer = Issuer(latency=0.1)
    signer = SharedSigner(issuer)
    refused = signer.current()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: signer.renewed(refused), range(8)))
    assert issuer.signed_in == 2
    assert not signer.renewed(signer.current())
    assert issuer.signed_in == 2


def test_a_machine_that_is_out_of_threads_for_a_while(monkeypatch):
    signer = SharedSigner(Issuer())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("no more")))
        with pytest.raises(RuntimeError, match="no more"):
            signer.current()
    first = signer.current()
    with monkeypatch.context() as patch:
        patch.setattr(SignIn, "is_due", True)
        patch.setattr(threading.Thread, "start", lambda self: (_ for _ in ()).throw(RuntimeError("no more")))
        assert [signer.current() for _ in range(3)] == [first] * 3


def test_signers_are_shared_by_those_who_come_in_by_the_same_way(key_fields):
    key = ApiKey(**key_fields)
    assert shared_signer("a", key) is shared_signer("a", ApiKey(**key_fields))
    assert shared_signer("b", key) is not shared_signer("a", key)
    other = ApiKey(**key_fields, pass_phrase="x")
    assert shared_signer("a", other) is not shared_signer("a", key)


def test_no_more_signers_are_kept_than_are_good_for_anything(key_fields):
    first = shared_signer("first", ApiKey(**key_fields))
    for n in range(signing.MAX_SHARED):
        shared_signer(f"n{n}", ApiKey(**key_fields))
    assert len(signing._shared) == signing.MAX_SHARED
    assert shared_signer("first", ApiKey(**key_fields)) is not first


@pytest.fixture
def service():
    service = IdentityService()
    yield service
    service.close()


class Rotated:
    """A connection whose token the service stops to take: its key was rotated, or it was revoked."""

    def __init__(self) -> None:
        self.key = new_key()
        self.token = token_for(self.key.public_key(), 1200)

    def sign_in(self) -> SignIn:
        return signing_with_token(self.token, self.key)

    def revoke(self) -> None:
        self.token = token_for(new_key().public_key(), 1200)


async def test_a_rotated_key_is_picked_up_after_a_401_without_a_restart(service):
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
    access.signer._next_refused = 0
    assert client.get_run(RUN_ID).id == RUN_ID
    assert service.problems == {"the signature does not match the token": 2}


async def test_a_401_with_nothing_new_to_sign_with_is_told_at_once(service):
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


def test_a_401_of_one_thread_is_no_matter_of_what_another_has_signed_with(service):
    """Both share a client; while one waits for its answer, the other has signed with what is new."""
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
                # Nothing is renewed now: there is something new already.
                access.signer._next_refused = time.monotonic() + 60

        client.sdk.get_run = get_run_elsewhere_first
        assert client.get_run(RUN_ID).id == RUN_ID


@pytest.mark.slow
def test_no_mismatched_signature_in_a_hundred_thousand_while_refreshing():
    """Eight threads sign while tokens run out, and while 401s make them renew at odd moments."""
    # Short keys, for more signatures a second: it is the moments that count.
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
                signer._next_refused = 0
                signer.renewed(signer.current())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert problems == []
    assert sum(done) >= 100_000
    assert issuer.signed_in > 20


class Files:
    """A resource principal's token and key in files, which are rewritten one after the other, in no order.

    :param names: of the variables that name them.
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
    """Threads that take turns a hundred times as often: what can happen between two lines does."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(interval)


def test_no_mismatched_signature_while_token_and_key_are_rewritten(files, restless_threads):
    """Eight threads sign and renew all the time; who rewrites the files has always just begun."""
    signer = SharedSigner(ResourcePrincipal())
    signer.current()
    until = time.monotonic() + 4
    problems: list[str] = []
    renewals = [0] * 8

    def work(n: int) -> None:
        while time.monotonic() < until:
            if problem := signed(signer):
                problems.append(problem)
            signer._next_refused = 0
            try:
                renewals[n] += signer.renewed(signer.current())
            except InvalidConnection:
                continue  # half a token, for longer than it waits for the other half: the old one serves

    def rewrite() -> None:
        while time.monotonic() < until:
            files.rewrite(pause=0.005)

    with ThreadPoolExecutor(9) as pool:
        for done in [pool.submit(rewrite), *(pool.submit(work, n) for n in range(8))]:
            done.result()
    assert problems == []
    assert sum(renewals) > 20
    assert files.written > 20
