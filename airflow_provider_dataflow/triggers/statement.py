"""StatementTrigger: waits in the triggerer for a statement, and cancels it when its task is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.models.statement import ENDED_STATES, STATEMENT, statement_name
from airflow_provider_dataflow.triggers.events import Outcome, StatementEvent
from airflow_provider_dataflow.triggers.watching import WatchTrigger

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.models.statement import Statement


class StatementTrigger(WatchTrigger):
    """Waits until a statement, or its session, has ended.

    :param run_id: OCID of the SESSION run.
    :param statement_id: number of the statement in it.
    :param cancel_on_kill: cancel the statement when the task is killed while it is deferred.
    :param kwargs: as of :class:`~airflow_provider_dataflow.triggers.watching.WatchTrigger`.
    """

    arguments = ("run_id", "statement_id", "cancel_on_kill")

    def __init__(self, run_id: str, statement_id: int, cancel_on_kill: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id: str = self.setting("run_id", run_id)
        self.statement_id: int = self.setting("statement_id", statement_id)
        self.cancel_on_kill = self.setting("cancel_on_kill", cancel_on_kill)
        self._session_has_ended = False

    @property
    def about(self) -> str:
        return f"Statement {self.statement_id} of run {self.run_id}"

    async def look(self, client: AsyncDataFlowClient) -> Statement:
        # In this order: a statement that ended with its session is seen ended.
        ended = self._session_has_ended or (await client.get_run(self.run_id)).is_terminal
        self._session_has_ended = ended
        return await client.get_statement(self.run_id, self.statement_id)

    def is_over(self, state: str) -> bool:
        return state in ENDED_STATES or self._session_has_ended

    def event(self, outcome: Outcome, state: str | None, message: str | None) -> StatementEvent:
        return StatementEvent(outcome, self.run_id, self.statement_id, state, message)

    def cancel_unless_awaited(self) -> None:
        try:
            if self._is_still_awaited():
                self.log.info("%s is not cancelled: another trigger of the task waits for it", self.about)
                return
            self.hook.new_client().statements.cancel(self.run_id, self.statement_id)
        except Exception as error:  # noqa: BLE001 - nobody is left to hear of it otherwise
            self.log.error("%s could not be cancelled and may still be running: %s", self.about, error)
        else:
            self.log.info("%s is cancelled, since the task was killed", self.about)

    def _is_still_awaited(self) -> bool:
        """Return whether the task is deferred for this very statement; see ``RunTrigger``."""
        task = self.task_state(STATEMENT)
        if task is None:
            return self.keep_if_unknown
        return task.state == "deferred" and task.xcom == statement_name(self.run_id, self.statement_id)
