"""StatementTrigger: waits in the triggerer for a statement, and cancels it when its task is killed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.statement import ENDED_STATES, STATEMENT, statement_name
from airflow_provider_dataflow.triggers.cancel_on_kill import CancelResourceTrigger
from airflow_provider_dataflow.triggers.events import Outcome, StatementEvent
from airflow_provider_dataflow.triggers.resource import ResourceTrigger

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.poller.poller import RunPoller
    from airflow_provider_dataflow.client.sync_client import DataFlowClient
    from airflow_provider_dataflow.models.statement import Statement
    from airflow_provider_dataflow.models.task_identity import TaskIdentity


class StatementTrigger(CancelResourceTrigger, ResourceTrigger):
    """Waits until a statement, or the run that is its session, has ended.

    :param run_id: OCID of the SESSION run.
    :param statement_id: number of the statement in the run.
    :param cancel_on_kill: cancel the statement when the task is killed while it is deferred.
    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.PollingTrigger`.
    """

    serialized_fields = (
        *("run_id", "statement_id", "cancel_on_kill"),
        *HOOK_ARGUMENTS,
        *("poll_interval", "deadline", "error_budget"),
    )

    def __init__(self, run_id: str, statement_id: int, cancel_on_kill: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id: str = self.read_setting("run_id", run_id)
        self.statement_id: int = self.read_setting("statement_id", statement_id)
        self.cancel_on_kill = self.read_setting("cancel_on_kill", cancel_on_kill)
        self._session_has_ended = False

    @property
    def resource_name(self) -> str:
        return f"Statement {self.statement_id} of run {self.run_id}"

    async def poll(self, poller: RunPoller) -> Statement:
        # The run first: if a statement ends together with its run, its last state is read.
        if not self._session_has_ended:
            run = await poller.request(lambda client: client.get_run(self.run_id))
            self._session_has_ended = run.is_terminal
        return await poller.request(lambda client: client.get_statement(self.run_id, self.statement_id))

    def is_final(self, state: str) -> bool:
        return state in ENDED_STATES or self._session_has_ended

    def event(self, outcome: Outcome, state: str | None, message: str | None) -> StatementEvent:
        return StatementEvent(outcome, self.run_id, self.statement_id, state, message)

    def cancel(self) -> str:
        self.hook.new_client(urgent=True).statements.cancel(self.run_id, self.statement_id)
        return f"{self.resource_name} is cancelled"

    def cancel_leftover(self, client: DataFlowClient, owner: TaskIdentity, deployment: str) -> str | None:
        if client.statements.get(self.run_id, self.statement_id).has_ended:
            return None
        client.statements.cancel(self.run_id, self.statement_id)
        return f"{self.resource_name} is cancelled"

    def is_still_awaited(self) -> bool | None:
        task = self.task_state(STATEMENT)
        if task is None:
            return None
        return task.state == "deferred" and task.xcom == statement_name(self.run_id, self.statement_id)
