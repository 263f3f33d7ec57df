"""The driver's output in the task's log while the task is deferred.

It costs requests for every single run, which the waits themselves do not (see ``client/poller``). So only as
many runs of a triggerer process are followed as a person could look at; the others get their output at the
end, as all do that are followed in part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_dataflow.client.threads import in_thread
from airflow_provider_dataflow.compat import pull_xcom, push_xcom
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.xcom_keys import LOG_CURSOR

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.logs.follower import AsyncLogSource

#: Runs that are followed at a time in one triggerer process.
MAX_FOLLOWED = 32

_followed: set[int] = set()


class LiveLog:
    """Follows one run's log for as long as it is entered. Nothing here ever fails.

    :param source: where the logs are read: the poller, which keeps to the pace of all.
    :param run_id: OCID of the run.
    :param log: the trigger's logger, which writes into the task's log.
    :param task_instance: of the trigger; ``None`` where it has none, as in tests of a DAG.
    :param hide: awaited before anything is copied, for a function that hides secrets in a line.
    """

    def __init__(
        self,
        source: AsyncLogSource,
        run_id: str,
        log: Any,
        task_instance: Any,
        hide: Callable[[], Awaitable[Callable[[str], str]]] | None = None,
    ) -> None:
        self._source = source
        self._run_id = run_id
        self._log = log
        self._hide = hide
        self._task = TaskIdentity.of(task_instance) if task_instance is not None else None
        self._following: asyncio.Task[None] | None = None
        self.cursor: dict[str, int] | None = None
        """How far each log has been copied; ``None`` if nothing has."""

    async def __aenter__(self) -> Self:
        if len(_followed) < MAX_FOLLOWED:
            _followed.add(id(self))
            self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        _followed.discard(id(self))
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def _follow(self) -> None:
        from airflow_provider_dataflow.client.logs.follower import AsyncLogFollower

        try:
            hide = await self._hide() if self._hide is not None else None
            cursor = await self._recorded()
            follower = AsyncLogFollower(self._source, self._run_id, self._log, cursor=cursor)
            if hide is not None:
                follower.hide = hide
            await follower.follow(self._progress)
        except Exception:  # noqa: BLE001 - a log never decides over a task
            self._log.exception("The output of run %s is no longer followed", self._run_id)

    async def _recorded(self) -> Mapping[str, int] | None:
        cursor = await in_thread(partial(self._on_record, pull_xcom)) if self._task else None
        return cursor if isinstance(cursor, dict) else None

    async def _progress(self, cursor: dict[str, int]) -> None:
        self.cursor = cursor
        if self._task:
            await in_thread(partial(self._on_record, push_xcom, cursor))

    def _on_record(self, access: Any, *value: Any) -> Any:
        """Read or write the record. Without it, only a restart of the triggerer repeats some lines."""
        try:
            return access(self._task, LOG_CURSOR, *value)
        except Exception as error:  # noqa: BLE001 - a log never decides over a task
            self._log.debug("The record of the copied output is out of reach: %s", error)
            return None
