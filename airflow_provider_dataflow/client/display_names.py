"""Resources by their display names, which need not be unique."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from airflow_provider_dataflow.exceptions import AmbiguousName
from airflow_provider_dataflow.models.application import Application
from airflow_provider_dataflow.models.pool import Pool

R = TypeVar("R", Application, Pool)


def only_one(
    resources: Iterable[R], display_name: str, compartment_id: str, gone: Collection[str]
) -> R | None:
    """The resource of this name, if there is one.

    :param gone: states of what is there no more.
    :raises AmbiguousName: there are several.
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
