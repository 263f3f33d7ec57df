"""Synchronous client, for workers: operations on runs, applications, pools, SQL endpoints and statements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cached_property
from typing import Any

from airflow_provider_dataflow.client.applications import ApplicationClient
from airflow_provider_dataflow.client.pools import PoolClient
from airflow_provider_dataflow.client.responses import reading
from airflow_provider_dataflow.client.sdk_requests import PAGE_SIZE, SdkRequests, one_filter
from airflow_provider_dataflow.client.sql_endpoints import SqlEndpointClient
from airflow_provider_dataflow.client.statements import StatementClient
from airflow_provider_dataflow.exceptions import ServiceError, SubmitRejected, sentences
from airflow_provider_dataflow.models.run import Run, RunLog
from airflow_provider_dataflow.models.run_request import RunRequest

LOG_CHUNK_BYTES = 64 * 1024

#: Filters of ListRuns. The service accepts one of them besides the compartment.
RUN_FILTERS = (
    "application_id",
    "pool_id",
    "owner_principal_id",
    "display_name",
    "display_name_starts_with",
    "lifecycle_state",
    "time_created_greater_than",
)


class DataFlowClient(SdkRequests):
    """Synchronous client of Data Flow."""

    @cached_property
    def applications(self) -> ApplicationClient:
        return ApplicationClient(self)

    @cached_property
    def pools(self) -> PoolClient:
        return PoolClient(self)

    @cached_property
    def sql_endpoints(self) -> SqlEndpointClient:
        return SqlEndpointClient(self)

    @cached_property
    def statements(self) -> StatementClient:
        return StatementClient(self)

    def create_run(self, request: RunRequest, retry_token: str) -> Run:
        """CreateRun.

        :param retry_token: at most 64 characters. For 24 hours, another submit with the same token returns
            the same run.
        :raises SubmitRejected: the service refused the request; no run exists.
        :raises ServiceError: another error or no response; a run may exist.
        """
        headers = {"opc_retry_token": retry_token}
        if parent := request.opc_parent_rpt_url or self.access.parent_rpt_url:
            headers["opc_parent_rpt_url"] = parent
        try:
            return self.read(
                "CreateRun", Run.from_api, lambda: self.sdk.create_run(request.body(), **headers)
            )
        except ServiceError as error:
            if error.status in (400, 401, 403, 404, 413, 422):
                raise SubmitRejected(
                    operation=error.operation,
                    message=sentences(error.message, f"Requested: {request.subject}"),
                    status=error.status,
                    code=error.code,
                    opc_request_id=error.opc_request_id,
                    endpoint=error.endpoint,
                ) from None
            raise

    def get_run(self, run_id: str) -> Run:
        """GetRun.

        :raises ServiceError: the request failed, after retries.
        """
        return self.get_run_with_etag(run_id)[0]

    def get_run_with_etag(self, run_id: str) -> tuple[Run, str | None]:
        """GetRun, with the etag for :meth:`update_run`.

        :raises ServiceError: the request failed, after retries.
        """
        return self.read_with_etag("GetRun", Run.from_api, lambda: self.sdk.get_run(run_id))

    def list_runs(self, compartment_id: str, **filters: Any) -> Iterator[Run]:
        """ListRuns, newest first. Each page is requested when the runs before it are consumed.

        :param filters: at most one of ``RUN_FILTERS``.
        :raises InvalidArgument: an unknown filter, or more than one filter.
        """
        given = one_filter("ListRuns", RUN_FILTERS, filters)
        newest_first = {"sort_by": "timeCreated", "sort_order": "DESC"}
        return self.pages(
            "ListRuns",
            Run.from_api,
            lambda page: self.sdk.list_runs(compartment_id, limit=PAGE_SIZE, **newest_first, **page, **given),
        )

    def update_run(self, run_id: str, changes: Mapping[str, Any], *, if_match: str | None = None) -> Run:
        """UpdateRun.

        :param changes: fields of ``UpdateRunDetails``, by their names in the API.
        :param if_match: etag; the service refuses with 412 if the run has another etag by now.
        :raises ServiceError: the request failed, after retries.
        """
        given = {"if_match": if_match} if if_match else {}
        return self.read(
            "UpdateRun", Run.from_api, lambda: self.sdk.update_run(dict(changes), run_id, **given)
        )

    def change_run_compartment(self, run_id: str, compartment_id: str) -> None:
        """ChangeRunCompartment, for runs that have ended.

        :raises ServiceError: the request failed, after retries.
        """
        self.call(
            "ChangeRunCompartment",
            lambda: self.sdk.change_run_compartment(run_id, {"compartmentId": compartment_id}),
        )

    def cancel_run(self, run_id: str) -> None:
        """Cancel a run (DeleteRun). A run that has ended stays as it is.

        :raises ServiceError: the request failed, after retries.
        """
        try:
            self.call("DeleteRun", lambda: self.sdk.delete_run(run_id))
        except ServiceError as error:
            # The status for a run that has ended is not documented, so read its state.
            if error.status not in (404, 409) or not self.get_run(run_id).is_terminal:
                raise

    def list_run_logs(self, run_id: str) -> list[RunLog]:
        """ListRunLogs.

        :raises ServiceError: the request failed, after retries.
        """
        return list(
            self.pages("ListRunLogs", RunLog.from_api, lambda page: self.sdk.list_run_logs(run_id, **page))
        )

    def get_run_log(self, run_id: str, name: str) -> Iterator[bytes]:
        """GetRunLog: yield the log's bytes, decompressed, in chunks as they arrive.

        :raises ServiceError: the request failed, after retries, or the response broke off.
        """
        from airflow_provider_dataflow.client.logs.read import gunzipped

        operation = "GetRunLog"
        response = self.call(operation, lambda: self.sdk.get_run_log(run_id, name))
        with reading(operation, self.endpoint), closing(response.data) as body:
            try:
                yield from gunzipped(body.iter_content(LOG_CHUNK_BYTES))
            except Exception as error:
                translated = self.translate_error(operation, error)
                if translated is error:
                    raise
                raise translated from None
