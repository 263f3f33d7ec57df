"""Objects of OCI Object Storage as a file system of ``fsspec``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from fsspec import AbstractFileSystem
from fsspec.core import get_compression

from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
from airflow_provider_dataflow.exceptions import ObjectStorageError
from airflow_provider_dataflow.fs.object_file import ObjectReader, ObjectWriter, TextWriter, compressed

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.object_storage.client import ObjectStorageClient, StoredObject

Info = dict[str, Any]
_AT_SIGN = "ObjectStoragePath takes what is before the last @ for the connection"
_FORM = "oci://<connection>@<bucket>@<namespace>/<name>"


class ObjectFileSystem(AbstractFileSystem):
    """Buckets and objects of a connection.

    Paths are ``bucket/name``, ``bucket@namespace/name`` or, with a fixed bucket, ``namespace/name``.

    Lists are not cached, so that what other programs write is seen. Files are written to a temporary file
    and uploaded when they are closed: others see the whole object or none. Folders exist while there are
    objects in them. Buckets are neither created nor deleted.

    :param conn_id: Airflow connection.
    :param bucket: the bucket of all paths. Default: paths name their bucket.
    """

    protocol = "oci"
    root_marker = ""
    # A copy per process would keep the connection as it was when the first was made.
    cachable = False

    def __init__(self, conn_id: str = "oci_default", bucket: str | None = None, **options: Any) -> None:
        super().__init__(conn_id=conn_id, bucket=bucket, **options)
        self.conn_id = conn_id
        self.bucket = bucket

    @cached_property
    def client(self) -> ObjectStorageClient:
        """Client of the connection.

        :raises AirflowNotFoundException: the connection does not exist
        """
        from airflow.exceptions import AirflowNotFoundException

        from airflow_provider_dataflow.hooks.data_flow import DataFlowHook

        try:
            return DataFlowHook(self.conn_id).object_storage
        except AirflowNotFoundException as error:
            raise AirflowNotFoundException(
                f"{error} {_AT_SIGN}. If {self.conn_id!r} is the bucket, write {_FORM}."
            ) from None

    @property
    def fsid(self) -> str:
        return f"oci-{self.conn_id}"

    @cached_property
    def namespace(self) -> str:
        """Namespace of the tenancy, for paths that have none."""
        response = self.client.call("GetNamespace", lambda: self.client.sdk.get_namespace())
        return str(response.data)

    def uri(self, path: str) -> ObjectUri:
        """Return the URI of a path.

        :raises InvalidArgument: the path names no bucket, or the name is malformed
        """
        authority, _, name = self._strip_protocol(path).partition("/")
        if self.bucket is not None:
            return ObjectUri(self.bucket, authority, name)
        bucket, at, namespace = authority.partition("@")
        return ObjectUri(bucket, namespace if at else self.namespace, name)

    @contextmanager
    def _file_errors(self, path: str) -> Iterator[None]:
        """Convert the 404 of a missing object or bucket. Other errors name the object."""
        from airflow_provider_dataflow.client.object_storage.client import errors_naming

        try:
            with errors_naming(self.uri(path)):
                yield
        except ObjectStorageError as error:
            if error.status != 404:
                raise
            raise self._not_found(path, error) from None

    def _not_found(self, path: str, error: ObjectStorageError | None = None) -> FileNotFoundError:
        uri, what, hint = self.uri(path), "", ""
        if error is not None and error.code == "BucketNotFound":
            what = "The bucket of "
            if uri.bucket == uri.namespace:
                hint = f" {_AT_SIGN}, so this bucket is the namespace of the URI. Write {_FORM}."
        who = f"the user of the connection {self.conn_id!r}"
        return FileNotFoundError(f"{what}{uri} does not exist, or {who} may not see it.{hint}")

    # --- Looking ---------------------------------------------------------------------------------------

    def info(self, path: str, **kwargs: Any) -> Info:
        """Return name, size and type of an object or folder.

        :raises FileNotFoundError: there is no such object, and none in a folder of this name
        """
        path = self._strip_protocol(path)
        uri = self.uri(path)
        found = self.client.head(uri) if uri.name else None
        if found is not None:
            return self._info(path, found)
        with self._file_errors(path):
            if self._has_objects(uri) or not uri.name:
                return {"name": path, "size": 0, "type": "directory"}
        raise self._not_found(path)

    def _has_objects(self, uri: ObjectUri) -> bool:
        """Return whether a folder or bucket has objects.

        :raises ObjectStorageError: 404, the bucket does not exist
        """
        options = {"prefix": f"{uri.name}/"} if uri.name else {}
        response = self.client.call(
            "ListObjects",
            lambda: self.client.sdk.list_objects(uri.namespace, uri.bucket, limit=1, **options),
        )
        return bool(response.data.objects)

    def exists(self, path: str, **kwargs: Any) -> bool:
        """Return whether there is an object or folder. Unlike in ``fsspec``, errors are not a "no"."""
        try:
            self.info(path)
        except FileNotFoundError:
            return False
        return True

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """Return the objects and folders of a folder.

        :param detail: return what ``info`` returns instead of names
        :raises FileNotFoundError: there is no such object or folder
        """
        path = self._strip_protocol(path)
        uri = self.uri(path)
        folder = ObjectUri(uri.bucket, uri.namespace, f"{uri.name}/" if uri.name else "")
        with self._file_errors(path):
            objects = self.client.list(folder, delimiter="/")
            found = [self._info(self._path(path, o.uri), o) for o in objects if o.uri.name != folder.name]
            found += [
                {"name": self._path(path, sub).rstrip("/"), "size": 0, "type": "directory"}
                for sub in self.client.list_folders(folder)
            ]
        if not found:
            info = self.info(path)
            found = [info] if info["type"] == "file" else []
        found.sort(key=lambda item: item["name"])
        return found if detail else [item["name"] for item in found]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Return all objects below a folder, with one list instead of one per folder."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **kwargs)
        path = self._strip_protocol(path)
        found = {name: self._info(name, stored) for name, stored in self._objects_below(path)}
        if not found and self.uri(path).name and (stored := self.client.head(self.uri(path))) is not None:
            found = {path: self._info(path, stored)}
        return found if detail else sorted(found)

    def _objects_below(
        self, path: str, skipped: list[str] | None = None
    ) -> Iterator[tuple[str, StoredObject]]:
        """Yield the paths and the objects of a folder, without the empty objects that stand for folders.

        :param skipped: list to which the names of objects that cannot be addressed are appended
        """
        uri = self.uri(path)
        folder = ObjectUri(uri.bucket, uri.namespace, f"{uri.name}/" if uri.name else "")
        with self._file_errors(path):
            for stored in self.client.list(folder, skipped=skipped):
                if not stored.uri.name.endswith("/"):
                    yield self._path(path, stored.uri), stored

    def _path(self, like: str, uri: ObjectUri) -> str:
        """Return the path of an object, with bucket and namespace as in another path."""
        return f"{like.partition('/')[0]}/{uri.name}"

    def _info(self, path: str, stored: StoredObject) -> Info:
        info: Info = {"name": path, "size": stored.size, "type": "file", "etag": stored.etag}
        if stored.md5 is not None:
            info["md5"] = stored.md5
        modified = _time(stored.time_modified)
        if modified is not None:
            # Both names, as Airflow and fsspec look for either.
            info.update(LastModified=modified, mtime=modified.timestamp())
        return info

    def modified(self, path: str) -> datetime:
        """Return when an object was written."""
        modified: datetime = self.info(path)["LastModified"]
        return modified

    def ukey(self, path: str) -> str:
        """Return the etag of an object, which changes with each write."""
        return str(self.info(path).get("etag"))

    def checksum(self, path: str) -> int:
        """Return a number that changes with each write of an object."""
        return int.from_bytes(self.ukey(path).encode(), "big")

    def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> str:
        """Return a URL by which anybody can read an object: a pre-authenticated request.

        :param expiration: seconds
        """
        from airflow_provider_dataflow.client.sdk import oci

        uri = self.uri(path)
        details = oci.object_storage.models.CreatePreauthenticatedRequestDetails(
            name=f"Airflow {uri.name[-200:]}",
            object_name=uri.name,
            access_type="ObjectRead",
            time_expires=datetime.now(UTC) + timedelta(seconds=expiration),
        )
        # Not repeatable: after a lost response, a second request would leave a public URL that nobody knows.
        with self._file_errors(path):
            made = self.client.call(
                "CreatePreauthenticatedRequest",
                lambda: self.client.sdk.create_preauthenticated_request(uri.namespace, uri.bucket, details),
                repeatable=False,
            ).data
        return f"{self.client.endpoint}{made.access_uri}"

    # --- Reading and writing ---------------------------------------------------------------------------

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Info | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open an object as ``fsspec`` does. What is written is uploaded only if the file is closed properly.

        The wrappers of ``fsspec`` for text and for compression would upload, or discard, at other times.
        """
        if "r" in mode:
            return super().open(path, mode, block_size, cache_options, compression, **kwargs)
        path = self._strip_protocol(path)
        text = {name: kwargs.pop(name) for name in ("encoding", "errors", "newline") if name in kwargs}
        binary_mode = mode.replace("b", "").replace("t", "") + "b"
        writer = super().open(
            path, binary_mode, block_size, compress=get_compression(path, compression), **kwargs
        )
        if "b" in mode:
            return writer
        try:
            return TextWriter(writer, **text)
        except BaseException:
            writer.discard()
            raise

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Info | None = None,
        compress: str | None = None,
        **kwargs: Any,
    ) -> Any:
        if mode == "rb":
            options = {"block_size": block_size} if block_size else {}
            return ObjectReader(self, path, mode, cache_options=cache_options, **options, **kwargs)
        if mode not in ("wb", "xb"):
            raise ValueError(f"mode {mode!r} is not possible: objects can be read and replaced only")
        if not autocommit:
            raise NotImplementedError(
                f"{path}: transactions are not possible, since each file is uploaded when it is closed. "
                "Open it outside of fs.transaction and without autocommit=False"
            )
        uri = self.uri(path)

        def upload(file: Path) -> None:
            with TemporaryDirectory() as folder, self._file_errors(path):
                content = file
                if compress is not None:
                    content = Path(folder) / "content"
                    compressed(file, content, compress)
                if not self.client.put(uri, content, overwrite=mode == "wb"):
                    raise FileExistsError(f"{uri} exists")

        return ObjectWriter(upload)

    def read_range(self, path: str, start: int, end: int, etag: str | None) -> bytes:
        """Return a part of an object.

        :param end: first position that is not returned
        :param etag: of the content to read; if the object was replaced, the read fails
        """
        uri = self.uri(path)
        options = {"if_match": etag} if etag else {}

        def read() -> bytes:
            response = self.client.sdk.get_object(
                uri.namespace, uri.bucket, uri.name, range=f"bytes={start}-{end - 1}", **options
            )
            content: bytes = response.data.raw.read(decode_content=False)
            if len(content) != int(response.headers["content-length"]):
                raise ConnectionError("the response broke off")
            return content

        with self._file_errors(path):
            content: bytes = self.client.call("GetObject", read)
            return content

    def get_file(self, rpath: str, lpath: str, **kwargs: Any) -> None:
        """Download an object, streamed and checked against its MD5; a folder is created locally."""
        if self.isdir(rpath):
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        Path(lpath).parent.mkdir(parents=True, exist_ok=True)
        with self._file_errors(rpath):
            self.client.download(self.uri(rpath), lpath)

    def put_file(self, lpath: str, rpath: str, mode: str = "overwrite", **kwargs: Any) -> None:
        """Upload a file, streamed.

        :param mode: ``create`` to refuse to replace an object
        """
        if Path(lpath).is_dir():
            return
        uri = self.uri(rpath)
        with self._file_errors(rpath):
            if not self.client.put(uri, Path(lpath), overwrite=mode != "create"):
                raise FileExistsError(f"{uri} exists")

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Create an empty object, or replace one by it.

        :param truncate: if not, an existing object is not changed
        """
        with self._file_errors(path):
            self.client.put(self.uri(path), b"", overwrite=truncate)

    # --- Moving and deleting ---------------------------------------------------------------------------

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Do nothing: a folder exists while there are objects in it."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Do nothing: a folder exists while there are objects in it."""

    def rmdir(self, path: str) -> None:
        """Check that a folder is empty.

        :raises OSError: it is not
        """
        skipped: list[str] = []
        if next(self._objects_below(self._strip_protocol(path), skipped), None) is not None or skipped:
            raise OSError(f"{path} is not empty")

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy an object through a temporary file.

        CopyObject of the service would need a policy for the service itself, and ends after its response.
        """
        if self.isdir(path1):
            return
        with TemporaryDirectory() as folder, self._file_errors(path1):
            content = Path(folder) / "content"
            self.client.download(self.uri(path1), content)
            self.client.put(self.uri(path2), content)

    def mv(
        self, path1: str, path2: str, recursive: bool = False, maxdepth: int | None = None, **kwargs: Any
    ) -> None:
        """Rename an object, or the objects of a folder. Between buckets: copy, then delete.

        :param recursive: move a folder
        :raises OSError: objects were left, because their names cannot be addressed; the others were moved
        """
        path1, path2 = self._strip_protocol(path1), self._strip_protocol(path2)
        if not recursive:
            self._move(path1, path2)
            return
        skipped: list[str] = []
        names = sorted(name for name, _ in self._objects_below(path1, skipped))
        if not names and not skipped:
            # It may be an object; otherwise there is nothing of this name.
            names = self.find(path1)
            if not names:
                raise self._not_found(path1)
        for name in names:
            self._move(name, path2 + name.removeprefix(path1))
        self._check_none_skipped(path1, skipped, "moved")

    def _check_none_skipped(self, path: str, skipped: list[str], done: str) -> None:
        """Raise an error if objects of a folder were left because their names cannot be addressed.

        :param done: what was done with the others
        """
        if skipped:
            raise OSError(
                f"{self.uri(path)}: {len(skipped)} names cannot be addressed and were not {done}, the "
                f"first is {skipped[0]!r}. All others were {done}. Rename or delete them with the OCI console"
            )

    def _move(self, path1: str, path2: str) -> None:
        source, target = self.uri(path1), self.uri(path2)
        if source == target:
            return
        if (source.bucket, source.namespace) != (target.bucket, target.namespace):
            self.cp_file(path1, path2)
            self.rm_file(path1)
            return
        from airflow_provider_dataflow.client.sdk import oci

        details = oci.object_storage.models.RenameObjectDetails(source_name=source.name, new_name=target.name)
        # Not repeatable: after a lost response, the object has its new name already.
        with self._file_errors(path1):
            self.client.call(
                "RenameObject",
                lambda: self.client.sdk.rename_object(source.namespace, source.bucket, details),
                repeatable=False,
            )

    def rm_file(self, path: str) -> None:
        """Delete an object.

        :raises FileNotFoundError: it does not exist
        """
        with self._file_errors(path):
            if not self.client.delete(self.uri(path)):
                raise self._not_found(path)

    def rm(self, path: str | list[str], recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects.

        :param recursive: delete also the objects of folders
        :raises FileNotFoundError: there is no such object or folder
        :raises IsADirectoryError: it is a folder, and ``recursive`` is not set
        :raises OSError: objects of the folder were left, because their names cannot be addressed
        """
        for one in [path] if isinstance(path, str) else path:
            for name in self.expand_path(one, maxdepth=maxdepth) if any(c in one for c in "*?[") else [one]:
                self._remove(self._strip_protocol(name), recursive)

    def _remove(self, path: str, recursive: bool) -> None:
        uri = self.uri(path)
        is_deleted = bool(uri.name) and self.client.delete(uri)
        if not recursive:
            if is_deleted:
                return
            if self.isdir(path):
                raise IsADirectoryError(f"{uri} is a folder")
            raise self._not_found(path)
        # An object and a folder may have the same name, so the folder is deleted in any case.
        folder = ObjectUri(uri.bucket, uri.namespace, f"{uri.name}/" if uri.name else "")
        skipped: list[str] = []
        with self._file_errors(path):
            stored = list(self.client.list(folder, skipped=skipped))
            for found in stored:
                self.client.delete(found.uri)
        self._check_none_skipped(path, skipped, "deleted")
        if not stored and not is_deleted and uri.name:
            raise self._not_found(path)


def _time(text: str | None) -> datetime | None:
    """Parse a time of a header (RFC 1123) or of a list (RFC 3339)."""
    from email.utils import parsedate_to_datetime

    if not text:
        return None
    try:
        return datetime.fromisoformat(text) if text[:4].isdigit() else parsedate_to_datetime(text)
    except ValueError:
        return None
