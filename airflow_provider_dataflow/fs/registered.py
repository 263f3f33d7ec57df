"""Class that ``fsspec`` gets for the scheme ``oci``, through an entry point of this package.

``ObjectStoragePath`` cannot be created without such a class. That of ``ocifs`` refuses paths without
``@namespace``, which ``ObjectStoragePath`` cannot have.
"""

from __future__ import annotations

from typing import Any

import fsspec

from airflow_provider_dataflow.fs.object_file_system import ObjectFileSystem

try:
    # Now, because it registers itself when it is imported, which fails once another class is registered.
    import ocifs
except ImportError:
    ocifs = None  # type: ignore[assignment,unused-ignore]

# fsspec's metaclass, which applies the options of its configuration.
_Metaclass: Any = type(ObjectFileSystem)


class _OcifsWithoutConnection(_Metaclass):
    """Create a file system of ``ocifs``, where it is installed, unless an Airflow connection is given.

    So what pandas and others do with ``oci://`` URIs does not change when this package is installed.
    """

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if "conn_id" not in options and ocifs is not None:
            return ocifs.OCIFileSystem(*args, **options)
        return super().__call__(*args, **options)


class OCIFileSystem(ObjectFileSystem, metaclass=_OcifsWithoutConnection):
    """File system of an Airflow connection, or of ``ocifs``."""


fsspec.register_implementation("oci", OCIFileSystem, clobber=True)
