"""Operators that create, update, start, stop and delete SQL endpoints, for setup and teardown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.client.conditional_update import update_if_different
from airflow_provider_dataflow.cost.settings import with_configured_tags
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.sql_endpoint import (
    DEAD_STATES,
    GONE_STATES,
    SqlEndpoint,
    SqlEndpointDetails,
    SqlEndpointState,
)
from airflow_provider_dataflow.operators.base import WAIT_ARGUMENTS, retry_token_of_try
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow
from airflow_provider_dataflow.operators.sql_endpoint_base import SETTLED_STATES, SqlEndpointOperator
from airflow_provider_dataflow.operators.stoppable_resource import (
    DeleteResourceOperator,
    ExistingResourceOperator,
    NextWait,
)

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context

#: XCom of the endpoint's OCID.
SQL_ENDPOINT_ID = "sql_endpoint_id"


class _ExistingSqlEndpointOperator(ExistingResourceOperator[SqlEndpoint], SqlEndpointOperator):
    template_fields: Sequence[str] = ("sql_endpoint_id", *WAIT_ARGUMENTS, *HOOK_ARGUMENTS)

    def __init__(self, *, sql_endpoint_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql_endpoint_id: Any = sql_endpoint_id
        self.read_settings_at_parse()


class CreateOrUpdateSqlEndpointOperator(SqlEndpointOperator):
    """Creates or updates a SQL endpoint and waits until it is ACTIVE (CreateSqlEndpoint, UpdateSqlEndpoint).

    If the compartment has no endpoint of this display name, the task creates one. Otherwise it updates the
    fields that differ from the arguments, and starts the endpoint if it is INACTIVE; fields without an
    argument stay unchanged. The endpoint's OCID is the task's result, and is pushed to XCom as
    ``sql_endpoint_id`` too, its JDBC URL as ``jdbc_endpoint_url``.

    All arguments up to ``warehouse_bucket_uri`` are templated, and are the fields of the API's
    ``CreateSqlEndpointDetails``. The API cannot change ``network_configuration``, ``sql_endpoint_version``
    and ``warehouse_bucket_uri``. The ``log_`` arguments count for a new endpoint only, because the service
    does not return them.

    :param display_name: name of the endpoint, by which an existing one is found (``displayName``).
    :param driver_shape: shape of the driver, for example ``VM.Standard.E4.Flex`` (``driverShape``).
    :param executor_shape: shape of the executors (``executorShape``).
    :param max_executor_count: maximum number of executors (``maxExecutorCount``).
    :param min_executor_count: minimum number of executors (``minExecutorCount``).
    :param network_configuration: ``{"network_type": "SECURE_ACCESS", "access_control_rules":
        [{"ip_notation": "CIDR", "value": "10.0.0.0/16"}]}``, or ``{"network_type": "VCN", "vcn_id": ...,
        "subnet_id": ..., "host_name_prefix": ..., "nsg_ids": [...]}`` (``networkConfiguration``).
    :param sql_endpoint_version: version of the endpoint, for example ``3.5.0`` (``sqlEndpointVersion``).
    :param warehouse_bucket_uri: ``oci://bucket@namespace/`` of the SQL warehouse (``warehouseBucketUri``).
    :param compartment_id: OCID of the compartment (``compartmentId``). Default: the connection's.
    :param defined_tags: ``{"Namespace": {"Key": "value"}}`` or ``{"Namespace.Key": "value"}``; other
        namespaces stay unchanged (``definedTags``).
    :param description: description of the endpoint (``description``).
    :param driver_shape_config: ``{"ocpus": 1, "memory_in_gbs": 16}`` for a flexible shape
        (``driverShapeConfig``).
    :param executor_shape_config: like ``driver_shape_config``, for the executors (``executorShapeConfig``).
    :param freeform_tags: dict of strings; replaces all freeform tags of the endpoint (``freeformTags``).
    :param lake_id: OCID of the lake (``lakeId``). The API reference requires it; only the service checks it.
    :param log_compartment_id: OCID of the log group's compartment (``logCompartmentId``).
    :param log_display_name: name of the log (``logDisplayName``).
    :param log_group_id: OCID of the log group (``logGroupId``).
    :param log_retention_duration: days for which the log is kept (``logRetentionDuration``).
    :param metastore_id: OCID of a Data Catalog metastore (``metastoreId``). The API reference requires it;
        only the service checks it.
    :param spark_advanced_configurations: Spark properties, a dict of strings
        (``sparkAdvancedConfigurations``).

    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the endpoint is ACTIVE; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the endpoint; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises InvalidArgument: an argument is invalid; nothing was sent.
    :raises AmbiguousName: several endpoints of the compartment have this name.
    :raises SqlEndpointError: the endpoint is not ACTIVE in time, or cannot become ACTIVE.
    :raises ServiceError: the service refused the request, or did not respond.
    """

    template_fields: Sequence[str] = (
        *SqlEndpointDetails.argument_names(),
        *WAIT_ARGUMENTS,
        *HOOK_ARGUMENTS,
    )
    body_arguments = frozenset(SqlEndpointDetails.argument_names())
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("defined_tags", "driver_shape_config", "executor_shape_config"), "json"),
        **dict.fromkeys(("freeform_tags", "network_configuration", "spark_advanced_configurations"), "json"),
    }

    def __init__(
        self,
        *,
        display_name: str,
        driver_shape: str,
        executor_shape: str,
        max_executor_count: int | str,
        min_executor_count: int | str,
        network_configuration: Mapping[str, Any] | str,
        sql_endpoint_version: str,
        warehouse_bucket_uri: str,
        compartment_id: str | None = None,
        defined_tags: Mapping[str, Any] | str | None = None,
        description: str | None = None,
        driver_shape_config: Mapping[str, Any] | str | None = None,
        executor_shape_config: Mapping[str, Any] | str | None = None,
        freeform_tags: Mapping[str, str] | str | None = None,
        lake_id: str | None = None,
        log_compartment_id: str | None = None,
        log_display_name: str | None = None,
        log_group_id: str | None = None,
        log_retention_duration: int | str | None = None,
        metastore_id: str | None = None,
        spark_advanced_configurations: Mapping[str, Any] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.display_name = display_name
        self.driver_shape = driver_shape
        self.executor_shape = executor_shape
        self.max_executor_count = max_executor_count
        self.min_executor_count = min_executor_count
        self.network_configuration = network_configuration
        self.sql_endpoint_version = sql_endpoint_version
        self.warehouse_bucket_uri = warehouse_bucket_uri
        self.compartment_id = compartment_id
        self.defined_tags = defined_tags
        self.description = description
        self.driver_shape_config = driver_shape_config
        self.executor_shape_config = executor_shape_config
        self.freeform_tags = freeform_tags
        self.lake_id = lake_id
        self.log_compartment_id = log_compartment_id
        self.log_display_name = log_display_name
        self.log_group_id = log_group_id
        self.log_retention_duration = log_retention_duration
        self.metastore_id = metastore_id
        self.spark_advanced_configurations = spark_advanced_configurations
        # Whether the endpoint has the wanted fields, so that only its state is left to change.
        self._is_updated = False
        SqlEndpointDetails.check_at_parse(self._arguments())

    @called_by_airflow
    def execute(self, context: Context) -> str:
        self.read_settings()
        details = self._details()
        found = self.hook.sql_endpoints.named(str(details.compartment_id), str(details.display_name))
        if found is None:
            tagged = with_configured_tags(details)
            endpoint = self.hook.sql_endpoints.create(tagged, retry_token_of_try(context))
            self.log.info("SQL endpoint %s (%s): created", endpoint.id, endpoint.display_name)
            self._is_updated = True
        else:
            endpoint = self.hook.sql_endpoints.get(found.id)
            self.log.info(
                *("SQL endpoint %s (%s) already exists and is %s", endpoint.id),
                *(endpoint.display_name, endpoint.state),
            )
        # Before the wait, so that a teardown task finds the endpoint even if the wait fails.
        context["ti"].xcom_push(key=SQL_ENDPOINT_ID, value=endpoint.id)
        return self._request_until_done(endpoint, context)

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, is_updated: bool = False
    ) -> str:
        """Resume after the trigger's event.

        :param is_updated: whether the endpoint had the wanted fields before the deferral.
        """
        self._is_updated = is_updated
        return super().execute_complete(context, event)

    def _progress(self) -> dict[str, Any]:
        return {"is_updated": self._is_updated}

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SqlEndpointDetails.argument_names()}

    def _details(self) -> SqlEndpointDetails:
        arguments = self._arguments()
        arguments["compartment_id"] = self.hook.compartment(self.compartment_id)
        details = SqlEndpointDetails.build(arguments)
        details.check()
        return details

    def _request_next(self, endpoint: SqlEndpoint) -> NextWait | None:
        if endpoint.state in SETTLED_STATES and not self._is_updated:
            changed = self._update(endpoint)
            self._is_updated = True
            if changed:
                return NextWait(SETTLED_STATES, is_last=endpoint.state == SqlEndpointState.ACTIVE)
        return self._start(endpoint)

    def _update(self, endpoint: SqlEndpoint) -> bool:
        """Update the fields that differ. Return whether there were any."""
        client, details = self.hook.sql_endpoints, with_configured_tags(self._details(), update=True)
        _, changes = update_if_different(
            lambda: client.get_with_etag(endpoint.id),
            lambda found: details.differences(found.raw),
            lambda changes, etag: client.update(endpoint.id, changes, if_match=etag),
        )
        if changes:
            names = ", ".join(details.argument_names_of(changes))
            self.log.info("SQL endpoint %s: update of %s requested", endpoint.id, names)
        return bool(changes)


class StartSqlEndpointOperator(_ExistingSqlEndpointOperator):
    """Starts a SQL endpoint and waits until it is ACTIVE (StartSqlEndpoint).

    If it is already ACTIVE, nothing is sent. The endpoint's OCID is the task's result; its JDBC URL is pushed
    to XCom as ``jdbc_endpoint_url``.

    :param sql_endpoint_id: OCID of the SQL endpoint (``sqlEndpointId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the endpoint is ACTIVE; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the endpoint; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises SqlEndpointError: the endpoint is not ACTIVE in time, or cannot become ACTIVE.
    :raises ServiceError: the service refused the request, or did not respond.
    """

    def _request_next(self, endpoint: SqlEndpoint) -> NextWait | None:
        return self._start(endpoint)


class StopSqlEndpointOperator(_ExistingSqlEndpointOperator):
    """Stops a SQL endpoint, which ends its queries, and waits until it is INACTIVE (StopSqlEndpoint).

    If it is already INACTIVE or deleted, nothing is sent. The endpoint's OCID is the task's result.

    :param sql_endpoint_id: OCID of the SQL endpoint (``sqlEndpointId``); templated.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the endpoint is INACTIVE; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the endpoint; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises SqlEndpointError: the endpoint is not INACTIVE in time, or cannot be stopped.
    :raises ServiceError: the service refused the request, or did not respond.
    """

    def _request_next(self, endpoint: SqlEndpoint) -> NextWait | None:
        if endpoint.state in {SqlEndpointState.INACTIVE} | GONE_STATES:
            self.log.info(
                *("SQL endpoint %s (%s) is %s: nothing to stop", endpoint.id, endpoint.display_name),
                endpoint.state,
            )
            return None
        if endpoint.state == SqlEndpointState.FAILED:
            raise self._failed(endpoint, "it cannot be stopped")
        if endpoint.state in (SqlEndpointState.ACTIVE, SqlEndpointState.NEEDS_ATTENTION):
            self._send("stop", self.hook.sql_endpoints.stop, endpoint)
            return NextWait({SqlEndpointState.INACTIVE}, is_last=True)
        return NextWait(SETTLED_STATES, is_last=False)


class DeleteSqlEndpointOperator(DeleteResourceOperator[SqlEndpoint], _ExistingSqlEndpointOperator):
    """Deletes a SQL endpoint and waits until it is DELETED (DeleteSqlEndpoint).

    If it is already deleted, nothing is sent. The endpoint's OCID is the task's result.

    :param sql_endpoint_id: OCID of the SQL endpoint (``sqlEndpointId``); templated.
    :param ignore_if_missing: succeed also if the endpoint does not exist; templated. Default: False.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :param wait_for_completion: wait until the endpoint is DELETED; templated. Default: True.
    :param deferrable: wait in the triggerer, without a worker slot; templated. Default: ``[operators]
        default_deferrable`` of Airflow's configuration.
    :param poll_interval: seconds (or a timedelta) between two polls of the endpoint; templated. Default: 30.
    :param timeout: seconds (or a timedelta) from the start of the task to the end of the wait; templated.
        Default: 1800.
    :param error_budget: seconds (or a timedelta) for which service errors are retried while the task waits;
        templated. Default: 1800.
    :raises SqlEndpointError: the endpoint is not DELETED in time.
    :raises ServiceError: the endpoint does not exist, or the service refused the request or did not respond.
    """

    template_fields: Sequence[str] = (*_ExistingSqlEndpointOperator.template_fields, "ignore_if_missing")

    def _request_next(self, endpoint: SqlEndpoint) -> NextWait | None:
        if endpoint.state == SqlEndpointState.DELETED:
            self.log.info("SQL endpoint %s is DELETED", endpoint.id)
            return None
        if endpoint.state == SqlEndpointState.DELETING:
            return NextWait({SqlEndpointState.DELETED}, is_last=True)
        if endpoint.state in (*SETTLED_STATES, *DEAD_STATES):
            self._send("delete", self.hook.sql_endpoints.delete, endpoint)
            return NextWait({SqlEndpointState.DELETED}, is_last=True)
        return NextWait(SETTLED_STATES, is_last=False)
