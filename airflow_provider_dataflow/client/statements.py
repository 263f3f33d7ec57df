"""Calls of the synchronous client about statements of SESSION runs."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.client.sdk_calls import PAGE_SIZE, Caller
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.statement import Statement, StatementDetails


class Statements:
    """Statements. All calls raise ``ServiceError``, and but for :meth:`create` are repeated before."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def create(self, run_id: str, details: StatementDetails) -> Statement:
        """CreateStatement, which the session runs after those that it has already.

        There is no retry token for statements. So this is repeated only if the service was too busy to look
        at it; an error that leaves open whether the code runs is raised at once.
        """
        return self._caller.read(
            "CreateStatement",
            Statement.from_api,
            lambda: self._caller.sdk.create_statement(details.body(), run_id),
            repeatable=False,
        )

    def get(self, run_id: str, statement_id: int) -> Statement:
        """GetStatement."""
        return self._caller.read(
            "GetStatement",
            Statement.from_api,
            lambda: self._caller.sdk.get_statement(run_id, str(statement_id)),
        )

    def list(self, run_id: str, *, lifecycle_state: str | None = None) -> Iterator[Statement]:
        """ListStatements, page by page as they are consumed. Summaries: without code and output."""
        given = {"lifecycle_state": lifecycle_state} if lifecycle_state else {}
        return self._caller.pages(
            "ListStatements",
            Statement.from_api,
            lambda page: self._caller.sdk.list_statements(run_id, limit=PAGE_SIZE, **page, **given),
        )

    def cancel(self, run_id: str, statement_id: int) -> None:
        """DeleteStatement, which cancels. One that has ended already is left as it is."""
        try:
            self._caller.call(
                "DeleteStatement", lambda: self._caller.sdk.delete_statement(run_id, str(statement_id))
            )
        except ServiceError as error:
            if error.status not in (404, 409) or not self.get(run_id, statement_id).has_ended:
                raise
