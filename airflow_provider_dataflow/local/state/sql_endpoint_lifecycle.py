"""Life cycle of SQL endpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from enum import StrEnum

from airflow_provider_dataflow.local.engines.base import Engine, SqlEndpointEngine
from airflow_provider_dataflow.local.http.messages import JSON, ApiError
from airflow_provider_dataflow.local.state.clock import Timeline
from airflow_provider_dataflow.local.state.managed_lifecycle import ManagedLifecycle
from airflow_provider_dataflow.local.state.options import Options
from airflow_provider_dataflow.local.state.sql_servers import SqlServers, remember_port
from airflow_provider_dataflow.local.state.store import SQL_ENDPOINTS, Record, Store
from airflow_provider_dataflow.local.state.transitions import Transitions, is_settled, last_state
from airflow_provider_dataflow.local.state.work_requests import WorkRequests

log = logging.getLogger(__name__)


class SqlEndpointLifecycleState(StrEnum):
    CREATING = "CREATING"
    ACTIVE = "ACTIVE"
    DELETING = "DELETING"
    DELETED = "DELETED"
    FAILED = "FAILED"  # its server could not start
    UPDATING = "UPDATING"
    NEEDS_ATTENTION = "NEEDS_ATTENTION"  # never entered: its cause is not documented
    INACTIVE = "INACTIVE"


State = SqlEndpointLifecycleState


class SqlEndpointLifecycle(ManagedLifecycle):
    """Changes of SQL endpoints, each with a work request. A stopped endpoint is INACTIVE.

    The states between INACTIVE and ACTIVE are not published; UPDATING is the only one that fits.

    With an engine that has servers for SQL endpoints, each ACTIVE endpoint has one. An endpoint becomes
    ACTIVE when its server accepts queries, and INACTIVE or DELETED when no process of it is left.

    :param settled: context in which the service's state is locked and up to date.
    :param forgotten: ids of endpoints that a reset deleted, and whose servers have not ended yet.
    """

    noun = "SQL endpoint"
    work_request_noun = "SQL_ENDPOINT"

    def __init__(
        self,
        store: Store,
        timeline: Timeline,
        options: Options,
        *,
        work_requests: WorkRequests,
        engine: Engine,
        settled: Callable[[], AbstractContextManager[None]],
        forgotten: set[str],
    ) -> None:
        super().__init__(options, work_requests)
        self._store = store
        self._forgotten = forgotten
        self.transitions = Transitions(
            store, SQL_ENDPOINTS, timeline=timeline, entered=self._entered, may_leave=self._may_leave
        )
        self._servers: SqlServers | None = None
        if isinstance(engine, SqlEndpointEngine):
            self._servers = SqlServers(
                engine,
                settled=settled,
                changed=self.transitions.retry,
                died=self._server_died,
                gone=forgotten.discard,
            )

    def resume(self) -> None:
        """Continue the changes of an earlier server process, and start the servers of ACTIVE endpoints."""
        self.transitions.resume()
        for record in self._store.select(SQL_ENDPOINTS):
            if not is_settled(record):
                self._prepare_last_state(record)
            elif record.body["lifecycleState"] != State.ACTIVE:
                continue
            elif self._servers is not None:
                self._restart(record)
            elif (url := _made_up_jdbc_url(record)) != record.body["jdbcEndpointUrl"]:
                # The earlier server process had an engine with servers.
                record.body["jdbcEndpointUrl"] = url
                self._store.update(SQL_ENDPOINTS, record)

    def clear(self) -> None:
        """Forget all endpoints, and end their servers."""
        self.transitions.clear()
        if self._servers is not None:
            for record in self._store.select(SQL_ENDPOINTS):
                if self._servers.forget(record.id):
                    self._forgotten.add(record.id)

    def _begin(self, verb: str, record: Record, path: str) -> str:
        record.body["stateMessage"] = None
        return super()._begin(verb, record, path)

    def create(self, record: Record, path: str) -> str:
        _check_counts(record.body)
        request = self._begin("CREATE", record, path)
        self._go(record, State.CREATING, State.ACTIVE)
        return request

    def start(self, record: Record, path: str) -> str:
        self._check_state(record, "started", State.INACTIVE)
        request = self._begin("START", record, path)
        self._go(record, State.UPDATING, State.ACTIVE)
        return request

    def stop(self, record: Record, path: str) -> str:
        self._check_state(record, "stopped", State.ACTIVE)
        request = self._begin("STOP", record, path)
        self._go(record, State.UPDATING, State.INACTIVE)
        return request

    def update(self, record: Record, details: JSON, path: str, verb: str = "UPDATE") -> str:
        self._check_state(record, "updated", State.ACTIVE, State.INACTIVE)
        _check_counts({**record.body, **details})
        request = self._begin(verb, record, path)
        record.body.update(details)
        self._go(record, State.UPDATING, record.body["lifecycleState"])
        return request

    def delete(self, record: Record, path: str) -> str:
        self._check_state(record, "deleted", State.ACTIVE, State.INACTIVE, State.FAILED)
        request = self._begin("DELETE", record, path)
        self._go(record, State.DELETING, State.DELETED)
        return request

    def maintain(self, record: Record, seconds: float | None = None) -> None:
        """Put an endpoint into maintenance: UPDATING, then ACTIVE again, without a work request.

        :param seconds: duration. Default: that of other changes.
        """
        self._check_state(record, "maintained", State.ACTIVE)
        duration = self._options.transition_seconds if seconds is None else seconds
        self.transitions.start(record, duration, State.UPDATING, State.ACTIVE)

    def _restart(self, record: Record, reason: str | None = None) -> None:
        """Replace the server of an ACTIVE endpoint, as in a maintenance.

        :param reason: why its server ended.
        """
        record.body["stateMessage"] = reason
        self._go(record, State.UPDATING, State.ACTIVE)

    def _entered(self, record: Record) -> None:
        state = record.body["lifecycleState"]
        record.body["jdbcEndpointUrl"] = self._jdbc_url(record) if state == State.ACTIVE else None
        if state == State.FAILED:
            self._work_requests.fail(record, record.body["stateMessage"])
            return
        self._prepare_last_state(record)
        self.finish_if_settled(record)

    def _jdbc_url(self, record: Record) -> str | None:
        if self._servers is None:
            return _made_up_jdbc_url(record)
        if url := self._servers.url(record.id):
            remember_port(record.internal, url)
        return url

    # --- Servers --------------------------------------------------------------------------------------------

    def _prepare_last_state(self, record: Record) -> None:
        """Start or end the server of an endpoint, as its last state needs."""
        if self._servers is None:
            return
        if record.body["lifecycleState"] == State.DELETED:
            self._servers.forget(record.id)
        elif is_settled(record):
            return
        elif last_state(record) == State.ACTIVE:
            self._servers.renew(record.body, record.internal)
        else:
            self._servers.stop(record.id)

    def _may_leave(self, record: Record) -> bool:
        if self._servers is None:
            return True
        if last_state(record) == State.ACTIVE:
            return self._servers.url(record.id) is not None
        return not self._servers.exists(record.id)

    def _server_died(self, endpoint_id: str, details: str) -> None:
        """Start the server of an endpoint again if it has been ACTIVE, else let the endpoint fail."""
        record = self._store.get(SQL_ENDPOINTS, endpoint_id)
        if record is None:
            return
        log.warning("SQL endpoint %s: %s", endpoint_id, details)
        if record.body["lifecycleState"] == State.ACTIVE:
            self._restart(record, details)
        else:
            record.body["stateMessage"] = details
            self.transitions.start(record, 0, State.FAILED)


def _made_up_jdbc_url(record: Record) -> str:
    """Return a URL in the form of the service. The host does not exist."""
    return f"jdbc:spark://{record.id[-12:]}.sqlendpoint.invalid:443/default;SparkServerType=DFI"


def _check_counts(body: JSON) -> None:
    if body["minExecutorCount"] > body["maxExecutorCount"]:
        raise ApiError(400, "InvalidParameter", "minExecutorCount must not be larger than maxExecutorCount.")
