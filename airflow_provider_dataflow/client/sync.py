"""The synchronous client, for workers: the OCI SDK, with explicit timeouts, retries and typed errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import Any

from airflow_provider_dataflow.client.access import Access
from airflow_provider_dataflow.client.retry import CONNECT_TIMEOUT, READ_TIMEOUT, retry_after, retrying
from airflow_provider_dataflow.exceptions import InvalidArgument, ServiceError, SubmitRejected
from airflow_provider_dataflow.request import RunRequest
from airflow_provider_dataflow.run import Run, RunLog

PAGE_SIZE = 100
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


class DataFlowClient:
    """Calls Data Flow. Bodies are exchanged as JSON, so that what the SDK does not know yet is kept."""

    def __init__(self, access: Access) -> None:
        self.access = access

    @cached_property
    def _sdk(self) -> Any:
        from oci.circuit_breaker import NoCircuitBreakerStrategy
        from oci.data_flow import DataFlowClient as SdkClient
        from oci.retry import NoneRetryStrategy

        config = {"region": self.access.region or "", **self.access.credentials.sdk_config()}
        return SdkClient(
            {name: value for name, value in config.items() if value},
            signer=self.access.signer,
            service_endpoint=self.access.endpoint,
            timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            # The SDK's own retries ignore Retry-After and can sleep for 90 s; its default circuit breaker
            # is shared by every OCI client of the process.
            retry_strategy=NoneRetryStrategy(),
            circuit_breaker_strategy=NoCircuitBreakerStrategy(),
            skip_deserialization=True,
        )

    def create_run(self, request: RunRequest, retry_token: str) -> Run:
        """CreateRun. A submit that was lost on the way back is answered with the same run.

        :param retry_token: at most 64 characters; the service remembers it for 24 hours.
        :raises SubmitRejected: the service refused; no run exists.
        :raises ServiceError: no answer, or an answer that leaves open whether a run exists.
        """
        headers = {"opc_retry_token": retry_token}
        if request.opc_parent_rpt_url:
            headers["opc_parent_rpt_url"] = request.opc_parent_rpt_url
        try:
            response = self._call("CreateRun", lambda: self._sdk.create_run(request.body(), **headers))
        except ServiceError as error:
            if error.status in (400, 401, 403, 404, 413, 422):
                raise SubmitRejected(
                    operation=error.operation,
                    message=f"{error.message} Asked for: {request.subject}.",
                    status=error.status,
                    code=error.code,
                    opc_request_id=error.opc_request_id,
                    endpoint=error.endpoint,
                ) from error
            raise
        return self._run("CreateRun", response)

    def get_run(self, run_id: str) -> Run:
        """GetRun.

        :raises ServiceError: after bounded retries.
        """
        return self._run("GetRun", self._call("GetRun", lambda: self._sdk.get_run(run_id)))

    def list_runs(self, compartment_id: str, **filters: Any) -> Iterator[Run]:
        """ListRuns, newest first, page by page as they are consumed.

        :param filters: at most one of ``RUN_FILTERS``: the service allows no more.
        :raises InvalidArgument: an unknown filter, or more than one.
        """
        given = {name: value for name, value in filters.items() if value is not None}
        for name in given:
            if name not in RUN_FILTERS:
                raise InvalidArgument(name, f"unknown filter; expected one of {', '.join(RUN_FILTERS)}")
        if len(given) > 1:
            raise InvalidArgument(
                " and ".join(given), "ListRuns takes one filter beside the compartment, not two"
            )
        return self._pages(
            "ListRuns",
            lambda page: self._sdk.list_runs(
                compartment_id,
                limit=PAGE_SIZE,
                sort_by="timeCreated",
                sort_order="DESC",
                **page,
                **given,
            ),
            Run.from_api,
        )

    def cancel_run(self, run_id: str) -> None:
        """DeleteRun, which cancels: the service has no way to delete the record of a run.

        A run that has ended already is left as it is.

        :raises ServiceError: after bounded retries.
        """
        try:
            self._call("DeleteRun", lambda: self._sdk.delete_run(run_id))
        except ServiceError as error:
            # Which code an ended run gets is not documented; what counts is that it has ended.
            if error.status not in (404, 409) or not self.get_run(run_id).is_terminal:
                raise

    def list_run_logs(self, run_id: str) -> list[RunLog]:
        """ListRunLogs.

        :raises ServiceError: after bounded retries.
        """
        return list(
            self._pages("ListRunLogs", lambda page: self._sdk.list_run_logs(run_id, **page), RunLog.from_api)
        )

    def get_run_log(self, run_id: str, name: str) -> Iterator[bytes]:
        """GetRunLog: the log's bytes, decompressed, in chunks as they arrive.

        :raises ServiceError: after bounded retries, or if the answer breaks off.
        """
        from airflow_provider_dataflow.client.logs import gunzipped

        response = self._call("GetRunLog", lambda: self._sdk.get_run_log(run_id, name))
        try:
            yield from gunzipped(response.data.iter_content(64 * 1024))
        except Exception as error:
            raise self._translated("GetRunLog", error) from error
        finally:
            response.data.close()

    def _pages(
        self,
        operation: str,
        call: Callable[[Mapping[str, str]], Any],
        read: Callable[[Mapping[str, Any]], Any],
    ) -> Iterator[Any]:
        page: dict[str, str] = {}
        while True:
            response = self._call(operation, partial(call, page))
            for item in response.data:
                yield read(item)
            if not response.next_page:
                return
            page = {"page": response.next_page}

    def _run(self, operation: str, response: Any) -> Run:
        try:
            return Run.from_api(response.data)
        except ValueError as error:
            raise ServiceError(
                operation=operation, message=str(error), endpoint=self.access.endpoint
            ) from error

    def _call(self, operation: str, call: Callable[[], Any]) -> Any:
        def attempt() -> Any:
            try:
                return call()
            except Exception as error:
                raise self._translated(operation, error) from error

        return retrying()(attempt)

    def _translated(self, operation: str, error: Exception) -> Exception:
        """The SDK's errors as ours: they can be pickled, and say where the request went."""
        from oci.exceptions import ServiceError as SdkServiceError

        if isinstance(error, SdkServiceError):
            return ServiceError(
                operation=operation,
                message=str(error.message),
                status=error.status if error.status and error.status > 0 else None,
                code=error.code,
                opc_request_id=error.request_id,
                endpoint=self.access.endpoint,
                retry_after=retry_after(error.headers),
            )
        if _is_network_error(error):
            return ServiceError(
                operation=operation, message=_root_message(error), endpoint=self.access.endpoint
            )
        return error


def _is_network_error(error: Exception) -> bool:
    # The SDK vendors requests, whose errors are no relatives of the installed requests'.
    from oci._vendor.requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    return isinstance(error, (RequestException, HTTPError, OSError, EOFError))


def _root_message(error: BaseException) -> str:
    """What the network said, without the wrapping of three libraries."""
    message = str(error)
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        message = str(cause) or message
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
    return message[:300] or type(error).__name__
