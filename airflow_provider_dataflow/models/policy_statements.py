"""Policy statements of OCI that runs and their tasks need. The only source: ``docs/howto/iam-policies.md``
shows the same ones, and a test compares them.

Names in angle brackets are filled in by :func:`statement_for`, or by the reader.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

READ_RUNS = "allow group <airflow> to read dataflow-run in compartment <compartment>"
MANAGE_RUNS = "allow group <airflow> to manage dataflow-run in compartment <compartment>"
READ_APPLICATIONS = "allow group <airflow> to read dataflow-application in compartment <compartment>"
MANAGE_APPLICATIONS = "allow group <airflow> to manage dataflow-application in compartment <compartment>"
USE_POOLS = "allow group <airflow> to use dataflow-pool in compartment <compartment>"
MANAGE_POOLS = "allow group <airflow> to manage dataflow-pool in compartment <compartment>"
MANAGE_SQL_ENDPOINTS = "allow group <airflow> to manage dataflow-sqlendpoint in compartment <compartment>"
MANAGE_FAMILY = "allow group <airflow> to manage dataflow-family in compartment <compartment>"
READ_BUCKETS = "allow group <airflow> to read buckets in compartment <compartment>"
MANAGE_OBJECTS = (
    "allow group <airflow> to manage objects in compartment <compartment> "
    "where target.bucket.name = '<bucket>'"
)
SERVICE_READS_LOGS = "allow service dataflow to read objects in tenancy where target.bucket.name = '<bucket>'"
RUNS_MANAGE_OBJECTS = (
    "allow dynamic-group <runs> to manage objects in compartment <compartment> "
    "where target.bucket.name = '<bucket>'"
)
USE_METASTORE = (
    "allow group <airflow> to {CATALOG_METASTORE_EXECUTE, CATALOG_METASTORE_INSPECT, CATALOG_METASTORE_READ} "
    "in compartment <compartment>"
)
USE_TAG_NAMESPACES = "allow group <airflow> to use tag-namespaces in tenancy"
READ_PRIVATE_ENDPOINTS = (
    "allow group <airflow> to read dataflow-private-endpoint in compartment <compartment>"
)
ADMINS_USE_NETWORK = "allow group <network admins> to use virtual-network-family in compartment <compartment>"
ADMINS_MANAGE_PRIVATE_ENDPOINTS = (
    "allow group <network admins> to manage dataflow-private-endpoint in tenancy"
)
INSPECT_COMPARTMENTS = "allow group <airflow> to inspect compartments in tenancy"
READ_FAMILY_IN_TENANCY = "allow group <airflow> to read dataflow-family in tenancy"

STATEMENTS = (
    READ_RUNS,
    MANAGE_RUNS,
    READ_APPLICATIONS,
    MANAGE_APPLICATIONS,
    USE_POOLS,
    MANAGE_POOLS,
    MANAGE_SQL_ENDPOINTS,
    MANAGE_FAMILY,
    READ_BUCKETS,
    MANAGE_OBJECTS,
    SERVICE_READS_LOGS,
    RUNS_MANAGE_OBJECTS,
    USE_METASTORE,
    USE_TAG_NAMESPACES,
    READ_PRIVATE_ENDPOINTS,
    ADMINS_USE_NETWORK,
    ADMINS_MANAGE_PRIVATE_ENDPOINTS,
    INSPECT_COMPARTMENTS,
    READ_FAMILY_IN_TENANCY,
)

_GROUP = "group <airflow>"
_COMPARTMENT = "compartment <compartment>"


@dataclass(frozen=True)
class Subject:
    """Receiver of the rights in a statement.

    :param name: for example ``group <airflow>``.
    :param conditions: conditions that tell the receiver from all others, for ``any-user``.
    """

    name: str = _GROUP
    conditions: Sequence[str] = ()


#: Users with an API key or a session token.
GROUP = Subject()
#: Instance and resource principals.
DYNAMIC_GROUP = Subject("dynamic-group <airflow>")


def workload_subject(
    namespace: str = "<namespace>", account: str = "<account>", cluster: str = "<cluster OCID>"
) -> Subject:
    """Return the subject for a service account of an OKE cluster."""
    return Subject(
        "any-user",
        (
            "request.principal.type = 'workload'",
            f"request.principal.namespace = '{namespace}'",
            f"request.principal.service_account = '{account}'",
            f"request.principal.cluster_id = '{cluster}'",
        ),
    )


def statement_for(
    statement: str, subject: Subject = GROUP, *, compartment_id: str | None = None, bucket: str | None = None
) -> str:
    """Return a statement with what is known filled in.

    :param statement: one of ``STATEMENTS``.
    :param subject: receiver of the rights.
    :param compartment_id: OCID of a compartment or of the tenancy.
    :param bucket: name of the bucket.
    """
    if compartment_id:
        place = (
            "tenancy" if compartment_id.startswith("ocid1.tenancy.") else f"compartment id {compartment_id}"
        )
        statement = statement.replace(_COMPARTMENT, place)
    if bucket:
        statement = statement.replace("<bucket>", bucket)
    if _GROUP not in statement:
        return statement
    statement = statement.replace(_GROUP, subject.name)
    if not subject.conditions:
        return statement
    rights, _, condition = statement.partition(" where ")
    conditions = ", ".join((*subject.conditions, *filter(None, (condition,))))
    return f"{rights} where all {{{conditions}}}"
