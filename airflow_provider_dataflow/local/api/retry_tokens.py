"""Retry tokens: a request that is repeated with the same token has no second effect."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from airflow_provider_dataflow.local.api.context import Context
from airflow_provider_dataflow.local.api.resources import accepted, caller
from airflow_provider_dataflow.local.http.messages import ApiError, Request, Response, invalid
from airflow_provider_dataflow.local.state.options import Replay
from airflow_provider_dataflow.local.state.store import Record, ResourceKind, RetryToken

MAX_RETRY_TOKEN_LENGTH = 64


def create_once(
    context: Context,
    kind: ResourceKind,
    request: Request,
    create: Callable[[], Record],
) -> Record:
    """Create a resource, or return the one that an earlier request with the same retry token created.

    :raises ApiError: 409, the earlier request had another body.
    """
    record = _create_once(context, kind, request, create)
    request.notes["resourceId"] = record.id
    return record


def _create_once(
    context: Context, kind: ResourceKind, request: Request, create: Callable[[], Record]
) -> Record:
    token = request.headers.get("opc-retry-token")
    if token is None:
        return create()
    if not 1 <= len(token) <= MAX_RETRY_TOKEN_LENGTH:
        raise invalid(f"opc-retry-token must have 1 to {MAX_RETRY_TOKEN_LENGTH} characters.")
    principal = caller(request)
    scope = f"{request.method} {kind.table} {principal.tenancy}/{principal.user}"
    if "/actions/" in request.path:
        scope += request.path
    body = request.json() if request.body else {}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    now = context.lifecycle.now()
    earlier = context.store.retry_token(scope, token)
    if earlier is not None and now - earlier.moment < context.options.retry_token_seconds:
        record = context.store.get(kind, earlier.resource_id)
        if earlier.digest != digest or record is None or context.options.replay == Replay.CONFLICT:
            message = "The retry token was used before, and is no longer valid."
            raise ApiError(409, "InvalidatedRetryToken", message)
        request.notes["replayed"] = True
        return record
    with context.store.transaction():
        record = create()
        context.store.save_retry_token(scope, token, RetryToken(digest, record.id, now))
    return record


def act_once(
    context: Context,
    kind: ResourceKind,
    request: Request,
    resource_id: str,
    act: Callable[[Request, str], tuple[Record, str]],
) -> Response:
    """Carry out an action with a work request, once per retry token. Return its 202 response.

    :param act: carries out the action; returns the resource and the work request id.
    """
    started: list[str] = []

    def once() -> Record:
        record, work_request = act(request, resource_id)
        started.append(work_request)
        record.internal["lastWorkRequest"] = work_request
        context.store.update_internal(kind, record)
        return record

    record = create_once(context, kind, request, once)
    return accepted(record, started[0] if started else record.internal["lastWorkRequest"])
