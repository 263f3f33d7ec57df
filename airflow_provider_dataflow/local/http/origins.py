"""Protection against requests that a web page of another site sends."""

from __future__ import annotations

from collections.abc import Container

from airflow_provider_dataflow.local.http.messages import ApiError, Request

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def check_host(request: Request, hosts: Container[str]) -> None:
    """Reject requests for other hosts, to prevent DNS rebinding by a web page.

    :param hosts: accepted names, in lower case
    :raises ApiError: 400
    """
    host = request.headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.lower() not in hosts:
        raise ApiError(400, "InvalidParameter", "The Host header names another host.")


def check_same_origin(request: Request) -> None:
    """Reject unsigned changes that a page of another site sends (CSRF).

    :raises ApiError: 403
    """
    if request.method in ("GET", "HEAD"):
        return
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
        origin is not None and origin.partition("://")[2] != request.headers.get("host")
    ):
        raise ApiError(403, "NotAllowed", "Requests from other sites are not allowed.")
