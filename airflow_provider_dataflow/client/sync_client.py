"""The synchronous client, for workers: the calls about runs, and the way to those about all else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cached_property
from typing import Any

from airflow_provider_dataflow.client.applications import Applications
from airflow_provider_dataflow.client.pools import Pools
from airflow_provider_dataflow.client.responses import reading
from airflow_provider_dataflow.client.sdk_calls import PAGE_SIZE, Caller, one_filter
from airflow_provider_dataflow.client.statements import Statements
from airflow_provider_dataflow.exceptions import ServiceError, SubmitRejected, sentences
from airflow_provider_dataflow.models.run import Run, RunLog
from airflow_provider_dataflow.models.run_request import RunRequest

#: What ListRuns can be filtered by; the service takes one of them beside the compartment.
RUN_FILTERS = (
    "application_id",
    "pool_id",
    "owner_principal_id",
    "display_name",
    "display_name_starts_with",
    "lifecycle_state",
    "time_created_greater_than",
)


class DataFlowClient(Caller):
    """Calls Data Flow, and blocks."""

    @cached_property
    def applications(self) -> Applications:
        return Applications(self)

    @cached_property
    def pools(self) -> Pools:
        return Pools(self)

    @cached_property
    def statements(self) -> Statements:
        return Statements(self)

    def create_run(self, request: RunRequest, retry_token: str) -> Run:
        """CreateRun. A submit that was lost on the way back is answered with the same run.

        :param retry_token: at most 64 characters; the service remembers it for 24 hours.
        :raises SubmitRejected: the service refused; no run exists.
        :raises ServiceError: no answer, or an answer that leaves open whether a run exists.
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
                    message=sentences(error.message, f"Asked for: {request.subject}"),
                    status=error.status,
                    code=error.code,
                    opc_request_id=error.opc_request_id,
                    endpoint=error.endpoint,
                ) from None
            raise

    def get_run(self, run_id: str) -> Run:
        """GetRun.

        :raises ServiceError: after bounded retries.
        """
        return self.get_run_with_etag(run_id)[0]

    def get_run_with_etag(self, run_id: str) -> tuple[Run, str | None]:
        """GetRun, with the etag that :meth:`update_run` takes.

        :raises ServiceError: after bounded retries.
        """
        return self.read_with_etag("GetRun", Run.from_api, lambda: self.sdk.get_run(run_id))

    def list_runs(self, compartment_id: str, **filters: Any) -> Iterator[Run]:
        """ListRuns, newest first, page by page as they are consumed.

        :param filters: at most one of ``RUN_FILTERS``: the service allows no more.
        :raises InvalidArgument: an unknown filter, or more than one.
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

        :param changes: fields of ``UpdateRunDetails`` by the API's names.
        :param if_match: etag of the state that the changes were made from.
        :raises ServiceError: after bounded retries; 412 if the run has changed since.
        """
        given = {"if_match": if_match} if if_match else {}
        return self.read(
            "UpdateRun", Run.from_api, lambda: self.sdk.update_run(dict(changes), run_id, **given)
        )

    def change_run_compartment(self, run_id: str, compartment_id: str) -> None:
        """ChangeRunCompartment, for runs that have ended.

        :raises ServiceError: after bounded retries.
        """
        self.call(
            "ChangeRunCompartment",
            lambda: self.sdk.change_run_compartment(run_id, {"compartmentId": compartment_id}),
        )

    def cancel_run(self, run_id: str) -> None:
        """DeleteRun, which cancels: the service has no way to delete the record of a run.

        A run that has ended already is left as it is.

        :raises ServiceError: after bounded retries.
        """
        try:
            self.call("DeleteRun", lambda: self.sdk.delete_run(run_id))
        except ServiceError as error:
            # Which code an ended run gets is not documented; what counts is that it has ended.
            if error.status not in (404, 409) or not self.get_run(run_id).is_terminal:
                raise

    def list_run_logs(self, run_id: str) -> list[RunLog]:
        """ListRunLogs.

        :raises ServiceError: after bounded retries.
        """
        return list(
            self.pages("ListRunLogs", RunLog.from_api, lambda page: self.sdk.list_run_logs(run_id, **page))
        )

    def get_run_log(self, run_id: str, name: str) -> Iterator[bytes]:
        """GetRunLog: the log's bytes, decompressed, in chunks as they arrive.

        :raises ServiceError: after bounded retries, or if the answer breaks off.
        """
        from airflow_provider_dataflow.client.logs.read import gunzipped

        operation = "GetRunLog"
        response = self.call(operation, lambda: self.sdk.get_run_log(run_id, name))
        with reading(operation, self.access.endpoint), closing(response.data) as body:
            try:
                yield from gunzipped(body.iter_content(64 * 1024))
            except Exception as error:
                translated = self.translated(operation, error)
                if translated is error:
                    raise
                raise translated from None
