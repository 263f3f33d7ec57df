"""A stream that a task keeps alive: the task ends only if somebody stops it.

The task waits in the triggerer, so it needs no worker. Once a month, the service stops the stream for
maintenance and starts its successor by itself, which continues from the checkpoint. The task goes on with the
successor. If the stream fails, the next try submits another run, which also continues from the checkpoint.

For OCI, upload ``spark/rate_stream.py`` as ``apps/rate_stream.py`` to a bucket, and set the Airflow variable
``weather_bucket`` to it. The run signs in as a resource principal, which needs a policy for the bucket.
"""

from __future__ import annotations

# [START howto_streaming]
from datetime import timedelta

import pendulum
from airflow.sdk import DAG

from airflow_provider_dataflow.operators.application import CreateOrUpdateApplicationOperator
from airflow_provider_dataflow.operators.run import InvokeRunOperator

BUCKET = "{{ var.value.get('weather_bucket', 'oci://weather@local') }}"

with DAG(
    dag_id="example_streaming",
    description="A stream on OCI Data Flow that survives maintenance",
    schedule=None,
    start_date=pendulum.datetime(2013, 1, 1, tz="UTC"),
    max_active_runs=1,
    doc_md=__doc__,
    tags=["example", "dataflow"],
):
    application = CreateOrUpdateApplicationOperator(
        task_id="application",
        display_name="numbers stream",
        type="STREAMING",
        language="PYTHON",
        spark_version="3.5.0",
        file_uri=f"{BUCKET}/apps/rate_stream.py",
        driver_shape="VM.Standard.E4.Flex",
        driver_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        executor_shape="VM.Standard.E4.Flex",
        executor_shape_config={"ocpus": 1, "memory_in_gbs": 16},
        num_executors=1,
        configuration={"dataflow.auth": "resource_principal"},
    )
    stream = InvokeRunOperator(
        task_id="stream",
        application_id=application.output,
        arguments=["--output", f"{BUCKET}/numbers/", "--checkpoint", f"{BUCKET}/checkpoints/numbers/"],
        # No timeout, and no try is the last one.
        deferrable=True,
        retries=1000,
        retry_delay=timedelta(minutes=5),
        # A new DAG run goes on with the stream that lives.
        if_already_running="adopt",
    )
# [END howto_streaming]
