from __future__ import annotations

import pytest
from airflow.exceptions import AirflowNotFoundException
from airflow.models.connection import Connection

from airflow_provider_dataflow.exceptions import InvalidConnection
from airflow_provider_dataflow.hooks.server_hook import ServerHook


def test_connection_is_looked_up_in_the_database(mocker):
    """Which the look-up of tasks cannot read."""
    mocker.patch.object(
        Connection,
        "get_connection_from_secrets",
        side_effect={"stored": Connection("stored", "oci", extra='{"compartment_id": "c"}')}.__getitem__,
    )
    assert ServerHook("stored").compartment_id == "c"


def test_unknown_connection_is_an_error_in_words(mocker):
    mocker.patch.object(
        Connection, "get_connection_from_secrets", side_effect=AirflowNotFoundException("no conn_id")
    )
    with pytest.raises(InvalidConnection, match=r"connection 'nowhere': no conn_id") as e:
        _ = ServerHook("nowhere").access
    assert e.value.__cause__ is None
