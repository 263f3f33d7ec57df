"""Links on a task in Airflow's UI.

The operators push the links' XComs right after the submit, so they also work on active and failed tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.compat import BaseOperatorLink, xcom_value
from airflow_provider_dataflow.xcom_keys import LOGS_BUCKET_URL, RUN_PAGE_URL

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import TaskInstanceKey


class RunLink(BaseOperatorLink):
    """Page of the run, in OCI's console or that of Local Data Flow."""

    name = "Data Flow run"

    @property
    def xcom_key(self) -> str:
        return RUN_PAGE_URL

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        return xcom_value(ti_key, self.xcom_key) or ""


class LogsBucketLink(BaseOperatorLink):
    """Page of the bucket that receives the run's logs, in OCI's console; empty if there is none."""

    name = "Logs bucket"

    @property
    def xcom_key(self) -> str:
        return LOGS_BUCKET_URL

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        return xcom_value(ti_key, self.xcom_key) or ""
