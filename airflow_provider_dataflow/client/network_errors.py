"""Network errors of the SDK and of the libraries that it vendors."""

from __future__ import annotations


def is_network_error(error: BaseException) -> bool:
    """Return whether an error comes from the network. Imports the SDK."""
    # The SDK vendors requests, so its errors are not those of an installed requests.
    from urllib3.exceptions import HTTPError

    from airflow_provider_dataflow.client.sdk import oci

    return isinstance(error, (oci._vendor.requests.exceptions.RequestException, HTTPError, OSError, EOFError))


def root_message(error: BaseException) -> str:
    """Return the innermost message of an error that several libraries have wrapped."""
    message = str(error)
    cause: BaseException | None = error
    for _ in range(10):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        message = str(cause) or message
        cause = inner if isinstance(inner, BaseException) else cause.__cause__ or cause.__context__
    return message[:300] or type(error).__name__
