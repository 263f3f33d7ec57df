"""Python functions that run in Spark: list the months, find the warmest hour of each, then of all.

``months`` and ``warmest`` run in Airflow, ``warmest_hour`` on OCI Data Flow, once per month. For OCI,
upload ``data/nyc_weather`` to a bucket, set the Airflow variable ``weather_bucket`` to that bucket, and set
credentials and compartment in the connection ``oci_default``.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"

with DAG(
    dag_id="example_task_decorator",
    description="Functions that run in Spark on OCI Data Flow, mapped over months",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    params={"months": Param("2013-0[67]", type="string", description="Months, as a glob pattern")},
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    # [START howto_task_decorator]
    @task
    def months(bucket: str, pattern: str) -> list[str]:
        from fnmatch import fnmatch

        from airflow_provider_dataflow.hooks.data_flow import DataFlowHook

        files = DataFlowHook().object_storage.list(f"{bucket}/nyc_weather/")
        names = [file.uri.name.rpartition("/")[2].removesuffix(".csv") for file in files]
        return [name for name in names if fnmatch(name, pattern)]

    @task.oci_data_flow(
        staging_uri=f"{BUCKET}/staging",
        driver_shape="VM.Standard.E4.Flex",
        driver_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        executor_shape="VM.Standard.E4.Flex",
        executor_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        num_executors=1,
        deferrable=True,
        poll_interval=10,
    )
    def warmest_hour(spark: Any, bucket: str, month: str) -> dict[str, Any]:
        from pyspark.sql import functions as F

        weather = spark.read.csv(f"{bucket}/nyc_weather/{month}.csv", header=True, inferSchema=True)
        print(f"{weather.count()} hours in {month}")
        first = weather.orderBy(F.col("temp_f").desc(), "observed_at", "airport").first()
        return {"airport": first.airport, "at": first.observed_at, "temp_f": first.temp_f}

    @task
    def warmest(hours: list[dict[str, Any]]) -> dict[str, Any]:
        return max(hours, key=lambda hour: hour["temp_f"])

    found = months(bucket=BUCKET, pattern="{{ params.months }}")
    warmest(warmest_hour.partial(bucket=BUCKET).expand(month=found))
    # [END howto_task_decorator]
