"""What an error most likely means, in words: for those who test a connection."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

from airflow_provider_dataflow.client.auth.access import Access
from airflow_provider_dataflow.client.auth.token_request import SIGN_IN
from airflow_provider_dataflow.error_hints import UNRESOLVED, UNTRUSTED, hint_for_network
from airflow_provider_dataflow.exceptions import ServiceError, sentences

#: Seconds that a request's date may be off before OCI refuses it.
MAX_CLOCK_SKEW = 300


def explain(error: ServiceError, access: Access) -> str:
    """The error, and what to look at. Imports the SDK.

    :param access: through which it came.
    """
    return sentences(error.summary, _hint(error, access))


def clock_skew(date: str | None, now: float | None = None) -> float | None:
    """Seconds by which this machine's clock is ahead of the service's.

    :param date: the header ``Date`` of an answer.
    """
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return (time.time() if now is None else now) - theirs


def _hint(error: ServiceError, access: Access) -> str:
    if error.status is None:
        return _no_answer(error, access)
    if error.operation == SIGN_IN:
        return ""
    if error.status == 401:
        return _not_authenticated(error, access)
    if error.status in (403, 404):
        return (
            "The sign-in was accepted, but sees no runs there: is compartment_id right, and is there a "
            "policy like 'Allow group <group> to read dataflow-run in compartment <compartment>'?"
        )
    if 300 <= error.status < 400:
        return "Redirects are not followed with a signature: is service_endpoint right?"
    if error.status == 429 or error.status >= 500:
        return "The connection may be right: the service itself is busy or in trouble."
    return ""


def _no_answer(error: ServiceError, access: Access) -> str:
    message = error.message
    network = access.network
    if network.proxy and not UNTRUSTED.search(message):
        return (
            f"Requests go through the proxy {network.proxy_address}, which {network.proxy_variable} names: "
            "is it right, and does it let them pass? NO_PROXY lists hosts that are reached directly."
        )
    unknown = (
        f"The SDK does not know the region {access.region!r}."
        if UNRESOLVED.search(error.message) and _is_unknown(access)
        else ""
    )
    return sentences(hint_for_network(error.message), unknown)


def _is_unknown(access: Access) -> bool:
    from airflow_provider_dataflow.client.auth.regions import is_known

    return access.region is not None and not is_known(access.region)


def _not_authenticated(error: ServiceError, access: Access) -> str:
    skew = clock_skew(error.date)
    if skew is not None and abs(skew) > MAX_CLOCK_SKEW:
        return (
            f"This machine's clock is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'} the "
            f"service's; more than {MAX_CLOCK_SKEW} are not accepted."
        )
    return (
        "The sign-in was not accepted: is the public key with this fingerprint registered with this user, is "
        "the tenancy right, and is it subscribed to the region? A new key takes some minutes to be known."
    )
