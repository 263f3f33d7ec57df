"""Explanations of errors, for the test of a connection."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.token_request import SIGN_IN
from airflow_provider_dataflow.error_hints import UNRESOLVED, UNTRUSTED, hint_for_network
from airflow_provider_dataflow.exceptions import ServiceError, sentences
from airflow_provider_dataflow.models.policy_statements import READ_RUNS

#: OCI refuses requests whose date differs by more.
MAX_CLOCK_SKEW_SECONDS = 300


def explain(error: ServiceError, access: Access) -> str:
    """Return the error's summary and a hint at its cause. Imports the SDK.

    :param access: access of the failed request.
    """
    return sentences(error.summary, _hint(error, access))


def clock_skew(date: str | None, now: float | None = None) -> float | None:
    """Return the seconds by which this machine's clock is ahead of the service's.

    :param date: header ``Date`` of a response.
    """
    try:
        service_time = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return (time.time() if now is None else now) - service_time


def _hint(error: ServiceError, access: Access) -> str:
    if error.operation == SIGN_IN:
        # Its message contains advice. Also, to find out the region, access would sign in once more.
        return ""
    if error.status is None:
        return _network_hint(error, access)
    if error.status == 401:
        return _sign_in_hint(error)
    if error.status in (403, 404):
        return (
            "The sign-in was accepted, but it may not read runs: is compartment_id right, and is there a "
            f"policy like '{READ_RUNS}'?"
        )
    if 300 <= error.status < 400:
        return "Signed requests do not follow redirects: is service_endpoint right?"
    if error.status == 429 or error.status >= 500:
        return "The connection may be right: the service is overloaded or has an outage."
    return ""


def _network_hint(error: ServiceError, access: Access) -> str:
    message = error.message
    network = access.network
    if network.proxy and not UNTRUSTED.search(message):
        return (
            f"Requests go through the proxy {network.proxy_address}, from {network.proxy_variable}: "
            "is it right, and does it allow them? NO_PROXY lists hosts without a proxy."
        )
    unknown = (
        f"The SDK does not know the region {access.region!r}."
        if UNRESOLVED.search(error.message) and _is_unknown(access)
        else ""
    )
    return sentences(hint_for_network(error.message), unknown)


def _is_unknown(access: Access) -> bool:
    from airflow_provider_dataflow.client.auth.regions import is_known_region

    return access.region is not None and not is_known_region(access.region)


def _sign_in_hint(error: ServiceError) -> str:
    skew = clock_skew(error.date)
    if skew is not None and abs(skew) > MAX_CLOCK_SKEW_SECONDS:
        return (
            f"This machine's clock is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} the "
            f"service's. OCI accepts at most {MAX_CLOCK_SKEW_SECONDS} seconds."
        )
    return (
        "The sign-in was refused: is the public key with this fingerprint registered with this user, is the "
        "tenancy right, and is it subscribed to the region? A new key works after some minutes."
    )
