"""A Local Data Flow with an application that succeeds and one that runs until it is cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import oci
import pytest

from airflow_provider_dataflow.local import LocalDataFlow

HELLO = 'print("hello from a client")\n'
SLEEP = "import time\ntime.sleep(600)\n"


@dataclass(frozen=True)
class ServiceWithApplications:
    """:param hello: OCID of the application that succeeds.
    :param sleeper: OCID of the application that runs until it is cancelled.
    """

    local: LocalDataFlow
    hello: str
    sleeper: str


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceWithApplications]:
    with LocalDataFlow(tmp_path_factory.mktemp("clients") / "home") as local:
        folder = local.create_bucket("data", "ns")
        (folder / "hello.py").write_text(HELLO)
        (folder / "sleep.py").write_text(SLEEP)
        client = oci.data_flow.DataFlowClient(local.sdk_config, service_endpoint=local.endpoint)

        def create_application(main: str) -> str:
            details = oci.data_flow.models.CreateApplicationDetails(
                compartment_id=local.compartment_id,
                display_name=main,
                driver_shape="VM.Standard2.1",
                executor_shape="VM.Standard2.1",
                language="PYTHON",
                num_executors=1,
                spark_version="3.5.0",
                file_uri=f"oci://data@ns/{main}",
            )
            return str(client.create_application(details).data.id)

        yield ServiceWithApplications(local, create_application("hello.py"), create_application("sleep.py"))
