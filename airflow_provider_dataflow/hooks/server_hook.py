"""Hook for processes with access to Airflow's database: commands, and the triggerer's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_dataflow.compat import AirflowException, server_connection
from airflow_provider_dataflow.exceptions import InvalidConnection
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Connection


class ServerHook(DataFlowHook):
    """Hook that reads connections from the secrets backends and from Airflow's database.

    Outside of tasks, Airflow's own look-up finds only those of the environment and of secrets backends.
    """

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        """Return a connection.

        :raises InvalidConnection: there is none, or a secrets backend does not give it out.
        """
        try:
            return server_connection(conn_id)
        except AirflowException as error:
            # "from None": the cause adds nothing, and the command line shows one line.
            raise InvalidConnection(
                f"connection {conn_id!r}: {error}. It was looked up in the variable "
                f"AIRFLOW_CONN_{conn_id.upper()}, in the secrets backends and in Airflow's database; "
                "'airflow connections list' shows those in the database"
            ) from None
