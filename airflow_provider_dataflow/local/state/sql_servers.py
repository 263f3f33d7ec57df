"""Servers behind SQL endpoints: which endpoint has one, and its restarts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from urllib.parse import urlsplit

from airflow_provider_dataflow.local.engines.base import SqlEndpointEngine
from airflow_provider_dataflow.local.http.messages import JSON

# Port of an endpoint's last server, which its next one gets, too, if it is free.
_PORT = "sqlPort"


@dataclass(slots=True)
class _Server:
    #: JDBC URL; ``None`` until the server accepts queries.
    url: str | None = None
    is_ending: bool = False


class SqlServers:
    """At most one server per endpoint. Called under the service's lock, except by the engine.

    :param settled: context in which the service's state is locked and up to date.
    :param changed: called with an endpoint's id when its server is ready, or has ended as requested.
    :param died: called with an endpoint's id and the reason when its server has ended by itself.
    :param gone: called with the id of an endpoint that was forgotten, when its server has ended.
    """

    def __init__(
        self,
        engine: SqlEndpointEngine,
        *,
        settled: Callable[[], AbstractContextManager[None]],
        changed: Callable[[str], None],
        died: Callable[[str, str], None],
        gone: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._settled = settled
        self._changed = changed
        self._died = died
        self._gone = gone
        self._servers: dict[str, _Server] = {}
        # Endpoints whose server starts when the current one has ended.
        self._waiting: dict[str, tuple[JSON, JSON]] = {}
        # Endpoints that were deleted while their server was ending.
        self._forgotten: set[str] = set()
        engine.bind_sql_endpoints(self._ready, self._ended)

    def renew(self, endpoint: JSON, internal: JSON) -> None:
        """Start a server of an endpoint. If there is one, end it first.

        :param endpoint: body of the endpoint as in the API.
        :param internal: fields that the service stores with the endpoint, but does not show.
        """
        id_ = endpoint["id"]
        self._waiting[id_] = (endpoint, internal)
        if id_ in self._servers:
            self._end(id_)
        else:
            self._start(id_)

    def stop(self, endpoint_id: str) -> None:
        self._waiting.pop(endpoint_id, None)
        if endpoint_id in self._servers:
            self._end(endpoint_id)

    def exists(self, endpoint_id: str) -> bool:
        return endpoint_id in self._servers

    def url(self, endpoint_id: str) -> str | None:
        """Return the JDBC URL of an endpoint's server; ``None`` if there is none, or it is not ready."""
        server = self._servers.get(endpoint_id)
        return None if server is None or server.is_ending else server.url

    def forget(self, endpoint_id: str) -> bool:
        """Delete the files of an endpoint. Return whether its server must end first, see ``gone``."""
        self.stop(endpoint_id)
        if endpoint_id in self._servers:
            self._forgotten.add(endpoint_id)
            return True
        self._engine.forget_sql_endpoint(endpoint_id)
        return False

    def _start(self, endpoint_id: str) -> None:
        endpoint, internal = self._waiting.pop(endpoint_id)
        self._servers[endpoint_id] = _Server()
        self._engine.start_sql_endpoint(dict(endpoint), internal.get(_PORT))

    def _end(self, endpoint_id: str) -> None:
        self._servers[endpoint_id].is_ending = True
        self._engine.stop_sql_endpoint(endpoint_id)

    # --- Called by the engine -------------------------------------------------------------------------------

    def _ready(self, endpoint_id: str, url: str) -> None:
        with self._settled():
            server = self._servers.get(endpoint_id)
            if server is not None and not server.is_ending:
                server.url = url
                self._changed(endpoint_id)

    def _ended(self, endpoint_id: str, details: str) -> None:
        with self._settled():
            server = self._servers.pop(endpoint_id, None)
            if endpoint_id in self._forgotten:
                self._forgotten.discard(endpoint_id)
                self._engine.forget_sql_endpoint(endpoint_id)
                self._gone(endpoint_id)
            elif endpoint_id in self._waiting:
                self._start(endpoint_id)
            elif server is not None and server.is_ending:
                self._changed(endpoint_id)
            elif server is not None:
                self._died(endpoint_id, details)


def remember_port(internal: JSON, url: str) -> None:
    """Keep the port of a JDBC URL for the endpoint's next server."""
    internal[_PORT] = urlsplit(url.removeprefix("jdbc:")).port
