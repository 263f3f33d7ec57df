"""Upload of content under names that are made of its hash."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from airflow_provider_dataflow.client.object_storage.content import Content
from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.models.coercion import check_staging_uri

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.object_storage.client import ObjectStorageClient

log = logging.getLogger(__name__)

#: Characters of a file's name that need no quoting in a Spark command line, a list of URIs and a URL.
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=-]{0,199}", re.ASCII)
FILES = "files"


class Stager:
    """Uploads content to ``<staging_uri>/<kind>/<SHA-256>/<file name>``, unless it is there already.

    Equal content of the same name has one object, which is never overwritten. So a retry uploads nothing, and
    two tasks that upload the same content at the same time do not disturb each other.

    :param object_storage: client of Object Storage.
    :param staging_uri: bucket or prefix, ``oci://bucket@namespace/prefix``.
    :raises InvalidArgument: ``staging_uri`` is malformed.
    """

    def __init__(self, object_storage: ObjectStorageClient, staging_uri: str) -> None:
        self._object_storage = object_storage
        self.staging_uri = ObjectUri.parse(staging_uri, "staging_uri")
        check_staging_uri(staging_uri, "staging_uri")

    def stage_file(self, path: str | os.PathLike[str], *, kind: str = FILES, name: str | None = None) -> str:
        """Upload a file if it is not there, and return its URI.

        :param path: the file.
        :param kind: folder of the staging prefix.
        :param name: file name of the object. Default: the file's own.
        :raises OSError: the file cannot be read.
        :raises FileChanged: the file was changed meanwhile; nothing was stored.
        :raises ObjectStorageError: the upload failed.
        """
        return self.stage(Content.of_file(path), name or os.path.basename(path), kind=kind)

    def stage_bytes(self, content: bytes, file_name: str, *, kind: str = FILES) -> str:
        """Upload bytes if they are not there, and return their URI.

        :param file_name: file name of the object.
        :param kind: folder of the staging prefix.
        :raises ObjectStorageError: the upload failed.
        """
        return self.stage(Content.of_bytes(content), file_name, kind=kind)

    def stage(self, content: Content, file_name: str, *, kind: str = FILES) -> str:
        """Upload content if it is not there, and return its URI.

        :raises DataFlowError: the object that is there has other content.
        """
        uri = self.uri_of(content.sha256, file_name, kind=kind)
        found = self._object_storage.head(uri)
        if found is None:
            self._put(uri, content)
        elif found.size != content.size or (found.md5 and content.md5 and found.md5 != content.md5):
            # Nobody but the stager writes there, unless somebody wants to run other code.
            raise DataFlowError(f"{uri} has other content than its name says. Delete it, and clear the task")
        else:
            log.info("%s is already uploaded", uri)
        return str(uri)

    def stage_at(self, uri: ObjectUri, content: Content) -> ObjectUri:
        """Upload content to a URI, unless an object is there. Never overwrite an object.

        :param uri: from :meth:`uri_of`, with a hash of all that determines the content.
        """
        if not self.exists(uri):
            self._put(uri, content)
        return uri

    def exists(self, uri: ObjectUri) -> bool:
        """Return whether an object of :meth:`uri_of` is there."""
        return self._object_storage.head(uri) is not None

    def _put(self, uri: ObjectUri, content: Content) -> None:
        if self._object_storage.put(uri, content, overwrite=False):
            log.info("%s uploaded (%d bytes)", uri, content.size)
        else:
            log.info("%s was uploaded by another task meanwhile", uri)

    def uri_of(self, sha256: str, file_name: str, *, kind: str = FILES) -> ObjectUri:
        """Return the URI for content with this hash.

        :param sha256: hexadecimal.
        :raises InvalidArgument: the file name has characters that Spark's command line would not keep.
        """
        check_file_name(file_name)
        return self.staging_uri / kind / sha256 / file_name


def check_file_name(name: str, argument: str = "file_name") -> None:
    """Refuse names that would have to be quoted.

    :param argument: name of the argument, for error messages.
    :raises InvalidArgument: the name is refused.
    """
    if not FILE_NAME.fullmatch(name):
        raise InvalidArgument(
            argument, f"the file name {name!r} is not allowed; expected letters, digits and _.+=- only"
        )
