"""Requests to token services: retries and errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_dataflow.exceptions import DataFlowError, InvalidConnection, ServiceError, sentences

#: Limits of the retries. With the SDK's own, a request can take three minutes.
MAX_ATTEMPTS = 4
MAX_SECONDS = 30

#: ``ServiceError.operation`` of failed token requests.
SIGN_IN = "SignIn"


def retry_strategy() -> Any:
    """Return the SDK's retry strategy for token requests."""
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
def requesting_token(auth_type: str, endpoint: str, hint: str) -> Iterator[None]:
    """Send the SDK's token requests through this package's session, and translate their errors.

    :param auth_type: ``auth_type``, for messages.
    :param endpoint: URL or host of the token service, for messages.
    :param hint: sentence about the requirements of the ``auth_type``.
    :raises InvalidConnection: the SDK does not find what it needs on this machine.
    :raises ServiceError: the token service did not respond, or refused.
    """
    from airflow_provider_dataflow.client.sdk import oci
    from airflow_provider_dataflow.client.sdk_session import redirect_to_sdk_session

    try:
        with redirect_to_sdk_session():
            yield
    except DataFlowError:
        raise
    except oci.exceptions.ServiceError as error:
        raise ServiceError(
            operation=SIGN_IN,
            message=sentences(f"auth_type {auth_type}: {error.message}", hint),
            status=error.status if error.status and error.status > 0 else None,
            code=error.code if isinstance(error.code, str) else None,
            endpoint=endpoint,
        ) from None
    except Exception as error:  # noqa: BLE001 - the SDK raises many types
        from airflow_provider_dataflow.client.network_errors import is_network_error, root_message

        if is_network_error(error):
            raise ServiceError(
                operation=SIGN_IN,
                message=sentences(f"auth_type {auth_type}: {root_message(error)}", hint),
                endpoint=endpoint,
            ) from None
        # "from None": the message of the cause may quote a secret.
        raise InvalidConnection(
            f"auth_type {auth_type}: signing in failed with {type(error).__name__}. {hint}"
        ) from None
