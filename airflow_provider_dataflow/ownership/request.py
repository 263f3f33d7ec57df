"""Build the request of a run from the operator's arguments, the connection and the task's timeout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.cost.settings import with_configured_tags
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import is_given
from airflow_provider_dataflow.models.coercion import raw_fields
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.polling import TIMEOUT_MARGIN_SECONDS

if TYPE_CHECKING:
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook


def build_request(
    hook: DataFlowHook, arguments: Mapping[str, Any], json: Any, *, timeout: float | None
) -> RunRequest:
    """Return the checked request, with the configured defined tags.

    The compartment defaults to the connection's.

    :param arguments: rendered arguments of the operator, by the names of ``RunRequest``'s fields.
    :param json: raw body, whose fields are overridden by the arguments.
    :param timeout: seconds from the start of the task to the end of the run. The run gets a slightly longer
        ``max_duration_in_minutes``, so that it ends even if Airflow cannot cancel it.
    :raises InvalidArgument: the service would refuse the request.
    """
    given = dict(arguments)
    if not is_given(given.get("compartment_id")) or given["compartment_id"] == "":
        named_in_json = is_given(raw_fields(json, "json").get("compartmentId"))
        given["compartment_id"] = None if named_in_json else hook.compartment_id
    request = with_configured_tags(RunRequest.build(given, json))
    request.check()
    if request.max_duration_in_minutes is None and timeout is not None:
        request = replace(request, max_duration_in_minutes=math.ceil((timeout + TIMEOUT_MARGIN_SECONDS) / 60))
    return request


def check_placeholders(request: RunRequest, hook: DataFlowHook) -> None:
    """Check that each ``${name}`` has a value, among the run's parameters or else the application's.

    :raises InvalidArgument: one has none.
    """
    try:
        request.check_placeholders()
    except InvalidArgument:
        if request.effective_application_id is None:
            raise
        application = hook.applications.get(request.effective_application_id)
        request.check_placeholders(application.parameters or ())
