"""Asking those who hand out tokens: how often, how long, and what is said when it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_dataflow.exceptions import DataFlowError, InvalidConnection, ServiceError, sentences

#: The SDK's own defaults would block for up to three minutes.
MAX_ATTEMPTS = 4
MAX_SECONDS = 30

#: The ``operation`` of such errors.
SIGN_IN = "SignIn"


def retry_strategy() -> Any:
    """A few attempts, for who hands out tokens only."""
    from airflow_provider_dataflow.client.sdk import oci

    return (
        oci.retry.RetryStrategyBuilder(
            max_attempts_check=True,
            service_error_check=True,
            total_elapsed_time_check=True,
            service_error_retry_config={-1: [], 429: []},
            service_error_retry_on_any_5xx=True,
        )
        .add_max_attempts(MAX_ATTEMPTS)
        .add_total_elapsed_time(MAX_SECONDS)
        .get_retry_strategy()
    )


@contextmanager
def signing_in(kind: str, endpoint: str, hint: str) -> Iterator[None]:
    """Send the SDK's requests for tokens as all others are sent, and say what failed in our own terms.

    :param kind: the ``auth_type``.
    :param endpoint: who was asked.
    :param hint: what this way to sign in needs.
    :raises InvalidConnection: the environment is not what it should be.
    :raises ServiceError: no answer, or a refusal.
    """
    from airflow_provider_dataflow.client.sdk import oci
    from airflow_provider_dataflow.client.sdk_session import our_session

    try:
        with our_session():
            yield
    except DataFlowError:
        raise
    except oci.exceptions.ServiceError as error:
        raise ServiceError(
            operation=SIGN_IN,
            message=sentences(f"auth_type {kind}: {error.message}", hint),
            status=error.status if error.status and error.status > 0 else None,
            code=error.code if isinstance(error.code, str) else None,
            endpoint=endpoint,
        ) from None
    except Exception as error:  # noqa: BLE001 - the SDK raises whatever it meets
        from airflow_provider_dataflow.client.network_errors import is_network_error, root_message

        if is_network_error(error):
            raise ServiceError(
                operation=SIGN_IN,
                message=sentences(f"auth_type {kind}: {root_message(error)}", hint),
                endpoint=endpoint,
            ) from None
        # Without the cause, whose message may quote what it could not read.
        raise InvalidConnection(
            f"auth_type {kind}: signing in failed with {type(error).__name__}. {hint}"
        ) from None
