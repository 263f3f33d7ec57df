"""State of a diagnosis: what is asked for, and what the steps have found so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sync_client import DataFlowClient
from airflow_provider_dataflow.doctor.principal import Principal
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.application import Application
from airflow_provider_dataflow.models.coercion import Coercion, object_uri, ocid
from airflow_provider_dataflow.models.policy_statements import GROUP, statement_for

#: A person waits for the answer, so requests are repeated less often than in a task.
RETRY_POLICY = RetryPolicy(max_attempts=2, max_seconds=20, max_pause_seconds=2)

_CHECKS: dict[str, Coercion] = {
    "application_id": ocid("dataflowapplication"),
    "compartment_id": ocid("compartment", "tenancy"),
    "logs_bucket_uri": object_uri,
    "staging_uri": object_uri,
    "pool_id": ocid("dataflowpool"),
    "metastore_id": ocid("datacatalogmetastore"),
    "private_endpoint_id": ocid("dataflowprivateendpoint"),
}


@dataclass(frozen=True)
class Targets:
    """Resources to check besides the connection. ``None``: those of the connection or the application.

    :param application_id: OCID of the application of the runs.
    :param compartment_id: OCID of the compartment of the runs.
    :param logs_bucket_uri: ``oci://`` URI of the bucket for the logs of runs.
    :param staging_uri: ``oci://`` URI to which local code is uploaded.
    :param pool_id: OCID of a pool.
    :param metastore_id: OCID of a metastore of Data Catalog.
    :param private_endpoint_id: OCID of a private endpoint of Data Flow.
    :param write_probe: whether to write and delete a small object in the buckets.
    :raises InvalidArgument: an OCID or a URI is malformed; the message names the option.
    """

    application_id: str | None = None
    compartment_id: str | None = None
    logs_bucket_uri: str | None = None
    staging_uri: str | None = None
    pool_id: str | None = None
    metastore_id: str | None = None
    private_endpoint_id: str | None = None
    write_probe: bool = False

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name in _CHECKS and value is not None:
                _CHECKS[item.name](value, option_of(item.name))


def option_of(name: str) -> str:
    """Return the command line's option for a target."""
    return f"--{name.replace('_', '-')}"


@dataclass
class Examination:
    """Diagnosis in progress.

    :param hook: of the connection.
    :param targets: what to check.
    :param principal: identity, once it is known.
    :param probe: response to the first request: an error, since it names no existing run.
    :param application: the application, once it is read.
    """

    hook: DataFlowHook
    targets: Targets
    principal: Principal | None = None
    probe: ServiceError | None = None
    application: Application | None = field(default=None, repr=False)

    @cached_property
    def client(self) -> DataFlowClient:
        client = self.hook.new_client()
        client.retry_policy = RETRY_POLICY
        return client

    @property
    def compartment_id(self) -> str | None:
        return self.targets.compartment_id or self.hook.compartment_id

    def value_of(self, name: str) -> tuple[str | None, str]:
        """Return a target and where it comes from: the command line, or else the application."""
        if given := getattr(self.targets, name):
            return given, option_of(name)
        return getattr(self.application, name, None), "the application"

    def policies(self, *statements: str, bucket: str | None = None) -> Sequence[str]:
        """Return statements with the identity, the compartment and the bucket filled in."""
        subject = self.principal.subject if self.principal else GROUP
        return [
            statement_for(statement, subject, compartment_id=self.compartment_id, bucket=bucket)
            for statement in statements
        ]


class Missing(Exception):
    """A step found something missing.

    :param reason: what was found, and what follows from it.
    :param policies: policy statements to add.
    """

    def __init__(self, reason: str, policies: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.policies = policies


@dataclass(frozen=True)
class Found:
    """A step found nothing missing, but cannot check all.

    :param reason: what was found.
    :param policies: policy statements that are needed besides.
    """

    reason: str
    policies: Sequence[str]


class NotChecked(Exception):
    """A step has nothing to check, or cannot check it. The message says why."""


@dataclass(frozen=True)
class Step:
    """Step of a diagnosis.

    :param name: shown in the report.
    :param check: returns what was found to be right, as text or as ``Found``. Raises ``Missing``,
        ``NotChecked``, or an error of this package, whose message is the reason.
    :param needs: steps without which this one cannot be checked.
    """

    name: str
    check: Callable[[Examination], str | Found]
    needs: Sequence[str] = ()
