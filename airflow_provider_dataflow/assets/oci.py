"""Assets of OCI Object Storage, ``oci://bucket@namespace/name``: sanitizer, factory and lineage converter.

Airflow imports this in processes that need none of it, so everything else is imported when it is called.

Airflow 3.0 takes the bucket for the name of a user and drops it with the ``@``. There, the ``@`` must be
written as ``%40``, which the factory does. Newer releases read both, as the same asset.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset
    from airflow.sdk import Asset

#: The ``@`` of a URI, for Airflow 3.0.
ENCODED_AT = "%40"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the URI of an asset in the one form that the asset has. A malformed one stays as it is.

    It is a warning and no error: Airflow's scheduler reads stored assets through this function, too, and
    before 3.2 it ends with an error if that fails.

    :param uri: as Airflow has normalized it: without slashes at its end and without a fragment.
    """
    try:
        return _checked(uri)
    except ValueError as error:
        warnings.warn(str(error), UserWarning, stacklevel=2)
        return uri


def _checked(uri: SplitResult) -> SplitResult:
    """Return the URI in its one form.

    :raises ValueError: it is not ``oci://bucket@namespace/name``.
    """
    from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
    from airflow_provider_dataflow.compat import assets_keep_user_info
    from airflow_provider_dataflow.exceptions import InvalidArgument

    netloc = uri.netloc.replace(ENCODED_AT, "@")
    if "@" not in netloc:
        raise ValueError(
            f"The asset URI {uri.geturl()} has no bucket: expected oci://bucket@namespace/name"
            + ("" if assets_keep_user_info() else f". {_HINT}")
        )
    if uri.query:
        raise ValueError(f"The asset URI {uri.geturl()} has a query: write ? in a name as %3F, and # as %23")
    try:
        ObjectUri.parse(f"oci://{netloc}{uri.path}", "asset URI")
    except InvalidArgument as error:
        raise ValueError(str(error)) from None
    if not assets_keep_user_info():
        netloc = netloc.replace("@", ENCODED_AT)
    return SplitResult(uri.scheme, netloc, uri.path, "", "")


_HINT = (
    "Airflow 3.0 drops what stands before @: use airflow_provider_dataflow.assets.oci.create_asset, or write "
    f"oci://bucket{ENCODED_AT}namespace/name"
)


def create_asset(
    *, bucket: str, namespace: str, name: str = "", extra: dict[str, Any] | None = None
) -> Asset:
    """Return the asset of an object, of the objects below a prefix, or of a bucket.

    :param bucket: name of the bucket.
    :param namespace: Object Storage namespace of the tenancy.
    :param name: name of the object, or a prefix. Default: the whole bucket.
    :param extra: of the asset.
    :raises ValueError: a part is malformed.
    """
    from airflow.sdk import Asset

    from airflow_provider_dataflow.compat import assets_keep_user_info

    # Airflow would take what follows for a query or a fragment, and drop it.
    path = name.replace("?", "%3F").replace("#", "%23")
    _checked(SplitResult("oci", f"{bucket}{ENCODED_AT}{namespace}", f"/{path}".rstrip("/"), "", ""))
    at = "@" if assets_keep_user_info() else ENCODED_AT
    return Asset(uri=f"oci://{bucket}{at}{namespace}/{path}", extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> OpenLineageDataset:
    """Return the data set of an asset, named as OpenLineage's listener in Spark names it.

    :param lineage_context: not used.
    """
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(
        namespace=f"oci://{parts.netloc.replace(ENCODED_AT, '@')}", name=parts.path.rstrip("/") or "/"
    )
