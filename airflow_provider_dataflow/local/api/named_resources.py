"""Resources that a request names: what a policy would have to allow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from airflow_provider_dataflow.local.api.object_storage.errors import bucket_not_found
from airflow_provider_dataflow.local.api.resources import related_not_found
from airflow_provider_dataflow.local.http.messages import ApiError, Request, not_found
from airflow_provider_dataflow.local.state.store import KINDS, Store

_APPLICATION, _COMPARTMENT = "applicationId", "compartmentId"
#: Fields of request bodies that name other resources.
_RELATED = ("poolId", "privateEndpointId", "metastoreId")


@dataclass(frozen=True, slots=True)
class NamedResources:
    """OCIDs and ``oci://`` URIs that a request names.

    :param direct: what it is about: the resource in its path, its bucket, its compartment, the application
        of a new run.
    :param related: what the body refers to besides, such as the pool of a new run.
    """

    direct: frozenset[str]
    related: frozenset[str]

    def __contains__(self, resource: str) -> bool:
        return resource in self.direct or resource in self.related


def resource_in_path(values: Mapping[str, str]) -> str | None:
    """Return the OCID in a path, or the ``oci://`` URI of its bucket or object.

    :param values: placeholders of the route, and the values in the path.
    """
    if "bucket" in values:
        return f"{_bucket_uri(values)}{values.get('name', '')}"
    return next(iter(values.values()), None)


def named_resources(request: Request, values: Mapping[str, str], store: Store) -> NamedResources:
    """Return all resources that a request names.

    :param values: placeholders of the route, and the values in the path.
    :param store: has the compartments of the resources.
    """
    if "bucket" in values:
        return NamedResources(frozenset((_bucket_uri(values), resource_in_path(values) or "")), frozenset())
    direct = set(values.values()) | {_compartment_of(id_, store) for id_ in values.values()}
    related = set()
    try:
        direct.add(request.query().get(_COMPARTMENT, ""))
        body = request.json() if request.body else {}
    except ApiError:
        body = {}  # the handler refuses the request, and says why
    for name, value in body.items():
        if not isinstance(value, str):
            continue
        if name in (_APPLICATION, _COMPARTMENT):
            direct.add(value)
        elif name in _RELATED:
            related.add(value)
    return NamedResources(frozenset(direct - {""}), frozenset(related - {""}))


def denial(values: Mapping[str, str], named: NamedResources, denied: str | None) -> ApiError:
    """Return the response to a request that no policy allows.

    :param values: placeholders of the route, and the values in the path.
    :param denied: resource that the policy would have to allow; ``None``: any.
    """
    if "bucket" in values:
        return bucket_not_found(values["namespace"], values["bucket"])
    if denied is not None and denied not in named.direct:
        return related_not_found(denied)
    return not_found()


def _bucket_uri(values: Mapping[str, str]) -> str:
    return f"oci://{values['bucket']}@{values['namespace']}/"


def _compartment_of(id_: str, store: Store) -> str:
    for kind in KINDS:
        if (record := store.get(kind, id_)) is not None:
            return str(record.body.get(_COMPARTMENT) or "")
    return ""
