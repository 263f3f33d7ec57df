"""Service: authenticates requests, calls the handlers of operations, applies faults and keeps the journal."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from airflow_provider_dataflow.local.api.admin import AdminApi
from airflow_provider_dataflow.local.api.admin_resources import AdminResourcesApi
from airflow_provider_dataflow.local.api.applications import ApplicationsApi
from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.named_resources import denial, named_resources, resource_in_path
from airflow_provider_dataflow.local.api.object_storage.api import ObjectStorageApi
from airflow_provider_dataflow.local.api.object_storage.paths import is_object_storage_path, without_token
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
from airflow_provider_dataflow.local.http.active_faults import ActiveFault, ActiveFaults, RequestFacts
from airflow_provider_dataflow.local.http.faults import FaultKind
from airflow_provider_dataflow.local.http.incoming_body import IncomingBody
from airflow_provider_dataflow.local.http.journal import Journal
from airflow_provider_dataflow.local.http.keys import KeyRing
from airflow_provider_dataflow.local.http.messages import (
    ApiError,
    Request,
    Response,
    ResponseFault,
    Route,
    Router,
    split_path,
)
from airflow_provider_dataflow.local.http.origins import (
    LOOPBACK_HOSTS,
    check_host,
    check_same_origin,
)
from airflow_provider_dataflow.local.http.signatures import (
    SignatureVerifier,
    TrustAllVerifier,
    exceeds_clock_skew,
)
from airflow_provider_dataflow.local.state.clock import Clock, from_rfc3339
from airflow_provider_dataflow.local.state.objects.storage import ObjectStorage
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.run_lifecycle import RunLifecycle
from airflow_provider_dataflow.local.state.run_logs import LogFolder
from airflow_provider_dataflow.local.state.store import KINDS, RUNS, Store

log = logging.getLogger(__name__)

API_VERSION = "20200129"
_MAX_REQUEST_ID_LENGTH = 255
# Status in the journal of a request that was not carried out and got no response.
NO_RESPONSE_STATUS = 0
# How long a reset waits for the processes of runs to end.
_RESET_TIMEOUT_SECONDS = 30.0


class Service:
    """Data Flow service without a network.

    ``handle`` may be called from any thread. Requests to Data Flow are handled one at a time; those to Object
    Storage do not wait for each other, because large objects take long.

    :param runs_folder: holds a folder with the logs of each run
    :param objects: buckets and objects
    :param limit: most runs at the same time; ``None``: no limit
    :param spark_version: version of the installed Spark; ``None``: runs do not execute
    """

    def __init__(
        self,
        *,
        runs_folder: Path,
        objects: ObjectStorage,
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
        self.faults = ActiveFaults()
        self.lifecycle = RunLifecycle(store, engine, limit=limit, clock=clock, options=self.options)
        self._hosts = LOOPBACK_HOSTS | {host.lower() for host in self.options.allowed_hosts}
        self._store = store
        self._keys = keys
        self._runs_folder = runs_folder
        self._scripted = engine if isinstance(engine, ScriptedEngine) else None
        if self._scripted is not None:
            self._scripted.use_timeline(self.lifecycle.timeline)
            self.lifecycle.on_submit = self._scripted.prepare
        self._verifier = SignatureVerifier(keys) if self.options.verify_signatures else TrustAllVerifier()
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
                SqlEndpointsApi(context),
            )
        )
        self._object_storage = ObjectStorageApi(objects, self.lifecycle.now)
        self._local = Router(
            _routes(
                AdminApi(context, self.journal, self.faults, self._scripted, self.reset, keys),
                AdminResourcesApi(context, self._scripted),
                Console(context, self.journal),
            )
        )

    def _logs(self, run_id: str) -> LogFolder:
        record = self._store.get(RUNS, run_id) if self._scripted is not None else None
        if self._scripted is not None and record is not None:
            self._scripted.write_logs(record)
        return LogFolder(self._runs_folder / run_id / "logs")

    def start(self) -> None:
        """Recover the runs of an earlier server, then let runs start."""
        self._object_storage.recover()
        self.lifecycle.recover()

    def close(self) -> None:
        self.lifecycle.close()
        with self.lifecycle.lock:
            self._store.close()

    def reset(self) -> Iterator[bytes]:
        """Delete all resources, faults, rules, tokens and journal entries; the caller holds the lock.

        :return: body of the response; reading it, without the lock, waits until the processes of runs end
        """
        folders = list(self._runs_folder.iterdir()) if self._runs_folder.is_dir() else []
        if self._scripted is not None:
            self._scripted.reset()
        self.lifecycle.reset()
        if self._scripted is not None:
            self.lifecycle.forgotten.clear()  # scripted runs have no processes to wait for
        self.journal.clear()
        self.faults.clear()
        self._keys.clear_tokens()
        self._object_storage.reset()

        def finish() -> Iterator[bytes]:
            deadline = time.monotonic() + _RESET_TIMEOUT_SECONDS
            while self.lifecycle.forgotten and time.monotonic() < deadline:
                time.sleep(0.02)
            for folder in folders:
                shutil.rmtree(folder, ignore_errors=True)
            yield b"{}"

        return finish()

    def is_blocking(self, request: Request) -> bool:
        """Return whether ``handle`` may take long: requests to Object Storage read and write large files."""
        return is_object_storage_path(request.path)

    def open_upload(self, request: Request) -> IncomingBody | Response | None:
        """Return where to write the body of a request to Object Storage; a response refuses the request.

        ``None``: the body is read into memory.
        """
        _add_request_id(request)
        try:
            route, values = self._object_storage.find(request)
        except ApiError:
            return None  # handle() says so
        if route.open_upload is None:
            return None
        try:
            check_host(request, self._hosts)
            self._authenticate(request, route, values)
            return route.open_upload(request, **values)
        except Exception as e:  # noqa: BLE001 - reported like an error of the handler
            return self._respond(request, partial(_raise, e))

    def handle(self, request: Request) -> Response:
        _add_request_id(request)
        return self._respond(request, lambda: self._dispatch(request))

    def _respond(self, request: Request, handle: Callable[[], Response]) -> Response:
        with nullcontext() if self.is_blocking(request) else self.lifecycle.lock:
            try:
                response = handle()
            except ApiError as e:
                request.notes["code"] = e.code
                response = e.response()
            except Exception:
                log.exception("%s %s", request.method, without_token(request.target))
                request.notes["code"] = "InternalServerError"
                response = ApiError(500, "InternalServerError", "Internal error.").response()
            if response.fault is None or response.fault.handle_late is None:
                self._add_to_journal(request, response)
        response.headers["opc-request-id"] = request.notes["requestId"]
        return response

    def _dispatch(self, request: Request) -> Response:
        check_host(request, self._hosts)
        segments = split_path(request.path)
        is_object_storage = is_object_storage_path(request.path)
        if not is_object_storage and segments[:1] != [API_VERSION]:
            route, values = self._local.find(request.method, segments)
            check_same_origin(request)
            self.lifecycle.settle()
            return route.handler(request, **values)
        request.notes["api"] = True
        try:
            if is_object_storage:
                route, values = self._object_storage.find(request)
            else:
                route, values = self._api.find(request.method, segments[1:])
        except ApiError:
            request.principal = self._verifier.verify(request)
            raise
        self._authenticate(request, route, values)
        with self.lifecycle.lock:
            self.lifecycle.settle()
        if self.faults:
            return self._handle_with_faults(route, values, request)
        return route.handler(request, **values)

    def _authenticate(self, request: Request, route: Route, values: dict[str, str]) -> None:
        """Find out who sent a request, and note the operation for the journal, also that of a rejected one.

        :raises ApiError: 401
        """
        request.notes.update(api=True, operation=route.operation, resourceId=resource_in_path(values))
        if request.principal is None and self.is_blocking(request):
            request.principal = self._object_storage.authorize(request, route, values)
        if request.principal is None:
            request.principal = self._verifier.verify(request, is_upload=route.open_upload is not None)

    def _handle_with_faults(self, route: Route, values: dict[str, str], request: Request) -> Response:
        """Call the handler, and apply the first fault that matches the request."""
        resource_id = resource_in_path(values)
        facts = RequestFacts(
            operation=route.operation,
            resource_id=resource_id,
            user=request.principal.user if request.principal else None,
            now=self.lifecycle.now(),
            names=lambda resource: resource in named_resources(request, values, self._store),
            created=lambda: self._created(resource_id),
            live_runs=lambda: self.lifecycle.live_runs.count,
            exceeds_clock_skew=lambda skew: exceeds_clock_skew(request, time.time() + skew),
        )
        active = self._pick_fault(facts)
        if active is None:
            response = route.handler(request, **values)
            replayed = request.notes.get("replayed")
            active = self._pick_fault(replace(facts, replayed=True)) if replayed else None
            if active is None:
                return _without_resources(response, self.faults.hidden_resources(facts))
            request.notes["fault"] = active.note()
            raise active.fault.error()
        request.notes["fault"] = active.note()
        if active.fault.kind == FaultKind.DROP:
            return Response(NO_RESPONSE_STATUS, fault=active.fault.response_fault())
        if active.fault.kind == FaultKind.LATE:
            handle_late = partial(self._handle_late, route, values, request)
            fault = ResponseFault(delay_seconds=active.fault.seconds or 0.0, handle_late=handle_late)
            return Response(NO_RESPONSE_STATUS, fault=fault)
        if active.fault.kind == FaultKind.DENY:
            named = named_resources(request, values, self._store)
            raise denial(values, named, active.fault.resource_id)
        if not active.fault.is_carried_out:
            raise active.fault.error()
        try:
            response = route.handler(request, **values)
        except ApiError as e:
            request.notes["code"] = e.code
            response = e.response()
        response.fault = active.fault.response_fault()
        return response

    def _pick_fault(self, facts: RequestFacts) -> ActiveFault | None:
        with self.lifecycle.lock:
            return self.faults.pick(facts)

    def _handle_late(
        self, route: Route, values: dict[str, str], request: Request, is_connected: bool
    ) -> Response:
        """Handle a delayed request.

        :param is_connected: if the client has disconnected, the request is not carried out
        """

        def handle() -> Response:
            with self.lifecycle.lock:
                self.lifecycle.settle()
            return route.handler(request, **values)

        return self._respond(request, handle if is_connected else lambda: Response(NO_RESPONSE_STATUS))

    def _created(self, resource_id: str | None) -> float | None:
        """Return when a resource was created; ``None``: it does not exist."""
        for kind in KINDS if resource_id is not None else ():
            record = self._store.get(kind, str(resource_id))
            if record is not None and record.body.get("timeCreated"):
                return from_rfc3339(record.body["timeCreated"])
        return None

    def _add_to_journal(self, request: Request, response: Response) -> None:
        notes = request.notes
        if not notes.pop("api", False):
            return
        with self.lifecycle.lock:
            self.journal.add(
                time=time.time(),
                operation=notes.pop("operation", "Unknown"),
                method=request.method,
                target=without_token(request.target),
                status=response.status,
                resource_id=notes.pop("resourceId", None),
                user=request.principal.user if request.principal else None,
                user_agent=request.headers.get("user-agent"),
                request_id=notes["requestId"],
                retry_token=request.headers.get("opc-retry-token"),
                code=notes.pop("code", None),
                notes={k: v for k, v in notes.items() if k != "requestId"},
            )


def _without_resources(response: Response, hidden: set[str]) -> Response:
    """Return the list without these resources. The page gets shorter, as pages of the real service may be."""
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


def _raise(error: Exception) -> Response:
    raise error


def _add_request_id(request: Request) -> None:
    if "requestId" not in request.notes:
        request.notes["requestId"] = _request_id(request.headers.get("opc-request-id"))


def _request_id(given: str | None) -> str:
    """Return a request id like those of the real service: the client's part, then two random parts."""
    random = secrets.token_hex(48).upper()
    first = random[64:]
    if given and len(given) <= _MAX_REQUEST_ID_LENGTH and given.isascii() and given.isprintable():
        first = given.partition("/")[0]
    return f"{first}/{random[:32]}/{random[32:64]}"
