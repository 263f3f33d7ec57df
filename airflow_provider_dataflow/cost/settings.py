"""Options of ``[oci_data_flow]`` about cost: prices for estimates, and tags for OCI's cost tracking."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from airflow_provider_dataflow.compat import conf
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import number_or_none
from airflow_provider_dataflow.models.oci_tags import defined_tags, merged_defined_tags
from airflow_provider_dataflow.models.pool import PoolDetails
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpointDetails
from airflow_provider_dataflow.models.usage import Prices

log = logging.getLogger(__name__)

SECTION = "oci_data_flow"
PRICE_PER_OCPU_HOUR = "price_per_ocpu_hour"
PRICE_PER_GB_HOUR = "price_per_gb_hour"
CURRENCY = "currency"
DEFINED_TAGS = "defined_tags"

Tagged = TypeVar("Tagged", RunRequest, PoolDetails, SqlEndpointDetails)


def configured_prices() -> Prices:
    """Return the prices. An invalid one is logged and not used, since it must not fail a task."""
    return Prices(
        per_ocpu_hour=_price(PRICE_PER_OCPU_HOUR),
        per_gb_hour=_price(PRICE_PER_GB_HOUR),
        currency=_option(CURRENCY),
    )


def configured_defined_tags() -> dict[str, dict[str, Any]]:
    """Return the defined tags that each run, pool and SQL endpoint gets when it is created.

    :raises InvalidArgument: the option is not JSON, or OCI would refuse the tags.
    """
    value = _option(DEFINED_TAGS)
    if not value:
        return {}
    path = f"[{SECTION}] {DEFINED_TAGS}"
    try:
        tags = json.loads(value)
    except ValueError as error:
        raise InvalidArgument(path, f"expected JSON in Airflow's configuration: {error}") from None
    return defined_tags(tags, path)


def with_configured_tags(request: Tagged, *, update: bool = False) -> Tagged:
    """Return a request with the configured defined tags below its own.

    :param update: add tags only in the namespaces that the request names: an update replaces these as a
        whole, and must leave the others as they are.
    :raises InvalidArgument: the option is invalid, or there are too many tags with the request's own.
    """
    configured, own = configured_defined_tags(), request.defined_tags or {}
    if update:
        names = {name.lower() for name in own}
        configured = {name: tags for name, tags in configured.items() if name.lower() in names}
    if not configured:
        return request
    path = f"{DEFINED_TAGS}, with those of [{SECTION}] {DEFINED_TAGS}"
    merged: Mapping[str, Any] = defined_tags(merged_defined_tags(own, configured), path)
    return replace(request, defined_tags=merged)


def _price(name: str) -> float | None:
    text = _option(name)
    if not text:
        return None
    price = number_or_none(text)
    if price is None or price < 0:
        log.warning(
            "[%s] %s of Airflow's configuration is not used: expected a number of at least 0, got %r",
            *(SECTION, name, text),
        )
        return None
    return price


def _option(name: str) -> str:
    value: str = conf.get(SECTION, name, fallback="") or ""
    return value.strip()
