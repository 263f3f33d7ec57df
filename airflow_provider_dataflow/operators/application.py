"""Operators that create, update and delete applications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.arguments.run_arguments import RENAMED_ATTRIBUTES
from airflow_provider_dataflow.client.conditional_update import update_if_different
from airflow_provider_dataflow.exceptions import NotFound, ServiceError
from airflow_provider_dataflow.hooks.arguments import HOOK_ARGUMENTS
from airflow_provider_dataflow.models.application import GONE_STATES, Application, ApplicationDetails
from airflow_provider_dataflow.operators.base import (
    DataFlowOperator,
    check_exactly_one,
    check_given,
    retry_token_of_try,
)
from airflow_provider_dataflow.operators.called_by_airflow import called_by_airflow

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context

#: XCom of the application's OCID.
APPLICATION_ID = "application_id"

#: Attribute of each argument.
ATTRIBUTES = {name: RENAMED_ATTRIBUTES.get(name, name) for name in ApplicationDetails.argument_names()}


class CreateOrUpdateApplicationOperator(DataFlowOperator):
    """Creates or updates an application (CreateApplication, UpdateApplication).

    If the compartment has no application of this display name, the task creates one. Otherwise it updates
    the fields that differ from the arguments; fields without an argument stay unchanged. The application's
    OCID is the task's result, and is pushed to XCom as ``application_id`` too.

    All arguments up to ``warehouse_bucket_uri`` are templated, and are the fields of the API's
    ``CreateApplicationDetails``; values are converted to the type that the API expects. ``display_name``,
    ``driver_shape``, ``executor_shape``, ``language``, ``num_executors`` and ``spark_version`` are required.
    So is either ``file_uri`` or ``execute``, except for type SESSION.

    :param application_log_config: ``{"log_group_id": ..., "log_id": ...}``, OCIDs of the log in OCI Logging
        (``applicationLogConfig``).
    :param archive_uri: ``oci://`` URI of an archive with dependencies, or several separated by commas
        (``archiveUri``).
    :param arguments: arguments of the application, a list of strings; ``${name}`` is replaced by the
        parameter of that name (``arguments``).
    :param class_name: main class, for the languages JAVA and SCALA (``className``).
    :param compartment_id: OCID of the compartment (``compartmentId``). Default: the connection's.
    :param configuration: Spark properties, a dict of strings (``configuration``).
    :param defined_tags: ``{"Namespace": {"Key": "value"}}`` or ``{"Namespace.Key": "value"}``; other
        namespaces stay unchanged (``definedTags``).
    :param description: description of the application (``description``).
    :param display_name: name of the application, by which an existing one is found (``displayName``).
    :param driver_shape: shape of the driver, for example ``VM.Standard.E4.Flex`` (``driverShape``).
    :param driver_shape_config: ``{"ocpus": 1, "memory_in_gbs": 16}`` for a flexible shape
        (``driverShapeConfig``).
    :param execute: a spark-submit command line without ``spark-submit``, instead of ``file_uri``,
        ``class_name``, ``arguments``, ``configuration`` and ``parameters`` (``execute``).
    :param executor_shape: shape of the executors (``executorShape``).
    :param executor_shape_config: like ``driver_shape_config``, for the executors (``executorShapeConfig``).
    :param file_uri: ``oci://`` URI of the program (``fileUri``).
    :param freeform_tags: dict of strings; replaces all freeform tags of the application (``freeformTags``).
    :param idle_timeout_in_minutes: minutes without work after which a SESSION run ends
        (``idleTimeoutInMinutes``).
    :param language: ``PYTHON``, ``JAVA``, ``SCALA`` or ``SQL`` (``language``).
    :param logs_bucket_uri: ``oci://bucket@namespace/`` that receives the logs (``logsBucketUri``).
    :param max_duration_in_minutes: minutes in progress after which the service cancels the run
        (``maxDurationInMinutes``).
    :param metastore_id: OCID of a Data Catalog metastore (``metastoreId``).
    :param num_executors: number of executors (``numExecutors``).
    :param parameters: default values of the placeholders, ``{"name": "value"}`` or
        ``[{"name": ..., "value": ...}]`` (``parameters``).
    :param pool_id: OCID of the pool that the runs use (``poolId``).
    :param private_endpoint_id: OCID of the private endpoint (``privateEndpointId``).
    :param spark_version: for example ``3.5.0`` (``sparkVersion``).
    :param type: ``BATCH``, ``STREAMING`` or ``SESSION``; cannot be changed (``type``). Default: BATCH.
    :param warehouse_bucket_uri: ``oci://bucket@namespace/`` of the SQL warehouse (``warehouseBucketUri``).

    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises InvalidArgument: an argument is invalid; nothing was sent.
    :raises AmbiguousName: several applications of the compartment have this name.
    :raises ServiceError: the service refused the request, or did not respond.
    """

    template_fields: Sequence[str] = (*ATTRIBUTES.values(), *HOOK_ARGUMENTS)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "execute_string": "bash",
        **dict.fromkeys(("application_log_config", "arguments", "configuration", "defined_tags"), "json"),
        **dict.fromkeys(("driver_shape_config", "executor_shape_config"), "json"),
        **dict.fromkeys(("freeform_tags", "parameters"), "json"),
    }
    body_arguments = frozenset(ApplicationDetails.argument_names())

    def __init__(
        self,
        *,
        application_log_config: Mapping[str, str] | str | None = None,
        archive_uri: str | None = None,
        arguments: Sequence[Any] | str | None = None,
        class_name: str | None = None,
        compartment_id: str | None = None,
        configuration: Mapping[str, Any] | str | None = None,
        defined_tags: Mapping[str, Any] | str | None = None,
        description: str | None = None,
        display_name: str | None = None,
        driver_shape: str | None = None,
        driver_shape_config: Mapping[str, Any] | str | None = None,
        execute: str | None = None,
        executor_shape: str | None = None,
        executor_shape_config: Mapping[str, Any] | str | None = None,
        file_uri: str | None = None,
        freeform_tags: Mapping[str, str] | str | None = None,
        idle_timeout_in_minutes: int | str | None = None,
        language: str | None = None,
        logs_bucket_uri: str | None = None,
        max_duration_in_minutes: int | str | None = None,
        metastore_id: str | None = None,
        num_executors: int | str | None = None,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | None = None,
        pool_id: str | None = None,
        private_endpoint_id: str | None = None,
        spark_version: str | None = None,
        type: str | None = None,
        warehouse_bucket_uri: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.application_log_config = application_log_config
        self.archive_uri = archive_uri
        self.arguments = arguments
        self.class_name = class_name
        self.compartment_id = compartment_id
        self.configuration = configuration
        self.defined_tags = defined_tags
        self.description = description
        self.display_name = display_name
        self.driver_shape = driver_shape
        self.driver_shape_config = driver_shape_config
        # Every operator has a method called execute.
        self.execute_string = execute
        self.executor_shape = executor_shape
        self.executor_shape_config = executor_shape_config
        self.file_uri = file_uri
        self.freeform_tags = freeform_tags
        self.idle_timeout_in_minutes = idle_timeout_in_minutes
        self.language = language
        self.logs_bucket_uri = logs_bucket_uri
        self.max_duration_in_minutes = max_duration_in_minutes
        self.metastore_id = metastore_id
        self.num_executors = num_executors
        self.parameters = parameters
        self.pool_id = pool_id
        self.private_endpoint_id = private_endpoint_id
        self.spark_version = spark_version
        self.type = type
        self.warehouse_bucket_uri = warehouse_bucket_uri
        ApplicationDetails.check_at_parse(self._arguments())

    @called_by_airflow
    def execute(self, context: Context) -> str:
        self.read_settings()
        details = self._details()
        client = self.hook.applications
        found = client.named(str(details.compartment_id), str(details.display_name))
        if found is None:
            application = client.create(details, retry_token_of_try(context))
            self.log.info("Application %s (%s): created", application.id, application.display_name)
        else:
            application = self._update(found.id, details)
        context["ti"].xcom_push(key=APPLICATION_ID, value=application.id)
        return application.id

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, attribute) for name, attribute in ATTRIBUTES.items()}

    def _details(self) -> ApplicationDetails:
        arguments = self._arguments()
        arguments["compartment_id"] = self.hook.compartment(arguments["compartment_id"])
        details = ApplicationDetails.build(arguments)
        details.check()
        for warning in details.warnings():
            self.log.warning("%s", warning)
        return details

    def _update(self, application_id: str, details: ApplicationDetails) -> Application:
        client = self.hook.applications
        application, changes = update_if_different(
            lambda: client.get_with_etag(application_id),
            lambda found: details.differences(found.raw),
            lambda changes, etag: client.update(application_id, changes, if_match=etag),
        )
        if changes:
            names = ", ".join(details.argument_names_of(changes))
            self.log.info("Application %s: updated %s", application_id, names)
        else:
            self.log.info("Application %s is up to date: nothing was sent", application_id)
        return application


class DeleteApplicationOperator(DataFlowOperator):
    """Deletes an application (DeleteApplication, CascadingDeleteApplication).

    The result is its OCID, or ``None`` if it did not exist.

    :param application_id: OCID of the application (``applicationId``); templated. Either this or
        ``display_name``.
    :param display_name: name of the application; templated.
    :param compartment_id: OCID of the compartment to search for the name; templated. Default: the
        connection's.
    :param cascading: end active runs of the application first; templated. Default: False. Without it, the
        service refuses to delete an application with active runs.
    :param ignore_if_missing: succeed also if the application does not exist; templated. Default: False.
    :param oci_conn_id: Airflow connection of type ``oci``; templated. Default: ``oci_default``.
    :param region: region name; templated. Default: the connection's.
    :param service_endpoint: URL of the service; templated. Default: the connection's, or the region's own.
    :param auth_type: authentication method; templated. Default: the connection's.
    :param config_file: path of the SDK's configuration file on the worker; templated.
    :param profile: section of that file; templated.
    :raises InvalidArgument: not exactly one of ``application_id`` and ``display_name`` is given; raised when
        the DAG is parsed.
    :raises AmbiguousName: several applications of the compartment have this name.
    :raises NotFound: no application has this name.
    :raises ServiceError: the application does not exist, or the service refused the request or did not
        respond.
    """

    template_fields: Sequence[str] = (
        "application_id",
        "display_name",
        "compartment_id",
        "cascading",
        "ignore_if_missing",
        *HOOK_ARGUMENTS,
    )

    def __init__(
        self,
        *,
        application_id: str | None = None,
        display_name: str | None = None,
        compartment_id: str | None = None,
        cascading: bool | str = False,
        ignore_if_missing: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_exactly_one({"application_id": application_id, "display_name": display_name})
        self.application_id: Any = application_id
        self.display_name: Any = display_name
        self.compartment_id: Any = compartment_id
        self.cascading: Any = cascading
        self.ignore_if_missing: Any = ignore_if_missing
        self.read_settings_at_parse()

    @called_by_airflow
    def execute(self, context: Context) -> str | None:
        self.read_settings()
        application_id = self.application_id if self.display_name is None else self._id_by_name()
        if application_id is None and self.display_name is not None:
            return None
        check_given(application_id=application_id)
        try:
            application = self.hook.applications.get(str(application_id))
            if application.state in GONE_STATES:
                self.log.info("Application %s is %s: nothing to delete", application.id, application.state)
                return application.id
            self.hook.applications.delete(application.id, cascading=self.cascading)
        except ServiceError as error:
            if error.status != 404 or not self.ignore_if_missing:
                raise
            self.log.info("Application %s does not exist: nothing to delete", application_id)
            return None
        self.log.info("Application %s: deleted", application_id)
        return application_id

    def _id_by_name(self) -> str | None:
        check_given(display_name=self.display_name)
        name, compartment_id = str(self.display_name), self.hook.compartment(self.compartment_id)
        found = self.hook.applications.named(compartment_id, name)
        if found is not None:
            return found.id
        if not self.ignore_if_missing:
            raise NotFound(kind="application", display_name=name, compartment_id=compartment_id)
        self.log.info("No application is named %r: nothing to delete", name)
        return None
