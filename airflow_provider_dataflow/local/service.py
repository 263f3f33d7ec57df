"""The service: takes a request, finds out who sent it, lets an operation answer it, and keeps the journal."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from airflow_provider_dataflow.local.api.admin import AdminApi
from airflow_provider_dataflow.local.api.applications import ApplicationsApi
from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.pools import PoolsApi
from airflow_provider_dataflow.local.api.private_endpoints import PrivateEndpointsApi
from airflow_provider_dataflow.local.api.run_logs import RunLogsApi
from airflow_provider_dataflow.local.api.runs import RunsApi
from airflow_provider_dataflow.local.api.sql_endpoints import SqlEndpointsApi
from airflow_provider_dataflow.local.api.statements import StatementsApi
from airflow_provider_dataflow.local.api.work_requests import WorkRequestsApi
from airflow_provider_dataflow.local.console import Console
from airflow_provider_dataflow.local.engines.base import Engine
from airflow_provider_dataflow.local.engines.scripted import ScriptedEngine
from airflow_provider_dataflow.local.http.faults import Call, Faults, Kind
from airflow_provider_dataflow.local.http.journal import Journal
from airflow_provider_dataflow.local.http.keys import KeyRing
from airflow_provider_dataflow.local.http.messages import (
    ApiError,
    Delivery,
    Request,
    Response,
    Route,
    Router,
    split_path,
)
from airflow_provider_dataflow.local.http.signatures import NoVerifier, SignatureVerifier, is_too_far_off
from airflow_provider_dataflow.local.state.clock import Clock, from_rfc3339
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.run_lifecycle import RunLifecycle
from airflow_provider_dataflow.local.state.run_logs import LogFolder
from airflow_provider_dataflow.local.state.store import KINDS, RUNS, Filter, Store
from airflow_provider_dataflow.models.run import TERMINAL_STATES, LifecycleState

log = logging.getLogger(__name__)

API_VERSION = "20200129"
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_MAX_REQUEST_ID = 255
# The status, in the journal, of a request whose connection was closed before anything was done.
NO_ANSWER = 0
# What a reset waits for the processes of runs to end.
_RESET_SECONDS = 30.0


class Service:
    """``handle`` may be called from any thread; requests are answered one after the other."""

    def __init__(
        self,
        *,
        runs_folder: Path,
        store: Store,
        engine: Engine,
        keys: KeyRing,
        limit: int | None,
        options: Options | None = None,
        clock: Clock | None = None,
        spark_version: str | None = None,
    ) -> None:
        self.options = options or Options()
        self.journal = Journal()
        self.faults = Faults()
        self.lifecycle = RunLifecycle(store, engine, limit=limit, clock=clock, options=self.options)
        self._hosts = _LOOPBACK_HOSTS | {host.lower() for host in self.options.allowed_hosts}
        self._store = store
        self._keys = keys
        self._runs_folder = runs_folder
        self._scripted = engine if isinstance(engine, ScriptedEngine) else None
        if self._scripted is not None:
            self._scripted.use_time(self.lifecycle.timeline)
            self.lifecycle.on_submit = self._scripted.admit
        self._verifier = SignatureVerifier(keys) if self.options.verify_signatures else NoVerifier()
        context = Context(
            store=store,
            lifecycle=self.lifecycle,
            options=self.options,
            logs=self._logs,
            spark_version=spark_version,
        )
        self._api = Router(
            _routes(
                ApplicationsApi(context),
                RunsApi(context),
                RunLogsApi(context),
                StatementsApi(context),
                PoolsApi(context),
                PrivateEndpointsApi(context),
                WorkRequestsApi(context),
                SqlEndpointsApi(),
            )
        )
        self._local = Router(
            _routes(
                AdminApi(context, self.journal, self.faults, self._scripted, self.reset, keys),
                Console(context, self.journal),
            )
        )

    def _logs(self, run_id: str) -> LogFolder:
        record = self._store.get(RUNS, run_id) if self._scripted is not None else None
        if self._scripted is not None and record is not None:
            self._scripted.write_logs(record)
        return LogFolder(self._runs_folder / run_id / "logs")

    def start(self) -> None:
        """Account for the past; runs may start from here on."""
        self.lifecycle.recover()

    def close(self) -> None:
        self.lifecycle.close()
        with self.lifecycle.lock:
            self._store.close()

    def reset(self) -> Iterator[bytes]:
        """Forget everything, under the lock; what comes back waits, without the lock, for what still ends."""
        folders = list(self._runs_folder.iterdir()) if self._runs_folder.is_dir() else []
        if self._scripted is not None:
            self._scripted.reset()
        self.lifecycle.reset()
        if self._scripted is not None:
            self.lifecycle.forgotten.clear()  # nothing is left that could end
        self.journal.clear()
        self.faults.clear()
        self._keys.clear_tokens()

        def finish() -> Iterator[bytes]:
            deadline = time.monotonic() + _RESET_SECONDS
            while self.lifecycle.forgotten and time.monotonic() < deadline:
                time.sleep(0.02)
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            yield b"{}"

        return finish()

    def handle(self, request: Request) -> Response:
        request.notes["requestId"] = _request_id(request.headers.get("opc-request-id"))
        return self._answer(request, lambda: self._handle(request))

    def _answer(self, request: Request, handle: Callable[[], Response]) -> Response:
        request_id = request.notes["requestId"]
        with self.lifecycle.lock:
            try:
                response = handle()
            except ApiError as e:
                request.notes["code"] = e.code
                response = e.response()
            except Exception:
                log.exception("%s %s", request.method, request.target)
                request.notes["code"] = "InternalServerError"
                response = ApiError(500, "InternalServerError", "Internal error.").response()
            if response.delivery is None or response.delivery.late is None:
                self._write_down(request, response)
        response.headers["opc-request-id"] = request_id
        return response

    def _handle(self, request: Request) -> Response:
        self._check_host(request)
        segments = split_path(request.path)
        if segments and segments[0] == API_VERSION:
            request.notes["api"] = True
            # Before the signature is checked, so that the journal tells also what was rejected.
            try:
                route, values = self._api.find(request.method, segments[1:])
            except ApiError:
                request.principal = self._verifier.verify(request)
                raise
            request.notes["operation"] = route.operation
            request.notes["resourceId"] = next(iter(values.values()), None)
            request.principal = self._verifier.verify(request)
            self.lifecycle.settle()
            if self.faults:
                return self._with_faults(route, values, request)
            return route.handler(request, **values)
        route, values = self._local.find(request.method, segments)
        _check_same_origin(request)
        self.lifecycle.settle()
        return route.handler(request, **values)

    def _with_faults(self, route: Route, values: dict[str, str], request: Request) -> Response:
        """Answer, unless a fault applies, which then has its way."""
        resource_id = next(iter(values.values()), None)
        call = Call(
            operation=route.operation,
            resource_id=resource_id,
            user=request.principal.user if request.principal else None,
            now=self.lifecycle.now(),
            created=lambda: self._created(resource_id),
            live_runs=self._live_runs,
            too_far_off=lambda skew: is_too_far_off(request, time.time() + skew),
        )
        active = self.faults.pick(call)
        if active is None:
            response = route.handler(request, **values)
            replayed = request.notes.get("replayed")
            active = self.faults.pick(replace(call, replayed=True)) if replayed else None
            if active is None:
                return _without(response, self.faults.hidden(call))
            request.notes["fault"] = active.note()
            raise active.fault.error()
        request.notes["fault"] = active.note()
        if active.fault.kind == Kind.DROP:
            return Response(NO_ANSWER, delivery=active.fault.delivery())
        if active.fault.kind == Kind.LATE:
            answer = partial(self._answer_late, route, values, request)
            return Response(NO_ANSWER, delivery=Delivery(delay=active.fault.seconds or 0.0, late=answer))
        if not active.fault.is_carried_out:
            raise active.fault.error()
        try:
            response = route.handler(request, **values)
        except ApiError as e:
            request.notes["code"] = e.code
            response = e.response()
        response.delivery = active.fault.delivery()
        return response

    def _answer_late(
        self, route: Route, values: dict[str, str], request: Request, is_wanted: bool
    ) -> Response:
        """:param is_wanted: whether the client is still there; otherwise nothing is done"""

        def answer() -> Response:
            self.lifecycle.settle()
            return route.handler(request, **values)

        return self._answer(request, answer if is_wanted else lambda: Response(NO_ANSWER))

    def _created(self, resource_id: str | None) -> float | None:
        for kind in KINDS if resource_id is not None else ():
            record = self._store.get(kind, str(resource_id))
            if record is not None and record.body.get("timeCreated"):
                return from_rfc3339(record.body["timeCreated"])
        return None

    def _live_runs(self) -> int:
        live = [state for state in LifecycleState if state not in TERMINAL_STATES]
        return sum(self._store.count(RUNS, [Filter("state", "=", state)]) for state in live)

    def _check_host(self, request: Request) -> None:
        """Keep out web pages that have their own name resolve to loopback.

        :raises ApiError: 400
        """
        host = request.headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() not in self._hosts:
            raise ApiError(400, "InvalidParameter", "The Host header names another host.")

    def _write_down(self, request: Request, response: Response) -> None:
        notes = request.notes
        if not notes.pop("api", False):
            return
        self.journal.add(
            time=time.time(),
            operation=notes.pop("operation", "Unknown"),
            method=request.method,
            target=request.target,
            status=response.status,
            resource_id=notes.pop("resourceId", None),
            user=request.principal.user if request.principal else None,
            user_agent=request.headers.get("user-agent"),
            request_id=notes["requestId"],
            retry_token=request.headers.get("opc-retry-token"),
            code=notes.pop("code", None),
            notes={k: v for k, v in notes.items() if k != "requestId"},
        )


def _without(response: Response, hidden: set[str]) -> Response:
    """A list without these resources. A page may get shorter, as the service's pages may be, too."""
    if not hidden or not isinstance(response.body, bytes) or not response.body:
        return response
    body = json.loads(response.body)
    items = body.get("items") if isinstance(body, dict) else body
    if not isinstance(items, list):
        return response
    items[:] = [item for item in items if item.get("id") not in hidden]
    return Response.of_json(body, response.status, response.headers)


class _Api(Protocol):
    def routes(self) -> Iterator[Route]: ...


def _routes(*apis: _Api) -> Iterable[Route]:
    for api in apis:
        yield from api.routes()


def _request_id(given: str | None) -> str:
    """The client's part first, then ours, as the service does it."""
    random = secrets.token_hex(48).upper()
    first = random[64:]
    if given and len(given) <= _MAX_REQUEST_ID and given.isascii() and given.isprintable():
        first = given.partition("/")[0]
    return f"{first}/{random[:32]}/{random[32:64]}"


def _check_same_origin(request: Request) -> None:
    """What is not signed must not be changed by another site's page.

    :raises ApiError: 403
    """
    if request.method in ("GET", "HEAD"):
        return
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
        origin is not None and origin.partition("://")[2] != request.headers.get("host")
    ):
        raise ApiError(403, "NotAllowed", "Requests from other sites are not allowed.")
