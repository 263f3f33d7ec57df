"""A Spark run whose code lies beside the DAG: an application, a package, a file and a requirement.

Nothing has to be uploaded by hand. Before the submit, the task uploads what has changed to the staging prefix
of the bucket. Runs unchanged on Local Data Flow (``make demo``, ``make up``). For OCI, upload
``data/nyc_weather`` to a bucket, set the Airflow variable ``weather_bucket`` to that bucket, and set
credentials and compartment in the connection ``oci_default``.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Param

from airflow_provider_dataflow.operators.run import InvokeRunOperator

# The default is the demo's local bucket.
BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"

with DAG(
    dag_id="example_local_code",
    description="A run of local code on OCI Data Flow",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    params={"month": Param("2013-03", type="string", pattern=r"^2013-\d\d$", description="Month of 2013")},
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    # [START howto_operator_local_code]
    windy_days = InvokeRunOperator(
        task_id="windy_days",
        display_name="windy_days {{ params.month }}",
        application="spark/windy_days.py",
        application_args=[
            *("--input", f"{BUCKET}/nyc_weather/{{{{ params.month }}}}.csv"),
            *("--output", f"{BUCKET}/windy_days/month={{{{ params.month }}}}/"),
            *("--days", "2"),
        ],
        py_files=["spark/weather_helpers"],
        files=["spark/limits.json"],
        # Spark does not have it: the task packs its wheel for the Python of the run.
        requirements=["texttable==1.7.0"],
        configuration={"spark.sql.shuffle.partitions": "4"},
        staging_uri=f"{BUCKET}/staging",
        driver_shape="VM.Standard.E4.Flex",
        driver_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        executor_shape="VM.Standard.E4.Flex",
        executor_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        num_executors=1,
        spark_version="3.5.0",
        deferrable=True,
        poll_interval=10,
    )
    # [END howto_operator_local_code]
