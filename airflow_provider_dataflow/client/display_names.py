"""Lookup of resources by display name, which need not be unique."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from airflow_provider_dataflow.exceptions import AmbiguousName
from airflow_provider_dataflow.models.application import Application
from airflow_provider_dataflow.models.pool import Pool
from airflow_provider_dataflow.models.sql_endpoint import SqlEndpoint

R = TypeVar("R", Application, Pool, SqlEndpoint)


def only_resource_named(
    resources: Iterable[R], display_name: str, compartment_id: str, gone: Collection[str]
) -> R | None:
    """Return the resource with this name, or ``None``.

    :param gone: states of deleted resources, which are ignored.
    :raises AmbiguousName: several resources have the name.
    """
    found = [r for r in resources if r.display_name == display_name and r.state not in gone]
    if len(found) > 1:
        raise AmbiguousName(
            kind=found[0].kind,
            display_name=display_name,
            compartment_id=compartment_id,
            ids=[resource.id for resource in found],
        )
    return found[0] if found else None
