"""DAG that runs whenever a nightly ingest on OCI Data Flow has succeeded, whoever started it.

A watcher in the triggerer follows the runs of one application, started by Airflow, another scheduler or a
person. Each successful run becomes an event of the asset, which schedules the DAG. No task waits, and no
worker slot is used.
"""

from __future__ import annotations

# [START howto_run_event]
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_dataflow.triggers.run_event import RunEventTrigger

ingested = Asset(
    "nightly_ingest",
    watchers=[
        AssetWatcher(
            name="nightly_ingest_runs",
            trigger=RunEventTrigger(application_id="ocid1.dataflowapplication.oc1.iad.ingest"),
        )
    ],
)

with DAG(
    dag_id="example_run_event",
    description="Runs whenever a run of an application on OCI Data Flow has succeeded",
    schedule=[ingested],
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["example", "dataflow"],
):

    @task
    def report(triggering_asset_events: Any = None) -> None:
        """Print the runs that have succeeded since the last DAG run."""
        runs = {}
        for event in triggering_asset_events[ingested]:
            run = event.extra["payload"]
            runs[run["run_id"], run["state"]] = run
        for run in runs.values():
            print(f"{run['display_name']} ({run['run_id']}) is {run['state']} since {run['time_updated']}")

    report()
# [END howto_run_event]
