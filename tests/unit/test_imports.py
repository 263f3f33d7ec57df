from __future__ import annotations

import subprocess
import sys

import pytest

MODULES = ["operators.run", "sensors.run", "triggers.run", "hooks.data_flow", "links.run", "provider_info"]


@pytest.mark.parametrize("module", MODULES)
def test_parsing_a_dag_imports_neither_the_sdk_nor_aiohttp(module):
    """In a process of its own, since everything is imported somewhere in this one."""
    code = (
        f"import sys, airflow_provider_dataflow.{module}\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} & {'oci', 'aiohttp', 'tenacity'}))"
    )
    allowed = {"tenacity"}  # Airflow's own SDK client needs it.
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(result.stdout.split()) <= allowed


def test_the_core_knows_neither_airflow_nor_oci():
    code = (
        "import sys\n"
        "import airflow_provider_dataflow.request, airflow_provider_dataflow.submission\n"
        "import airflow_provider_dataflow.events, airflow_provider_dataflow.polling\n"
        "print(*({name.partition('.')[0] for name in sys.modules} & {'airflow', 'oci', 'aiohttp'}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not result.stdout.split()


def test_the_clients_know_no_airflow():
    code = (
        "import sys\n"
        "import airflow_provider_dataflow.client.sync, airflow_provider_dataflow.client.poller\n"
        "import airflow_provider_dataflow.client.waiting, airflow_provider_dataflow.client.console\n"
        "print(*({name.partition('.')[0] for name in sys.modules} & {'airflow', 'oci'}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not result.stdout.split()
