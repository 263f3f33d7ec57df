"""Operations on statements of SESSION runs, in the synchronous client."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.client.sdk_requests import PAGE_SIZE, SdkRequests
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.statement import Statement, StatementDetails


class StatementClient:
    """Operations on statements. Each raises ``ServiceError``; all but :meth:`create` are retried before."""

    def __init__(self, requests: SdkRequests) -> None:
        self._requests = requests

    def create(self, run_id: str, details: StatementDetails) -> Statement:
        """CreateStatement. The session runs it after its earlier statements.

        Retried after 429 only: there is no retry token for statements, and after another error the code may
        be running.
        """
        return self._requests.read(
            "CreateStatement",
            Statement.from_api,
            lambda: self._requests.sdk.create_statement(details.body(), run_id),
            repeatable=False,
        )

    def get(self, run_id: str, statement_id: int) -> Statement:
        """GetStatement."""
        return self._requests.read(
            "GetStatement",
            Statement.from_api,
            lambda: self._requests.sdk.get_statement(run_id, str(statement_id)),
        )

    def list(self, run_id: str, *, lifecycle_state: str | None = None) -> Iterator[Statement]:
        """ListStatements. Yield summaries, without code and output.

        Each page is requested when the statements before it are consumed.
        """
        given = {"lifecycle_state": lifecycle_state} if lifecycle_state else {}
        return self._requests.pages(
            "ListStatements",
            Statement.from_api,
            lambda page: self._requests.sdk.list_statements(run_id, limit=PAGE_SIZE, **page, **given),
        )

    def cancel(self, run_id: str, statement_id: int) -> None:
        """Cancel a statement (DeleteStatement). A statement that has ended stays as it is."""
        try:
            self._requests.call(
                "DeleteStatement", lambda: self._requests.sdk.delete_statement(run_id, str(statement_id))
            )
        except ServiceError as error:
            if error.status not in (404, 409) or not self.get(run_id, statement_id).has_ended:
                raise
