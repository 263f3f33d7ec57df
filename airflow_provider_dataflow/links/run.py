"""Links from a task to its run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.compat import BaseOperatorLink, xcom_value

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import TaskInstanceKey

RUN_PAGE_URL = "run_page_url"


class RunLink(BaseOperatorLink):
    """The run's page: in OCI's console, or Local Data Flow's."""

    name = "Data Flow run"

    @property
    def xcom_key(self) -> str:
        """The operator pushes this XCom right after the submit, so the link is there from then on."""
        return RUN_PAGE_URL

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        return xcom_value(ti_key, self.xcom_key) or ""
