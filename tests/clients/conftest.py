"""A Local Data Flow with an application that succeeds and one that runs until it is cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from airflow_provider_dataflow.local import LocalDataFlow
from tests.clients.applications import create_application

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
        hello, sleeper = (
            create_application(local, *program) for program in (("hello.py", HELLO), ("sleep.py", SLEEP))
        )
        yield ServiceWithApplications(local, hello, sleeper)
