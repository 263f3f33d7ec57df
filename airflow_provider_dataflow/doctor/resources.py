"""Steps that check the application of the runs, and what it refers to."""

from __future__ import annotations

from collections.abc import Callable, Collection

from airflow_provider_dataflow.client.local_service import is_local_service
from airflow_provider_dataflow.doctor.examination import (
    Examination,
    Missing,
    NotChecked,
    Step,
    option_of,
)
from airflow_provider_dataflow.doctor.rights import DENIED
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.application import GONE_STATES as GONE_APPLICATIONS
from airflow_provider_dataflow.models.decoding import decode_text
from airflow_provider_dataflow.models.policy_statements import (
    READ_APPLICATIONS,
    READ_PRIVATE_ENDPOINTS,
    USE_METASTORE,
    USE_POOLS,
)
from airflow_provider_dataflow.models.pool import GONE_STATES as GONE_POOLS
from airflow_provider_dataflow.models.pool import PoolState

#: States in which a metastore or a private endpoint is of no use to a run.
_GONE = frozenset({"FAILED", "DELETING", "DELETED"})


def asked_for(examination: Examination, name: str) -> tuple[str, str]:
    """Return a target and where it comes from.

    :raises NotChecked: there is none.
    """
    value, source = examination.value_of(name)
    if not value:
        raise NotChecked(f"not asked for; give {option_of(name)}")
    return value, source


def _application(examination: Examination) -> str:
    application_id, _ = asked_for(examination, "application_id")

    def read() -> str:
        application = examination.client.applications.get(application_id)
        # The other steps take what is not given from it.
        examination.application = application
        return application.state

    return _state(examination, f"application {application_id}", read, GONE_APPLICATIONS, READ_APPLICATIONS)


def _pool(examination: Examination) -> str:
    pool_id, source = asked_for(examination, "pool_id")
    gone = {*GONE_POOLS, PoolState.FAILED}

    def read() -> str:
        return examination.client.pools.get(pool_id).state

    return _state(examination, f"pool {pool_id} of {source}", read, gone, USE_POOLS)


def _metastore(examination: Examination) -> str:
    metastore_id, source = asked_for(examination, "metastore_id")
    if is_local_service(examination.hook.access.endpoint):
        raise NotChecked("Local Data Flow has no Data Catalog")
    from airflow_provider_dataflow.client.metastores import metastore_state

    def read() -> str:
        return metastore_state(examination.client, metastore_id)

    return _state(examination, f"metastore {metastore_id} of {source}", read, _GONE, USE_METASTORE)


def _private_endpoint(examination: Examination) -> str:
    endpoint_id, source = asked_for(examination, "private_endpoint_id")
    client = examination.client

    def read() -> str:
        return client.read(
            "GetPrivateEndpoint",
            lambda body: decode_text(body["lifecycleState"]),
            lambda: client.sdk.get_private_endpoint(endpoint_id),
        )

    what = f"private endpoint {endpoint_id} of {source}"
    try:
        return _state(examination, what, read, _GONE, READ_PRIVATE_ENDPOINTS)
    except Missing as missing:
        if examination.targets.private_endpoint_id or not missing.policies:
            raise
        raise NotChecked(
            f"the {what} is not visible to this identity, which a run of the application does not need"
        ) from None


def _state(
    examination: Examination, what: str, read: Callable[[], str], gone: Collection[str], policy: str
) -> str:
    """Return the resource and its state.

    :param what: the resource, for messages.
    :param read: requests the resource and returns its state.
    :param gone: states in which a run cannot use the resource.
    :param policy: statement that allows to read the resource.
    """
    try:
        state = read()
    except ServiceError as error:
        if error.status not in DENIED:
            raise
        raise Missing(
            f"{error.summary}. The {what} does not exist in this region, or no policy allows to read it. The "
            "statement names the compartment of the runs: if the resource is in another one, change it.",
            examination.policies(policy),
        ) from None
    if state in gone:
        raise Missing(f"the {what} is {state}")
    return f"the {what} is {state}"


APPLICATION_STEP = Step("application", _application, ("sign-in",))
RESOURCE_STEPS = (
    Step("pool", _pool, ("sign-in",)),
    Step("metastore", _metastore, ("sign-in",)),
    Step("private-endpoint", _private_endpoint, ("sign-in",)),
)
