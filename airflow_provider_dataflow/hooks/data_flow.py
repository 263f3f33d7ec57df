"""Airflow hook for OCI Data Flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.threads import import_in_thread
from airflow_provider_dataflow.compat import BaseHook, conf, connection_form_widgets
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument, ServiceError
from airflow_provider_dataflow.hooks.cached_values import hidden_cached_property
from airflow_provider_dataflow.models.coercion import optional, text
from airflow_provider_dataflow.polling import MAX_REQUESTS_PER_SECOND

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.applications import ApplicationClient
    from airflow_provider_dataflow.client.async_client import AsyncDataFlowClient
    from airflow_provider_dataflow.client.auth.access import Access
    from airflow_provider_dataflow.client.object_storage.client import ObjectStorageClient
    from airflow_provider_dataflow.client.pools import PoolClient
    from airflow_provider_dataflow.client.rate_limit import RateLimit
    from airflow_provider_dataflow.client.sql_endpoints import SqlEndpointClient
    from airflow_provider_dataflow.client.statements import StatementClient
    from airflow_provider_dataflow.client.sync_client import DataFlowClient
    from airflow_provider_dataflow.compat import Connection
    from airflow_provider_dataflow.models.run import Run, RunLog
    from airflow_provider_dataflow.models.run_request import RunRequest


class DataFlowHook(BaseHook):
    """Calls OCI Data Flow through an Airflow connection of type ``oci``.

    Requests time out after 10 seconds to connect and 60 to read. Requests that are safe to repeat are sent up
    to five times within a minute: after 429 (not before ``Retry-After``), after 5xx except 501, and if there
    was no response. Runs are returned as :class:`~airflow_provider_dataflow.models.run.Run`.

    :param oci_conn_id: Airflow connection, ``oci_default`` by default. ``None`` is allowed for an
        ``auth_type`` that needs nothing from a connection.
    :param region: region name, for example ``eu-frankfurt-1``. Default: the connection's ``region``, or the
        region of the identity that signs in.
    :param service_endpoint: URL of the service, for example ``http://127.0.0.1:8170``. Default: the
        connection's ``service_endpoint``, or the region's own. Loopback addresses and OCI's own hosts are
        allowed; an administrator can allow others in ``[oci_data_flow] allowed_endpoints``.
    :param auth_type: how to sign in: ``api_key``, ``config_file``, ``security_token``,
        ``instance_principal``, ``resource_principal``, ``oke_workload_identity``,
        ``instance_principal_delegation`` or ``resource_principal_delegation``. Default: the connection's,
        which must be listed in ``[oci_data_flow] allowed_auth_types``, or ``api_key``.
    :param config_file: path of the SDK's configuration file on the worker, for ``config_file`` and
        ``security_token``. Default: ``[oci_data_flow] config_file``, or ``~/.oci/config``.
    :param profile: section of that file. Default: ``[oci_data_flow] profile``, or ``DEFAULT``.
    :raises InvalidArgument: an argument is not a string; the message names it.
    """

    # Slots keep the connection and its secrets out of ``vars(hook)``, which has the arguments only.
    __slots__ = ("_cache", "airflow_component")

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
        self._cache: dict[str, Any] = {}
        self.airflow_component = "worker"
        """Component of Airflow that sends the requests: a part of the User-Agent, for OCI's audit log."""
        as_text = optional(text)
        self.oci_conn_id: str | None = as_text(oci_conn_id, "oci_conn_id")
        self.region: str | None = as_text(region, "region")
        self.service_endpoint: str | None = as_text(service_endpoint, "service_endpoint")
        self.auth_type: str | None = as_text(auth_type, "auth_type")
        self.config_file: str | None = as_text(config_file, "config_file")
        self.profile: str | None = as_text(profile, "profile")

    @hidden_cached_property
    def _connection(self) -> Connection | None:
        return self._look_up()

    def _look_up(self) -> Connection | None:
        return self.get_connection(self.oci_conn_id) if self.oci_conn_id else None

    @hidden_cached_property
    def access(self) -> Access:
        """Credentials, region and endpoint of the connection.

        :raises InvalidConnection: a field of the connection is missing or malformed.
        """
        from airflow_provider_dataflow.hooks.connection import SignInArguments, access_from

        return access_from(
            self._connection,
            region=self.region,
            service_endpoint=self.service_endpoint,
            sign_in_arguments=SignInArguments(self.auth_type, self.config_file, self.profile),
            reload=self._look_up,
        )

    @hidden_cached_property
    def compartment_id(self) -> str | None:
        """OCID of the connection's compartment, the default of all calls that need one."""
        from airflow_provider_dataflow.hooks.connection import extras_of

        return extras_of(self._connection).get("compartment_id")

    @hidden_cached_property
    def client(self) -> DataFlowClient:
        """Synchronous client. For workers only, since its calls block."""
        return self.new_client()

    def new_client(self, access: Access | None = None, *, urgent: bool = False) -> DataFlowClient:
        """Return a synchronous client with connections of its own, for use in another thread.

        In a triggerer, its requests count for the rate limit of the connection.

        :param access: credentials, region and endpoint, if they are known. Default: look up the connection.
        :param urgent: do not wait for the rate limit, for a cancel, which has little time.
        """
        from airflow_provider_dataflow.client.sync_client import DataFlowClient

        limit = self._sync_rate_limit()
        return DataFlowClient(access or self.access, self.airflow_component, limit, urgent=urgent)

    @hidden_cached_property
    def object_storage(self) -> ObjectStorageClient:
        """Operations on objects of Object Storage: put, get, download, head, list, delete. They block."""
        from airflow_provider_dataflow.client.object_storage.client import ObjectStorageClient

        return ObjectStorageClient(self.access, self.airflow_component, self._sync_rate_limit())

    @hidden_cached_property
    def staging_uri(self) -> str | None:
        """``oci://bucket@namespace/prefix`` to which local code is uploaded.

        It is the connection's ``staging_uri``, or else ``[oci_data_flow] staging_uri``.
        """
        from airflow_provider_dataflow.hooks.connection import extras_of

        return extras_of(self._connection).get("staging_uri") or (
            conf.get("oci_data_flow", "staging_uri", fallback="") or None
        )

    async def async_client(self) -> AsyncDataFlowClient:
        """Return an asynchronous client; close it after use. The connection is looked up in a thread."""
        module = await import_in_thread("airflow_provider_dataflow.client.async_client")
        client: AsyncDataFlowClient = await module.AsyncDataFlowClient.create(
            lambda: self.access, self._rate_limit(), self.airflow_component
        )
        return client

    def _sync_rate_limit(self) -> RateLimit | None:
        """Return the rate limit for synchronous clients; None outside a triggerer."""
        return self._rate_limit() if self.airflow_component == "triggerer" else None

    def _rate_limit(self) -> RateLimit:
        """Return the rate limit that all clients of the connection share in this process."""
        from airflow_provider_dataflow.client.rate_limit import shared_rate_limit

        return shared_rate_limit(self.connection_key, max_requests_per_second())

    @property
    def connection_key(self) -> tuple[str | None, ...]:
        """Key under which clients are shared: equal for hooks with equal arguments. Does no look-up."""
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

        :param request: fields of the run.
        :param retry_token: at most 64 characters (``opc-retry-token``). A second submit with the same
            token within 24 hours returns the run of the first.
        :raises SubmitRejected: the service refused the request; no run exists.
        :raises ServiceError: another error or no response; a run may exist.
        """
        return self.client.create_run(request, retry_token)

    def get_run(self, run_id: str) -> Run:
        """Return a run (GetRun).

        :param run_id: OCID of the run.
        :raises ServiceError: the request failed, or the run does not exist.
        """
        return self.client.get_run(run_id)

    def list_runs(self, compartment_id: str | None = None, **filters: Any) -> Iterator[Run]:
        """Yield the runs of a compartment, newest first (ListRuns).

        :param compartment_id: OCID. Default: the connection's ``compartment_id``.
        :param filters: at most one of ``application_id``, ``pool_id``, ``owner_principal_id``,
            ``display_name``, ``display_name_starts_with``, ``lifecycle_state``,
            ``time_created_greater_than``: the service allows no more than one.
        :raises InvalidArgument: no compartment, an unknown filter, or more than one filter.
        :raises ServiceError: the request failed.
        """
        return self.client.list_runs(self.compartment(compartment_id), **filters)

    def compartment(self, compartment_id: str | None = None) -> str:
        """Return the compartment for a call that needs one.

        :param compartment_id: OCID. Default: the connection's ``compartment_id``.
        :raises InvalidArgument: there is neither.
        """
        compartment_id = compartment_id or self.compartment_id
        if not compartment_id:
            raise InvalidArgument("compartment_id", "missing, and the connection has none either")
        return compartment_id

    def update_run(self, run_id: str, changes: Mapping[str, Any], *, if_match: str | None = None) -> Run:
        """Change the mutable fields of a submitted run (UpdateRun).

        :param run_id: OCID of the run.
        :param changes: fields of ``UpdateRunDetails`` by the API's names: ``freeformTags``, ``definedTags``
            (both replace all tags of the run), ``maxDurationInMinutes``, ``idleTimeoutInMinutes``.
        :param if_match: update only if the run still has this etag (from ``client.get_run_with_etag``).
            Default: update in any case.
        :raises ServiceError: the request failed; status 412 if the run has another etag by now.
        """
        return self.client.update_run(run_id, changes, if_match=if_match)

    def change_run_compartment(self, run_id: str, compartment_id: str) -> None:
        """Move a run that has ended into another compartment (ChangeRunCompartment).

        :param run_id: OCID of the run.
        :param compartment_id: OCID of the compartment.
        :raises ServiceError: the request failed.
        """
        self.client.change_run_compartment(run_id, compartment_id)

    @property
    def applications(self) -> ApplicationClient:
        """Operations on applications: create, get, list, update, delete, change compartment."""
        return self.client.applications

    @property
    def pools(self) -> PoolClient:
        """Operations on pools: create, get, list, update, start, stop, delete, change compartment."""
        return self.client.pools

    @property
    def sql_endpoints(self) -> SqlEndpointClient:
        """Operations on SQL endpoints: create, get, list, update, start, stop, delete, change compartment."""
        return self.client.sql_endpoints

    @property
    def statements(self) -> StatementClient:
        """Operations on statements of SESSION runs: create, get, list, cancel."""
        return self.client.statements

    def cancel_run(self, run_id: str) -> None:
        """Cancel a run (DeleteRun). A run that has ended stays as it is.

        :param run_id: OCID of the run.
        :raises ServiceError: the request failed, or the run does not exist.
        """
        self.client.cancel_run(run_id)

    def list_run_logs(self, run_id: str) -> list[RunLog]:
        """Return the logs of a run that the service has stored so far (ListRunLogs).

        :param run_id: OCID of the run.
        :raises ServiceError: the request failed.
        """
        return self.client.list_run_logs(run_id)

    def get_run_log(self, run_id: str, name: str) -> Iterator[bytes]:
        """Yield a log of a run in chunks, decompressed (GetRunLog).

        :param run_id: OCID of the run.
        :param name: name of the log, from :meth:`list_run_logs`.
        :raises ServiceError: the request failed, or the response broke off.
        """
        return self.client.get_run_log(run_id, name)

    def visible_compartments(self) -> list[str]:
        """Return the OCIDs of all compartments that the connection may see (ListCompartments of Identity).

        With Local Data Flow, return only the connection's own compartment.

        :raises ServiceError: the request failed, for example because a policy is missing.
        """
        from airflow_provider_dataflow.client.compartments import visible_compartments
        from airflow_provider_dataflow.hooks.connection import extras_of

        tenancy = extras_of(self._connection).get("tenancy", "")
        return visible_compartments(self.client, tenancy) or [self.compartment()]

    def run_page_url(self, run_id: str) -> str:
        """Return the URL of the run's page in OCI's console, or in Local Data Flow's."""
        from airflow_provider_dataflow.client.console_links import run_page_url

        return run_page_url(self.access, run_id)

    def bucket_page_url(self, uri: str | None) -> str | None:
        """Return the URL of a bucket's page in OCI's console; ``None`` with Local Data Flow.

        :param uri: ``oci://bucket@namespace/``. ``None`` is returned for anything else.
        """
        from airflow_provider_dataflow.client.console_links import bucket_page_url

        return bucket_page_url(self.access, uri)

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the connection works, and a message. Needs only the permission to read runs."""
        from airflow_provider_dataflow.client.connection_diagnosis import explain

        try:
            if self.compartment_id:
                next(self.list_runs(), None)
                return True, f"Data Flow responds at {self.access.endpoint}"
            return self._test_sign_in()
        except ServiceError as error:
            return False, explain(error, self.access)
        except DataFlowError as error:
            return False, str(error)

    def _test_sign_in(self) -> tuple[bool, str]:
        """Test the sign-in by a GetRun of a run that does not exist: 400 or 404 means it was accepted."""
        try:
            self.get_run("ocid1.dataflowrun.oc1..doesnotexist")
        except ServiceError as error:
            if error.status not in (400, 404):
                raise
        return True, (
            f"Data Flow responds at {self.access.endpoint} and accepts the sign-in. The connection has no "
            "compartment_id, so its rights were not tested."
        )

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Return the form's extra fields. Needed before Airflow 3.2, which reads them from the metadata."""
        from airflow_provider_dataflow.hooks.connection_form import FIELDS

        return connection_form_widgets(FIELDS)

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Return labels and placeholders of the form's standard fields. Needed before Airflow 3.2."""
        from airflow_provider_dataflow.hooks.connection_form import field_behaviour

        return field_behaviour()


def max_requests_per_second() -> float:
    """Return the rate limit of a connection in a triggerer, from Airflow's configuration."""
    return (
        conf.getfloat("oci_data_flow", "max_requests_per_second", fallback=MAX_REQUESTS_PER_SECOND)
        or MAX_REQUESTS_PER_SECOND
    )
