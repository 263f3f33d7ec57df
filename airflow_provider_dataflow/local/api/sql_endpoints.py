"""Operations of SQL endpoints, all of which respond 501."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.http.messages import ApiError, Request, Response, Route


class SqlEndpointsApi:
    def routes(self) -> Iterator[Route]:
        every, one = "/sqlEndpoints", "/sqlEndpoints/{sql_endpoint_id}"
        yield Route("CreateSqlEndpoint", "POST", every, self.refuse)
        yield Route("ListSqlEndpoints", "GET", every, self.refuse)
        yield Route("GetSqlEndpoint", "GET", one, self.refuse)
        yield Route("UpdateSqlEndpoint", "PUT", one, self.refuse)
        yield Route("DeleteSqlEndpoint", "DELETE", one, self.refuse)
        yield Route("StartSqlEndpoint", "POST", f"{one}/actions/start", self.refuse)
        yield Route("StopSqlEndpoint", "POST", f"{one}/actions/stop", self.refuse)
        yield Route("ChangeSqlEndpointCompartment", "POST", f"{one}/actions/changeCompartment", self.refuse)

    def refuse(self, request: Request, sql_endpoint_id: str | None = None) -> Response:
        raise ApiError(501, "MethodNotImplemented", "Local Data Flow has no SQL endpoints.")
