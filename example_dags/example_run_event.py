"""DAG that runs whenever a nightly ingest on OCI Data Flow has succeeded, whoever started it.

A watcher in the triggerer follows the runs of one application, started by Airflow, another scheduler or a
person. Each successful run becomes an event of the asset, which schedules the DAG. No task waits, and no
worker slot is used.

The DAG also runs after each task that has the other asset among its outlets, as in ``example_invoke_run``.

With ``make up``, the application is that of ``example_backfill``, so that ``make backfill`` causes events.
For OCI, set the environment variable of the DAG processor to the OCID of your application.
"""

from __future__ import annotations

# [START howto_run_event]
import os
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task

from airflow_provider_dataflow.assets.oci import create_asset
from airflow_provider_dataflow.triggers.run_event import RunEventTrigger

# A watcher's arguments are no templates, so the DAG's file has to know the application.
APPLICATION = os.environ.get(
    "AIRFLOW_VAR_MONTHLY_WEATHER_APPLICATION", "ocid1.dataflowapplication.oc1.iad.ingest"
)

# oci://weather@local/monthly, on every release of Airflow 3.
monthly = create_asset(bucket="weather", namespace="local", name="monthly")
ingested = Asset(
    "nightly_ingest",
    watchers=[
        AssetWatcher(
            name="nightly_ingest_runs",
            trigger=RunEventTrigger(application_id=APPLICATION),
        )
    ],
)

with DAG(
    dag_id="example_run_event",
    description="Runs whenever a run of an application on OCI Data Flow has succeeded",
    schedule=(ingested | monthly),
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["example", "dataflow"],
):

    @task
    def report(triggering_asset_events: Any = None) -> None:
        """Print the runs that have succeeded since the last DAG run."""
        runs = {}
        for events in triggering_asset_events.values():
            for event in events:
                # A watcher describes the run in its payload, a task in the event itself.
                run = event.extra.get("payload") or event.extra
                # Events that a person or another operator has created describe no run.
                if "run_id" in run:
                    runs[run["run_id"], run["state"]] = run
        for run in runs.values():
            written = run.get("data_written_in_bytes", "an unknown number of")
            print(f"{run.get('display_name')} ({run['run_id']}) is {run['state']}, {written} bytes written")

    report()
# [END howto_run_event]
