"""Steps up to an accepted sign-in: connection, identity, endpoint, clock."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow_provider_dataflow.client.connection_diagnosis import (
    MAX_CLOCK_SKEW_SECONDS,
    clock_skew,
    explain,
)
from airflow_provider_dataflow.doctor.examination import Examination, Missing, NotChecked, Step
from airflow_provider_dataflow.doctor.principal import principal_of
from airflow_provider_dataflow.exceptions import ServiceError

#: A run of this name does not exist, so that a GetRun is answered with an error, but after the sign-in.
_NO_RUN = "ocid1.dataflowrun.oc1..doesnotexist"


def _connection(examination: Examination) -> str:
    hook = examination.hook
    access = hook.access
    name = f"{hook.oci_conn_id!r} is complete" if hook.oci_conn_id else "none; the options suffice"
    return f"{name}; region {access.region or 'of the identity'}"


def _identity(examination: Examination) -> str:
    access = examination.hook.access
    principal = examination.principal = principal_of(access.credentials, access.signer.current())
    return f"{principal}. Its policies are those for '{principal.subject.name}'"


def _endpoint(examination: Examination) -> str:
    endpoint = examination.hook.access.endpoint
    try:
        examination.client.get_run(_NO_RUN)
    except ServiceError as error:
        if error.status is None or 300 <= error.status < 400 or error.status == 429 or error.status >= 500:
            raise
        examination.probe = error
        return f"{endpoint} responds"
    raise Missing(f"{endpoint} returned a run that cannot exist: is it Data Flow?")


def _clock(examination: Examination) -> str:
    skew = clock_skew(examination.probe.date if examination.probe else None)
    if skew is None:
        raise NotChecked("the response has no header Date")
    if abs(skew) <= MAX_CLOCK_SKEW_SECONDS:
        return f"this machine's clock differs from the service's by {abs(skew):.0f} seconds"
    raise Missing(
        f"this machine's clock is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} the "
        f"service's; OCI accepts at most {MAX_CLOCK_SKEW_SECONDS}. Synchronize it, for example with NTP."
    )


def _sign_in(examination: Examination) -> str:
    error = examination.probe
    if error is not None and error.status == 401:
        raise Missing(explain(error, examination.hook.access))
    host = urlsplit(examination.hook.access.endpoint).hostname
    return f"{host} accepted the signature, since it did not respond with 401"


SIGN_IN_STEPS = (
    Step("connection", _connection),
    Step("identity", _identity, ("connection",)),
    Step("endpoint", _endpoint, ("identity",)),
    Step("clock", _clock, ("endpoint",)),
    Step("sign-in", _sign_in, ("clock",)),
)
