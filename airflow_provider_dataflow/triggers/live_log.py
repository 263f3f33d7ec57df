"""Copy of the driver's output into the task's log while the task is deferred."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from airflow_provider_dataflow.client.threads import in_thread
from airflow_provider_dataflow.compat import pull_xcom, push_xcom
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.xcom_keys import LOG_CURSOR

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.logs.follower import AsyncLogSource

#: Ids of the instances that follow a run in this triggerer process.
_followed: set[int] = set()


class LiveLog:
    """Context manager that copies a run's driver logs into the task's log. Errors are logged, never raised.

    Following costs requests for each run, unlike polling (see ``client/poller``), so a triggerer process
    follows a limited number of runs. Output that was not copied here is copied when the task resumes.

    :param source: source of the logs: the poller, which applies the rate limit of the connection.
    :param run_id: OCID of the run.
    :param log: the trigger's logger, which writes into the task's log.
    :param task_instance: the trigger's; ``None`` if it has none, as in ``dag.test()``.
    :param hide: awaited before the first line is copied; returns the function that hides secrets in a line.
    """

    #: Runs that one triggerer process follows at the same time.
    MAX_FOLLOWED: ClassVar[int] = 32
    #: Longest wait for ``hide`` after the end of the run.
    HIDE_TIMEOUT_SECONDS: ClassVar[float] = 60.0

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
        """Position up to which each log was copied; ``None`` if nothing was."""

    async def __aenter__(self) -> Self:
        if len(_followed) < self.MAX_FOLLOWED:
            _followed.add(id(self))
            self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        _followed.discard(id(self))
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def copy_rest(self) -> None:
        """Copy the remaining output of a run that has ended. To be called after the context."""
        from airflow_provider_dataflow.client.logs.follower import AsyncLogFollower

        try:
            cursor = self.cursor if self.cursor is not None else await self._saved_cursor()
            follower = AsyncLogFollower(self._source, self._run_id, self._log, cursor=cursor)
            if self._hide is not None:
                # By now, no subscription ends with the error budget.
                async with asyncio.timeout(self.HIDE_TIMEOUT_SECONDS):
                    follower.hide = await self._hide()
            await follower.copy_rest()
            self.cursor = follower.cursor
        except Exception:  # noqa: BLE001 - a log problem must not fail the task
            self._log.exception("Run %s: cannot copy the rest of its output", self._run_id)

    async def _follow(self) -> None:
        from airflow_provider_dataflow.client.logs.follower import AsyncLogFollower

        try:
            hide = await self._hide() if self._hide is not None else None
            cursor = await self._saved_cursor()
            follower = AsyncLogFollower(self._source, self._run_id, self._log, cursor=cursor)
            if hide is not None:
                follower.hide = hide
            await follower.follow(self._save_cursor)
        except Exception:  # noqa: BLE001 - a log problem must not fail the task
            self._log.exception(
                "Run %s: cannot copy its output during the wait; it is copied when the task resumes",
                self._run_id,
            )

    async def _saved_cursor(self) -> Mapping[str, int] | None:
        cursor = await in_thread(partial(self._access_xcom, pull_xcom)) if self._task else None
        return cursor if isinstance(cursor, dict) else None

    async def _save_cursor(self, cursor: dict[str, int]) -> None:
        self.cursor = cursor
        if self._task:
            await in_thread(partial(self._access_xcom, push_xcom, cursor))

    def _access_xcom(self, access: Callable[..., Any], *value: Any) -> Any:
        """Read or write the cursor in XCom. If that fails, a restarted triggerer repeats some lines."""
        try:
            return access(self._task, LOG_CURSOR, *value)
        except Exception as error:  # noqa: BLE001 - a log problem must not fail the task
            self._log.debug("Cannot access the saved position in the driver's logs: %s", error)
            return None
