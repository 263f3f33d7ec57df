"""DAG whose tasks handle marked secrets in every place. A marked ordinary value must be found there."""

from __future__ import annotations

import logging
import os
from typing import Any

import pendulum
from airflow.sdk import DAG, task

from airflow_provider_dataflow.compat import triggers_have_on_kill
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.operators.run import InvokeRunOperator

log = logging.getLogger(__name__)

# A variable whose name does not look sensitive.
PARAMETER = "{{ var.value.marked }}"
CONTROL = "MARKED-harmless-03bd"
COMMON: dict[str, Any] = {
    "oci_conn_id": "oci_marked",
    "execute": (
        "--conf spark.app.password={{ var.value.marked_setting }} oci://b@ns/app.py "
        "--api-token {{ var.value.marked_argument }} --password " + PARAMETER
    ),
    "poll_interval": 1,
    "freeform_tags": {"control": CONTROL},
}
SECRETS: dict[str, Any] = {
    "parameters": {"db_password": PARAMETER},
    "json": {"configuration": {"spark.hadoop.password": "{{ var.value.marked_setting }}"}},
}

with DAG("secrets", schedule=None, start_date=pendulum.datetime(2013, 1, 1, tz="UTC")):
    InvokeRunOperator(
        task_id="deferred", display_name=f"waits {CONTROL}", deferrable=True, **COMMON, **SECRETS
    )
    if triggers_have_on_kill():  # Airflow 3.3 and newer
        InvokeRunOperator(
            task_id="from_triggerer", display_name="waits", start_from_trigger=True, **COMMON, **SECRETS
        )
    InvokeRunOperator(task_id="in_worker", display_name="fails", deferrable=False, **COMMON, **SECRETS)
    InvokeRunOperator(
        task_id="by_token",
        display_name="succeeds",
        deferrable=True,
        auth_type="security_token",
        config_file=os.environ.get("DATAFLOW_TEST_SESSION_CONFIG"),
        **COMMON,
        **SECRETS,
    )

    # Airflow 3.0 refuses an XCom that is None, as some values are.
    @task(multiple_outputs=False)
    def shows_what_it_can() -> dict[str, Any]:
        """Write everything that hooks reveal into the log and XCom, like a careless author."""
        shown: list[str] = [CONTROL]
        for conn_id in ("oci_marked", "oci_broken", "oci_denied"):
            hook = DataFlowHook(conn_id)
            try:
                next(hook.list_runs(), None)
            except Exception as error:
                log.exception("the connection does not work")
                shown.append(repr(error))
            shown += [repr(hook), repr(hook.access), repr(vars(hook.access)), repr(vars(hook))]
        log.info("shown %s", "\n".join(shown))
        return {"shown": shown, **vars(DataFlowHook("oci_marked"))}

    shows_what_it_can()
