"""The hook: an Airflow connection, and the calls of Data Flow through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.threads import module
from airflow_provider_dataflow.compat import BaseHook, conf, connection_form_widgets
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument, ServiceError
from airflow_provider_dataflow.hooks.cached_values import kept
from airflow_provider_dataflow.models.coercion import optional, text
from airflow_provider_dataflow.polling import MAX_REQUESTS_PER_SECOND

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.applications import Applications
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.client.auth.access import Access
    from airflow_provider_dataflow.client.pools import Pools
    from airflow_provider_dataflow.client.statements import Statements
    from airflow_provider_dataflow.client.sync_client import DataFlowClient
    from airflow_provider_dataflow.compat import Connection
    from airflow_provider_dataflow.models.run import Run, RunLog
    from airflow_provider_dataflow.models.run_request import RunRequest


class DataFlowHook(BaseHook):
    """Calls OCI Data Flow through an Airflow connection of type ``oci``.

    Requests time out after 10 seconds to connect and 60 to read. What can be repeated safely is repeated, at
    most five times within a minute: on 429 (as late as ``Retry-After`` asks), on 5xx except 501, and when
    there is no answer. Runs come back as :class:`~airflow_provider_dataflow.models.run.Run`.

    :param oci_conn_id: Airflow connection, ``oci_default`` by default. ``None`` is for an ``auth_type`` that
        needs nothing from a connection.
    :param region: region name, for example ``eu-frankfurt-1``. Default: the connection's ``region``, or that
        of the identity.
    :param service_endpoint: URL of the service instead of the region's own, for example
        ``http://127.0.0.1:8170``. Default: the connection's ``service_endpoint``. Loopback and OCI's own
        hosts are allowed; an administrator can allow others in ``[oci_data_flow] allowed_endpoints``.
    :param auth_type: how to sign in: ``api_key``, ``config_file``, ``security_token``,
        ``instance_principal``, ``resource_principal``, ``oke_workload_identity``,
        ``instance_principal_delegation`` or ``resource_principal_delegation``. Default: the connection's, as
        far as an administrator allows it, or ``api_key``.
    :param config_file: path of the SDK's configuration file on the worker, for ``config_file`` and
        ``security_token``. Default: ``[oci_data_flow] config_file``, or ``~/.oci/config``.
    :param profile: section of that file. Default: ``[oci_data_flow] profile``, or ``DEFAULT``.
    :raises InvalidArgument: an argument is no text, by name.
    """

    # For the connection, and what is made of it: ``vars(hook)`` has the arguments only.
    __slots__ = ("_kept", "part")

    conn_name_attr = "oci_conn_id"
    default_conn_name = "oci_default"
    conn_type = "oci"
    hook_name = "Oracle Cloud Infrastructure"

    def __init__(
        self,
        oci_conn_id: str | None = default_conn_name,
        *,
        region: str | None = None,
        service_endpoint: str | None = None,
        auth_type: str | None = None,
        config_file: str | None = None,
        profile: str | None = None,
    ) -> None:
        super().__init__()
        self._kept: dict[str, Any] = {}
        self.part = "worker"
        """Which part of Airflow calls: in the User-Agent, so that OCI's audit log tells who cancelled."""
        as_text = optional(text)
        self.oci_conn_id: str | None = as_text(oci_conn_id, "oci_conn_id")
        self.region: str | None = as_text(region, "region")
        self.service_endpoint: str | None = as_text(service_endpoint, "service_endpoint")
        self.auth_type: str | None = as_text(auth_type, "auth_type")
        self.config_file: str | None = as_text(config_file, "config_file")
        self.profile: str | None = as_text(profile, "profile")

    @kept
    def _connection(self) -> Connection | None:
        return self._look_up()

    def _look_up(self) -> Connection | None:
        return self.get_connection(self.oci_conn_id) if self.oci_conn_id else None

    @kept
    def access(self) -> Access:
        """Who calls, and where.

        :raises InvalidConnection: a field of the connection is missing or malformed.
        """
        from airflow_provider_dataflow.hooks.connection import Choice, access_from

        return access_from(
            self._connection,
            region=self.region,
            service_endpoint=self.service_endpoint,
            choice=Choice(self.auth_type, self.config_file, self.profile),
            reload=self._look_up,
        )

    @kept
    def compartment_id(self) -> str | None:
        """OCID of the connection's compartment, the default for all calls that need one."""
        from airflow_provider_dataflow.hooks.connection import extras_of

        return extras_of(self._connection).get("compartment_id")

    @kept
    def client(self) -> DataFlowClient:
        """The synchronous client. For workers only: its calls block."""
        return self.new_client()

    def new_client(self, part: str | None = None, access: Access | None = None) -> DataFlowClient:
        """A synchronous client with connections of its own, for use beside one that may be busy.

        :param part: which part of Airflow calls, for OCI's audit log. Default: the hook's :attr:`part`.
        :param access: of another client of this connection; default: it is looked up.
        """
        from airflow_provider_dataflow.client.sync_client import DataFlowClient

        return DataFlowClient(access or self.access, part or self.part)

    async def async_client(self) -> AsyncDataFlowClient:
        """An asynchronous client; close it after use. The connection is looked up in a thread."""
        aio = await module("airflow_provider_dataflow.client.async_client")
        client: AsyncDataFlowClient = await aio.AsyncDataFlowClient.create(
            lambda: self.access, max_requests_per_second(), self.part
        )
        return client

    @property
    def key(self) -> tuple[str | None, ...]:
        """What tells this hook's access from another's, known without looking anything up."""
        return (
            self.oci_conn_id,
            self.region,
            self.service_endpoint,
            self.auth_type,
            self.config_file,
            self.profile,
        )

    def create_run(self, request: RunRequest, retry_token: str) -> Run:
        """Submit a run (CreateRun).

        :param request: what to run.
        :param retry_token: at most 64 characters (``opc-retry-token``). The service answers a second submit
            with the same token, within 24 hours, with the run that it already has.
        :raises SubmitRejected: the service refused; no run exists.
        :raises ServiceError: it is open whether a run exists.
        """
        return self.client.create_run(request, retry_token)

    def get_run(self, run_id: str) -> Run:
        """Read a run (GetRun).

        :param run_id: OCID of the run.
        :raises ServiceError: the service could not be asked, or does not know the run.
        """
        return self.client.get_run(run_id)

    def list_runs(self, compartment_id: str | None = None, **filters: Any) -> Iterator[Run]:
        """Runs of a compartment, newest first (ListRuns).

        :param compartment_id: OCID. Default: the connection's ``compartment_id``.
        :param filters: at most one of ``application_id``, ``pool_id``, ``owner_principal_id``,
            ``display_name``, ``display_name_starts_with``, ``lifecycle_state``,
            ``time_created_greater_than``: the service allows no more than one.
        :raises InvalidArgument: no compartment, an unknown filter, or more than one.
        :raises ServiceError: the service could not be asked.
        """
        return self.client.list_runs(self.compartment(compartment_id), **filters)

    def compartment(self, compartment_id: str | None = None) -> str:
        """The compartment for a call that needs one.

        :param compartment_id: OCID. Default: the connection's ``compartment_id``.
        :raises InvalidArgument: there is neither.
        """
        compartment_id = compartment_id or self.compartment_id
        if not compartment_id:
            raise InvalidArgument("compartment_id", "missing, and the connection has none either")
        return compartment_id

    def update_run(self, run_id: str, changes: Mapping[str, Any], *, if_match: str | None = None) -> Run:
        """Change what of a run can be changed after its submit (UpdateRun).

        :param run_id: OCID of the run.
        :param changes: fields of ``UpdateRunDetails`` by the API's names: ``freeformTags``, ``definedTags``
            (both replace all that there are), ``maxDurationInMinutes``, ``idleTimeoutInMinutes``.
        :param if_match: etag of the state that the changes were made from, as
            ``client.get_run_with_etag`` has it. Default: whatever there is by now.
        :raises ServiceError: the service refused, with 412 if the run has changed since, or could not be
            asked.
        """
        return self.client.update_run(run_id, changes, if_match=if_match)

    def change_run_compartment(self, run_id: str, compartment_id: str) -> None:
        """Move a run that has ended into another compartment (ChangeRunCompartment).

        :param run_id: OCID of the run.
        :param compartment_id: OCID of the compartment.
        :raises ServiceError: the service refused, or could not be asked.
        """
        self.client.change_run_compartment(run_id, compartment_id)

    @property
    def applications(self) -> Applications:
        """The calls about applications: create, get, list, update, delete, change compartment."""
        return self.client.applications

    @property
    def pools(self) -> Pools:
        """The calls about pools: create, get, list, update, start, stop, delete, change compartment."""
        return self.client.pools

    @property
    def statements(self) -> Statements:
        """The calls about statements of SESSION runs: create, get, list, cancel."""
        return self.client.statements

    def cancel_run(self, run_id: str) -> None:
        """Cancel a run (DeleteRun). A run that has ended already is left as it is.

        :param run_id: OCID of the run.
        :raises ServiceError: the service could not be asked, or does not know the run.
        """
        self.client.cancel_run(run_id)

    def list_run_logs(self, run_id: str) -> list[RunLog]:
        """The logs that the service has of a run so far (ListRunLogs).

        :param run_id: OCID of the run.
        :raises ServiceError: the service could not be asked.
        """
        return self.client.list_run_logs(run_id)

    def get_run_log(self, run_id: str, name: str) -> Iterator[bytes]:
        """One log of a run, decompressed, in chunks (GetRunLog).

        :param run_id: OCID of the run.
        :param name: of the log, as :meth:`list_run_logs` has it.
        :raises ServiceError: the service could not be asked, or the answer broke off.
        """
        return self.client.get_run_log(run_id, name)

    def visible_compartments(self) -> list[str]:
        """OCIDs of all compartments that the connection may see (ListCompartments of Identity).

        With Local Data Flow, the connection's own.

        :raises ServiceError: the service could not be asked, or a policy is missing.
        """
        from airflow_provider_dataflow.client.compartments import visible_compartments
        from airflow_provider_dataflow.hooks.connection import extras_of

        tenancy = extras_of(self._connection).get("tenancy", "")
        found = visible_compartments(self.client, tenancy)
        return found or [self.compartment()]

    def run_page_url(self, run_id: str) -> str:
        """Where a person can look at the run: OCI's console, or Local Data Flow's page."""
        from airflow_provider_dataflow.client.console_links import run_page_url

        return run_page_url(self.access, run_id)

    def bucket_page_url(self, uri: str | None) -> str | None:
        """Where a person can look at an ``oci://bucket@namespace/``: OCI's console, if that has it."""
        from airflow_provider_dataflow.client.console_links import bucket_page_url

        return bucket_page_url(self.access, uri)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the connection works, in words. Needs no more than the right to read runs."""
        from airflow_provider_dataflow.client.connection_diagnosis import explain

        try:
            if self.compartment_id:
                next(self.list_runs(), None)
                return True, f"Data Flow answers at {self.access.endpoint}"
            return self._test_sign_in()
        except ServiceError as error:
            return False, explain(error, self.access)
        except DataFlowError as error:
            return False, str(error)

    def _test_sign_in(self) -> tuple[bool, str]:
        """Without a compartment there is nothing to list, but also an unknown run shows who may ask."""
        try:
            self.get_run("ocid1.dataflowrun.oc1..doesnotexist")
        except ServiceError as error:
            if error.status not in (400, 404):
                raise
        return True, (
            f"Data Flow answers at {self.access.endpoint} and accepts the sign-in. Without a compartment_id, "
            "rights were not tested."
        )

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """The form's own fields, for releases of Airflow that do not take them from the metadata."""
        from airflow_provider_dataflow.hooks.connection_form import FIELDS

        return connection_form_widgets(FIELDS)

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """What the form does with the fields that every connection has, likewise."""
        from airflow_provider_dataflow.hooks.connection_form import field_behaviour

        return field_behaviour()


def max_requests_per_second() -> float:
    """What an administrator lets a triggerer send through one connection."""
    return (
        conf.getfloat("oci_data_flow", "max_requests_per_second", fallback=MAX_REQUESTS_PER_SECOND)
        or MAX_REQUESTS_PER_SECOND
    )
