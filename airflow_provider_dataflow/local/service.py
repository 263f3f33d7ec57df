"""The service: takes a request, finds out who sent it, lets an operation answer it, and keeps the journal."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Iterable
from pathlib import Path

from airflow_provider_dataflow.local.admin import AdminApi
from airflow_provider_dataflow.local.api.applications import ApplicationsApi
from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.run_logs import RunLogsApi
from airflow_provider_dataflow.local.api.runs import RunsApi
from airflow_provider_dataflow.local.clock import Clock
from airflow_provider_dataflow.local.console import Console
from airflow_provider_dataflow.local.engines.base import Engine
from airflow_provider_dataflow.local.http import ApiError, Request, Response, Route, Router, split_path
from airflow_provider_dataflow.local.journal import Journal
from airflow_provider_dataflow.local.keys import KeyRing
from airflow_provider_dataflow.local.lifecycle import Lifecycle
from airflow_provider_dataflow.local.logs import LogFolder
from airflow_provider_dataflow.local.options import Options
from airflow_provider_dataflow.local.signatures import NoVerifier, SignatureVerifier
from airflow_provider_dataflow.local.store import Store

log = logging.getLogger(__name__)

API_VERSION = "20200129"
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
_MAX_REQUEST_ID = 255


class Service:
    """``handle`` may be called from any thread; requests are answered one after the other."""

    def __init__(
        self,
        *,
        runs_folder: Path,
        store: Store,
        engine: Engine,
        keys: KeyRing,
        limit: int,
        options: Options | None = None,
        clock: Clock | None = None,
        spark_version: str | None = None,
    ) -> None:
        self.options = options or Options()
        self.journal = Journal()
        self.lifecycle = Lifecycle(store, engine, limit=limit, clock=clock)
        self._store = store
        self._verifier = SignatureVerifier(keys) if self.options.verify_signatures else NoVerifier()
        context = Context(
            store=store,
            lifecycle=self.lifecycle,
            options=self.options,
            logs=lambda run_id: LogFolder(runs_folder / run_id / "logs"),
            spark_version=spark_version,
        )
        self._api = Router(_routes(ApplicationsApi(context), RunsApi(context), RunLogsApi(context)))
        self._local = Router(_routes(AdminApi(context, self.journal), Console(context)))

    def start(self) -> None:
        """Account for the past; runs may start from here on."""
        self.lifecycle.recover()

    def close(self) -> None:
        self.lifecycle.close()
        with self.lifecycle.lock:
            self._store.close()

    def handle(self, request: Request) -> Response:
        request.notes["requestId"] = _request_id(request.headers.get("opc-request-id"))
        with self.lifecycle.lock:
            try:
                response = self._handle(request)
            except ApiError as e:
                request.notes["code"] = e.code
                response = e.response()
            except Exception:
                log.exception("%s %s", request.method, request.target)
                request.notes["code"] = "InternalServerError"
                response = ApiError(500, "InternalServerError", "Internal error.").response()
            self._write_down(request, response)
        response.headers["opc-request-id"] = request.notes["requestId"]
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
            return route.handler(request, **values)
        route, values = self._local.find(request.method, segments)
        _check_same_origin(request)
        self.lifecycle.settle()
        return route.handler(request, **values)

    def _check_host(self, request: Request) -> None:
        """Keep out web pages that have their own name resolve to loopback.

        :raises ApiError: 400
        """
        host = request.headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() not in _LOOPBACK_HOSTS | self.options.allowed_hosts:
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


def _routes(*apis: AdminApi | ApplicationsApi | Console | RunLogsApi | RunsApi) -> Iterable[Route]:
    for api in apis:
        yield from api.routes()


def _request_id(given: str | None) -> str:
    """The client's part first, then ours, as the service does it."""
    ours = f"{secrets.token_hex(16).upper()}/{secrets.token_hex(16).upper()}"
    if not given or len(given) > _MAX_REQUEST_ID or not given.isascii() or not given.isprintable():
        return f"{secrets.token_hex(16).upper()}/{ours}"
    return f"{given.partition('/')[0]}/{ours}"


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
