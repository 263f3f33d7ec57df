"""File system of the scheme ``oci``, which Airflow finds through the provider's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_dataflow.fs.object_file_system import ObjectFileSystem

schemes = ["oci"]


def get_fs(conn_id: str | None, storage_options: dict[str, Any] | None = None) -> ObjectFileSystem:
    """Return the file system of a connection; called by Airflow.

    :param conn_id: Airflow connection. Default: ``oci_default``. Of ``oci://conn@bucket@namespace/name``,
        Airflow passes ``conn@bucket``, and the rest as the path.
    :param storage_options: options of :class:`.ObjectFileSystem`
    """
    from airflow_provider_dataflow.fs.object_file_system import ObjectFileSystem

    options = dict(storage_options or {})
    if conn_id is not None:
        # The id of a connection cannot contain an @.
        options["conn_id"], _, bucket = conn_id.partition("@")
        if bucket:
            options["bucket"] = bucket
    return ObjectFileSystem(**options)
