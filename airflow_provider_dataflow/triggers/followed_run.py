"""The task's XComs while its trigger goes on with the successors of a STREAMING run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from airflow_provider_dataflow.client.threads import in_thread
from airflow_provider_dataflow.compat import pull_xcom, push_xcom
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.task_identity import TaskIdentity
from airflow_provider_dataflow.xcom_keys import LOG_CURSOR, RUN_ID, RUN_IDS, RUN_PAGE_URL


class FollowedRun:
    """OCIDs of a task's run and of those that it followed after maintenance, also in the task's XComs.

    :param task: the task; ``None`` without one, as in ``dag.test()``.
    :param run_ids: OCIDs that the trigger's row has, oldest first.
    :param hook: of the task's connection, for the URL of the run's page.
    :param log: the trigger's logger.
    """

    #: Pause between two attempts to push the XComs, and time after which the trigger continues without.
    PAUSE_SECONDS: ClassVar[float] = 5.0
    TIMEOUT_SECONDS: ClassVar[float] = 600.0

    def __init__(
        self, task: TaskIdentity | None, run_ids: Sequence[str], hook: DataFlowHook, log: Any
    ) -> None:
        self.run_ids = list(run_ids)
        self._task = task
        self._hook = hook
        self._log = log

    async def load(self) -> None:
        """Read what an earlier trigger of the task has followed. Otherwise, the row is used."""
        if self._task is None:
            return
        try:
            stored = await in_thread(partial(pull_xcom, self._task, RUN_IDS))
        except Exception as error:  # noqa: BLE001 - the run of the row leads to its successors, too
            self._log.debug("Cannot read the runs of the task from XCom: %s", error)
            return
        if isinstance(stored, list) and stored[: len(self.run_ids)] == self.run_ids:
            self.run_ids = stored

    async def follow(self, run_ids: Sequence[str], *, reset_log_cursor: bool) -> None:
        """Make the last run that of the task. A kill reads this, so errors of Airflow are retried.

        :param run_ids: OCIDs of the successors, oldest first.
        :param reset_log_cursor: whether the trigger copies the output of the run.
        """
        self.run_ids += [run_id for run_id in run_ids if run_id not in self.run_ids]
        until = time.monotonic() + self.TIMEOUT_SECONDS
        while self._task is not None:
            try:
                await in_thread(partial(self._push, self._task, reset_log_cursor))
            except Exception as error:  # noqa: BLE001
                if time.monotonic() >= until:
                    self._log.error("Cannot update the XComs of the task, going on: %s", error)
                    return
                self._log.warning("Cannot update the XComs of the task, retrying: %s", error)
                await asyncio.sleep(self.PAUSE_SECONDS)
            else:
                return

    def _push(self, task: TaskIdentity, reset_log_cursor: bool) -> None:
        if reset_log_cursor:
            push_xcom(task, LOG_CURSOR, {})
        # The list last: until then, a trigger that starts again follows the successors once more.
        push_xcom(task, RUN_ID, self.run_ids[-1])
        push_xcom(task, RUN_PAGE_URL, self._hook.run_page_url(self.run_ids[-1]))
        push_xcom(task, RUN_IDS, self.run_ids)
