"""StoppableResourceTrigger: base of the triggers that wait for the state of a pool or a SQL endpoint."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.arguments.settings import Setting, state_names
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.triggers.resource import ResourceTrigger

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.client.poller.poller import RunPoller
    from airflow_provider_dataflow.client.wait import HasState

TARGET_STATES = Setting(state_names, ["ACTIVE"])

#: Arguments in the row of such a trigger, besides the id of the resource.
SERIALIZED_FIELDS = (
    *("target_states", "missing_is_deleted"),
    *HOOK_ARGUMENTS,
    *("poll_interval", "deadline", "error_budget"),
)


class StoppableResourceTrigger(ResourceTrigger):
    """Waits until a resource is in one of the target states.

    :param target_states: lifecycle states to wait for. Default: ``ACTIVE``.
    :param missing_is_deleted: treat a resource that the service does not find as DELETED.
    :param kwargs: arguments of :class:`~airflow_provider_dataflow.triggers.base.PollingTrigger`.
    """

    resource_class: ClassVar[type[Any]]

    def __init__(
        self,
        *,
        target_states: Collection[str] = ("ACTIVE",),
        missing_is_deleted: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target_states: list[str] = self.read_setting("target_states", target_states, TARGET_STATES)
        self.missing_is_deleted: bool = self.read_setting("missing_is_deleted", missing_is_deleted)

    @property
    @abstractmethod
    def resource_id(self) -> str:
        """OCID of the resource."""

    @abstractmethod
    async def read(self, client: AsyncDataFlowClient) -> HasState:
        """Read the resource from the service."""

    async def poll(self, poller: RunPoller) -> HasState:
        try:
            return await poller.request(self.read)
        except ServiceError as error:
            if error.status == 404 and self.missing_is_deleted:
                deleted: HasState = self.resource_class(self.resource_id, "DELETED")
                return deleted
            raise

    def is_final(self, state: str) -> bool:
        return state in self.target_states
