"""Operations on objects of OCI Object Storage. Blocks, so for workers only."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import os
import tempfile
from collections.abc import Iterator, MutableSequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from airflow_provider_dataflow.client.object_storage.content import Content
from airflow_provider_dataflow.client.object_storage.multipart import upload
from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.exceptions import InvalidArgument, ObjectStorageError, ServiceError

log = logging.getLogger(__name__)

#: Objects per page of ListObjects, the maximum of the service.
PAGE_SIZE = 1000
CHUNK_BYTES = 1024 * 1024
#: Default limit of :meth:`ObjectStorageClient.get`, whose result is in memory.
MAX_GET_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class StoredObject:
    """Object in Object Storage.

    :param uri: its URI.
    :param size: bytes.
    :param etag: changes with each write.
    :param md5: base64; None for an object that was uploaded in parts.
    :param time_modified: as the service writes it: RFC 3339 from ``list``, RFC 1123 from ``head``.
    """

    uri: ObjectUri
    size: int
    etag: str | None = None
    md5: str | None = None
    time_modified: str | None = None


#: Objects and folders of a page of ListObjects.
_Page = tuple[list[StoredObject], list[ObjectUri]]

#: Names in a page of ListObjects that cannot be addressed, each with the reason.
_Refused = list[tuple[str, InvalidArgument]]


class ObjectStorageClient(SdkRequests):
    """Synchronous client of Object Storage. URIs are ``oci://bucket@namespace/name``.

    Each request is retried. If that does not help, all methods raise
    :class:`~airflow_provider_dataflow.exceptions.ObjectStorageError` with the URI.
    """

    @property
    def endpoint(self) -> str:
        """Base URL of Object Storage."""
        return self.access.object_storage_url

    @cached_property
    def sdk(self) -> Any:
        """The SDK's client."""
        from airflow_provider_dataflow.client.sdk_client import object_storage_sdk_client

        return object_storage_sdk_client(self.access, self.component)

    def put(
        self,
        uri: ObjectUri | str,
        content: Content | bytes | str | os.PathLike[str],
        *,
        overwrite: bool = True,
    ) -> bool:
        """Store an object (PutObject, or a multipart upload above 100 MiB), and return whether it was stored.

        Files are streamed. The service checks the MD5 of what it receives.

        :param uri: the object.
        :param content: bytes, the path of a file, or a :class:`.Content` whose checksums are known.
        :param overwrite: replace an existing object. If not, ``False`` is returned when it exists.
        :raises FileChanged: the file was changed during the upload; nothing was stored.
        :raises OSError: the file cannot be read.
        """
        uri = _object(uri)
        content = _content(content)
        condition = {} if overwrite else {"if_none_match": "*"}
        may_be_stored = False

        def put_once() -> None:
            nonlocal may_be_stored
            try:
                self._put_once(uri, content, condition)
            except Exception as error:
                status = getattr(error, "status", None) or 0
                # A 4xx response means that nothing was stored. Otherwise the response may have been lost.
                may_be_stored = may_be_stored or not 400 <= status < 500
                raise

        with errors_naming(uri):
            try:
                if len(content.md5s) > 1:
                    upload(self, uri, content, if_none_match=not overwrite)
                else:
                    self.call("PutObject", put_once)
            except ServiceError as error:
                if overwrite or error.status != 412:
                    raise
                # The existing object may be the one that an earlier attempt has stored.
                return may_be_stored and self._has_content(uri, content)
        return True

    def _has_content(self, uri: ObjectUri, content: Content) -> bool:
        found = self.head(uri)
        return found is not None and (found.size, found.md5) == (content.size, content.md5)

    def _put_once(self, uri: ObjectUri, content: Content, condition: dict[str, str]) -> None:
        content.check_unchanged()
        # Opened for each attempt, since the SDK reads from the file's position.
        with content.open() as file:
            body: Any = file if content.path is not None else file.read()
            self.sdk.put_object(
                uri.namespace,
                uri.bucket,
                uri.name,
                body,
                content_md5=content.md5,
                content_type="application/octet-stream",
                **condition,
            )

    def head(self, uri: ObjectUri | str) -> StoredObject | None:
        """Return an object's size and checksum, or ``None`` if it does not exist (HeadObject).

        Without the permission to see objects, or without the bucket, the service responds as if the object
        did not exist.
        """
        uri = _object(uri)
        with errors_naming(uri):
            try:
                response = self.call(
                    "HeadObject", lambda: self.sdk.head_object(uri.namespace, uri.bucket, uri.name)
                )
            except ServiceError as error:
                if error.status == 404:
                    return None
                raise
        headers = response.headers
        return StoredObject(
            uri,
            int(headers.get("content-length") or 0),
            headers.get("etag"),
            headers.get("content-md5"),
            headers.get("last-modified"),
        )

    def get(self, uri: ObjectUri | str, *, max_bytes: int = MAX_GET_BYTES) -> bytes:
        """Return the content of an object (GetObject). For large objects use :meth:`download`.

        :param max_bytes: largest object that is read into memory.
        :raises InvalidArgument: the object is larger.
        """
        uri = _object(uri)

        def read(response: Any) -> bytes:
            chunks, size = [], 0
            with closing(response.data) as body:
                for chunk in body.raw.stream(CHUNK_BYTES, decode_content=False):
                    size += len(chunk)
                    if size > max_bytes:
                        raise InvalidArgument("max_bytes", f"{uri} is larger than {max_bytes} bytes")
                    chunks.append(chunk)
            _check_length(response, size)
            return b"".join(chunks)

        with errors_naming(uri):
            return self._send("GetObject", lambda: self._get_object(uri), read)

    def download(self, uri: ObjectUri | str, path: str | os.PathLike[str]) -> StoredObject:
        """Write an object to a file (GetObject), streamed and checked against its MD5.

        After a failure the download is resumed where it broke off. The file appears when it is complete.

        :param path: file to write or replace. Its folder must exist.
        :raises OSError: the file cannot be written.
        """
        uri, target = _object(uri), Path(path)
        handle, part = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file, errors_naming(uri):
                stored = _Download(self, uri, file).run()
            os.replace(part, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
        return stored

    def _get_object(self, uri: ObjectUri, **options: str) -> Any:
        return self.sdk.get_object(uri.namespace, uri.bucket, uri.name, **options)

    def list(
        self,
        uri: ObjectUri | str,
        *,
        delimiter: str | None = None,
        skipped: MutableSequence[str] | None = None,
    ) -> Iterator[StoredObject]:
        """Yield the objects whose names start with the name of the URI, in order of names (ListObjects).

        Other programs may store objects with names that an :class:`.ObjectUri` refuses, such as ``./x``. They
        are left out, with one warning per list.

        :param uri: bucket or prefix.
        :param delimiter: ``/`` to leave out the objects of folders below the prefix. No other is allowed.
        :param skipped: list to which the names of objects and folders that are left out are appended.
        """
        for page in self._list_pages(_parsed(uri), delimiter, skipped):
            yield from page[0]

    def list_folders(self, uri: ObjectUri | str) -> Iterator[ObjectUri]:
        """Yield the folders directly below a prefix that ends with ``/``: the names up to the next ``/``."""
        for page in self._list_pages(_parsed(uri), "/"):
            yield from page[1]

    def _list_pages(
        self, uri: ObjectUri, delimiter: str | None, skipped: MutableSequence[str] | None = None
    ) -> Iterator[_Page]:
        options = {"prefix": uri.name, "delimiter": delimiter}
        given = {name: value for name, value in options.items() if value}
        start: str | None = None
        has_warned = False

        def read(response: Any) -> tuple[_Page, _Refused, str | None]:
            found = response.data
            page, refused = _read_page(uri, found)
            if start is not None and found.next_start_with is not None and found.next_start_with <= start:
                raise ValueError(f"the page {start} was returned twice")
            return page, refused, found.next_start_with

        while True:
            with errors_naming(uri):
                following = {"start": start} if start else {}
                page, refused, start = self._send(
                    "ListObjects",
                    lambda following=following: self.sdk.list_objects(  # type: ignore[misc]
                        uri.namespace,
                        uri.bucket,
                        fields="name,size,etag,md5,timeModified",
                        limit=PAGE_SIZE,
                        **given,
                        **following,
                    ),
                    read,
                )
            if refused and not has_warned:
                has_warned = True
                name, reason = refused[0]
                log.warning(
                    "Bucket %s@%s: the name %r cannot be addressed and is skipped, as are others "
                    "like it (%s). Rename or delete them with the OCI console",
                    *(uri.bucket, uri.namespace, name, reason.problem),
                )
            if skipped is not None:
                skipped.extend(name for name, _ in refused)
            yield page
            if not start:
                return

    def delete(self, uri: ObjectUri | str, *, if_match: str | None = None) -> bool:
        """Delete an object (DeleteObject), and return whether it existed.

        :param if_match: delete it only if it still has this etag. Default: in any case.
        """
        uri = _object(uri)
        condition = {"if_match": if_match} if if_match else {}
        with errors_naming(uri):
            try:
                self.call(
                    "DeleteObject",
                    lambda: self.sdk.delete_object(uri.namespace, uri.bucket, uri.name, **condition),
                )
            except ServiceError as error:
                if error.status == 404 and error.code != "BucketNotFound":
                    return False
                raise
        return True


class _Download:
    """Download of one object into a file, which several requests may continue."""

    def __init__(self, client: ObjectStorageClient, uri: ObjectUri, file: IO[bytes]) -> None:
        self._client = client
        self._uri = uri
        self._file = file
        self._etag: str | None = None
        self._md5: str | None = None
        self._size = 0
        self._digest = hashlib.md5(usedforsecurity=False)

    def run(self) -> StoredObject:
        self._client._send("GetObject", self._request, self._read)
        return StoredObject(self._uri, self._file.tell(), self._etag, self._md5)

    def _request(self) -> Any:
        if not (offset := self._file.tell()) or self._etag is None:
            return self._client._get_object(self._uri)
        # If-Match: a changed object is refused with 412, instead of a file that is made of both.
        return self._client._get_object(self._uri, range=f"bytes={offset}-", if_match=self._etag)

    def _read(self, response: Any) -> None:
        with closing(response.data) as body:
            if response.status != 206:
                self._restart(response)
            for chunk in body.raw.stream(CHUNK_BYTES, decode_content=False):
                self._file.write(chunk)
                self._digest.update(chunk)
        if self._file.tell() != self._size:
            raise ValueError(f"the response broke off after {self._file.tell()} of {self._size} bytes")
        self._file.flush()
        if self._md5 and self._digest.digest() != _decoded(self._md5):
            self._etag = None  # start over
            raise ValueError("the MD5 of the content differs from the header content-md5")

    def _restart(self, response: Any) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._digest = hashlib.md5(usedforsecurity=False)
        self._etag = response.headers.get("etag")
        self._md5 = response.headers.get("content-md5")
        self._size = int(response.headers["content-length"])


@contextmanager
def errors_naming(uri: ObjectUri) -> Iterator[None]:
    """Convert a ``ServiceError`` of the ``with`` block, except of the sign-in, to one that names the URI."""
    from airflow_provider_dataflow.client.auth.token_request import SIGN_IN

    try:
        yield
    except ObjectStorageError:
        raise
    except ServiceError as error:
        if error.operation == SIGN_IN:
            raise
        raise ObjectStorageError(uri=str(uri), error=error) from None


def _parsed(uri: ObjectUri | str) -> ObjectUri:
    return uri if isinstance(uri, ObjectUri) else ObjectUri.parse(uri)


def _object(uri: ObjectUri | str) -> ObjectUri:
    """Return the URI of an object; a bucket is refused."""
    parsed = _parsed(uri)
    if not parsed.name.strip():
        raise InvalidArgument("uri", f"expected oci://bucket@namespace/name, got {str(parsed)!r}")
    return parsed


def _content(content: Content | bytes | str | os.PathLike[str]) -> Content:
    if isinstance(content, Content):
        return content
    return Content.of_bytes(content) if isinstance(content, bytes) else Content.of_file(content)


def _read_page(uri: ObjectUri, found: Any) -> tuple[_Page, _Refused]:
    """Return the objects and folders of a response of ListObjects, and the names that are refused."""
    objects: list[StoredObject] = []
    folders: list[ObjectUri] = []
    refused: _Refused = []
    for item in found.objects or ():
        try:
            objects.append(_listed(uri, item))
        except InvalidArgument as error:
            refused.append((item.name, error))
    for name in found.prefixes or ():
        try:
            folders.append(ObjectUri(uri.bucket, uri.namespace, name))
        except InvalidArgument as error:
            refused.append((name, error))
    return (objects, folders), refused


def _listed(uri: ObjectUri, item: Any) -> StoredObject:
    time_modified = item.time_modified.isoformat() if item.time_modified is not None else None
    name = _object(ObjectUri(uri.bucket, uri.namespace, item.name))
    return StoredObject(name, item.size or 0, item.etag, item.md5, time_modified)


def _check_length(response: Any, size: int) -> None:
    expected = response.headers.get("content-length")
    if expected is not None and int(expected) != size:
        raise ValueError(f"the response broke off after {size} of {expected} bytes")


def _decoded(md5: str) -> bytes:
    with suppress(binascii.Error):
        return base64.b64decode(md5)
    return b""
