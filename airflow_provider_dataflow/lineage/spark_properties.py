"""Spark properties that link the events of OpenLineage's Spark listener to the Airflow task.

The provider of OpenLineage makes them. It is imported only when a submit adds them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from logging import Logger
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.arguments.masking import mask_secrets
from airflow_provider_dataflow.compat import sensitive_names
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.spark_submit import properties_in, with_properties
from airflow_provider_dataflow.redaction import Redactor

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run_request import RunRequest

#: Properties as the submission record has them: without the values of secrets.
Recorded = Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True)
class SparkLineage:
    """Adds OpenLineage's properties to the request of a submit.

    Properties of the author or of the application are kept. If a submit is repeated, its request gets the
    recorded properties again: the id of the parent run depends on the try, and the service refuses a retry
    token with another body. The record has no secrets; these are read again from Airflow's configuration.

    :param hook: reads the application.
    :param context: of the task.
    :param parent_job_info: whether to add the ids of the task, as the parent of the Spark job.
    :param transport_info: whether to add the address to which Airflow sends its events, with its key.
    :param log: the task's logger.
    """

    hook: DataFlowHook
    context: Context
    parent_job_info: bool
    transport_info: bool
    log: Logger | Any

    def __call__(self, request: RunRequest, recorded: Recorded | None) -> tuple[RunRequest, Recorded | None]:
        """Return the request with the properties, and what to record of them.

        :param recorded: of the submit that is repeated; None if there was none.
        :raises ServiceError: the application cannot be read, which a later try may.
        """
        if not (self.parent_job_info or self.transport_info if recorded is None else recorded):
            return request, {}
        if recorded is not None and (request.execute or request.configuration is not None):
            # The body of a repeated submit does not depend on the application then.
            inherited: Mapping[str, str] | None = {}
        else:
            inherited = self._configuration_of_application(request, is_repeated=recorded is not None)
        if inherited is None:
            return request, {}
        if recorded is None:
            added = self._new_properties({**inherited, **_own_properties(request)})
        else:
            added = self._repeated(recorded)
        if not added:
            return request, recorded or {}
        # Sorted, since the repeated command line must be the same, and a database may sort the record.
        result = _with_properties(request, inherited, dict(sorted(added.items())))
        mask_secrets({"configuration": {**inherited, **added}})
        return result, recorded if recorded is not None else without_secrets(added)

    def _configuration_of_application(
        self, request: RunRequest, *, is_repeated: bool
    ) -> Mapping[str, str] | None:
        """Return the Spark properties of the run's application; None if they must not be read.

        The API's documentation leaves open if a run's configuration replaces the application's or is merged
        with it. A run that has only the properties for lineage must not lose those of its application.
        """
        if request.effective_application_id is None:
            return {}
        try:
            return self.hook.applications.get(request.effective_application_id).configuration or {}
        except ServiceError as error:
            if is_repeated or error.status not in (401, 403, 404):
                raise
            self.log.warning(
                "The run is submitted without OpenLineage's properties: cannot read its application: %s",
                error,
            )
            return None

    def _new_properties(self, present: Mapping[str, str]) -> dict[str, str]:
        from airflow.providers.common.compat.openlineage.utils import spark

        added: dict[str, str] = {}
        if self.parent_job_info:
            added |= self._added_by(spark.inject_parent_job_information_into_spark_properties, present)
        if self.transport_info:
            added |= self._added_by(spark.inject_transport_information_into_spark_properties, present)
        return added

    def _repeated(self, recorded: Recorded) -> dict[str, str]:
        """Return the recorded properties, with the present values of secrets."""
        from airflow.providers.common.compat.openlineage.utils import spark

        properties = {name: value for name, value in recorded.items() if value is not None}
        secrets = recorded.keys() - properties.keys()
        if secrets:
            current = self._added_by(spark.inject_transport_information_into_spark_properties, {})
            properties |= {name: value for name, value in current.items() if name in secrets}
        return properties

    def _added_by(self, inject: Callable[[Any, Any], Any], present: Mapping[str, str]) -> dict[str, str]:
        try:
            properties = inject(dict(present), self.context)
        except Exception as error:  # noqa: BLE001 - lineage must not fail a task
            # Without the message, which may quote the transport with its key.
            self.log.warning(
                "OpenLineage cannot provide properties for Spark (%s in %s): check the section [openlineage] "
                "of Airflow's configuration. The run is submitted without them.",
                type(error).__name__,
                getattr(inject, "__name__", inject),
            )
            return {}
        return {
            name: str(value)
            for name, value in properties.items()
            if name not in present and value is not None
        }


def without_secrets(properties: Mapping[str, str]) -> dict[str, str | None]:
    """Return the properties for the submission record: None in place of each value that may be a secret."""
    redactor = Redactor(sensitive_names())
    return {
        name: value if redactor.value(name, value) == value else None
        for name, value in sorted(properties.items())
    }


def _own_properties(request: RunRequest) -> Mapping[str, str]:
    return properties_in(request.execute) if request.execute else request.configuration or {}


def _with_properties(
    request: RunRequest, inherited: Mapping[str, str], added: Mapping[str, str]
) -> RunRequest:
    if request.execute:
        # The service ignores the configuration beside a command line.
        return replace(request, execute=with_properties(request.execute, added))
    own = inherited if request.configuration is None else request.configuration
    return replace(request, configuration={**own, **added})
