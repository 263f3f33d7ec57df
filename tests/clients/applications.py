"""Applications for the tests of clients."""

from __future__ import annotations

from typing import Any

import oci

from airflow_provider_dataflow.local import LocalDataFlow


def create_application(local: LocalDataFlow, name: str, program: str, **fields: Any) -> str:
    """Create an application of a Python program in the bucket ``data@ns``, and return its OCID.

    :param fields: further fields of the application.
    """
    (local.create_bucket("data", "ns") / name).write_text(program)
    client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)
    details = oci.data_flow.models.CreateApplicationDetails(
        compartment_id=local.compartment_id,
        display_name=name,
        driver_shape="VM.Standard2.1",
        executor_shape="VM.Standard2.1",
        language="PYTHON",
        num_executors=1,
        spark_version="3.5.0",
        file_uri=f"oci://data@ns/{name}",
        **fields,
    )
    return str(client.create_application(details).data.id)
