"""Links from a task to its run.

The operators push the XComs right after the submit, so the links are there from then on, on failed tasks too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.compat import BaseOperatorLink, xcom_value
from airflow_provider_dataflow.xcom_keys import LOGS_BUCKET_URL, RUN_PAGE_URL

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import TaskInstanceKey


class RunLink(BaseOperatorLink):
    """The run's page: in OCI's console, or Local Data Flow's."""

    name = "Data Flow run"

    @property
    def xcom_key(self) -> str:
        return RUN_PAGE_URL

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        return xcom_value(ti_key, self.xcom_key) or ""


class LogsBucketLink(BaseOperatorLink):
    """The bucket that gets the run's logs, in OCI's console; empty where the run has none."""

    name = "Logs bucket"

    @property
    def xcom_key(self) -> str:
        return LOGS_BUCKET_URL

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        return xcom_value(ti_key, self.xcom_key) or ""
