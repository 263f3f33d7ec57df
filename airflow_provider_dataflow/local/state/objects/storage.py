"""Object Storage of a server: the folders of buckets, and a folder with what these cannot hold."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from airflow_provider_dataflow.local.state.buckets import Buckets
from airflow_provider_dataflow.local.state.objects.json_files import JSON, JsonFiles
from airflow_provider_dataflow.local.state.objects.multipart_uploads import (
    MultipartUpload,
    MultipartUploads,
)
from airflow_provider_dataflow.local.state.objects.object_files import ObjectFiles
from airflow_provider_dataflow.local.state.objects.object_listing import is_empty
from airflow_provider_dataflow.local.state.objects.object_names import PARTIAL_FILE
from airflow_provider_dataflow.local.state.objects.preauthenticated_requests import PreauthenticatedRequests


class BucketNotEmpty(Exception):
    """A bucket with objects cannot be deleted."""


class ObjectStorage:
    """Buckets and objects.

    :param buckets: folders that Spark reads and writes
    :param folder: for everything else; it may be deleted while no server uses it, and then only metadata and
        unfinished uploads are lost
    """

    def __init__(self, buckets: Buckets, folder: Path) -> None:
        self.buckets = buckets
        self.incoming = folder / "incoming"
        self.lock = threading.RLock()
        self._folder = folder
        self._bucket_records = JsonFiles(folder / "buckets")
        self.uploads = MultipartUploads(folder / "uploads")
        # Of copies.
        self.work_requests = JsonFiles(folder / "work-requests")
        self.preauthenticated_requests = PreauthenticatedRequests(folder / "preauthenticated-requests")

    def recover(self) -> None:
        """Clean up after requests that the end of an earlier server has interrupted."""
        shutil.rmtree(self.incoming, ignore_errors=True)
        self.uploads.recover()

    def reset(self) -> None:
        """Forget unfinished uploads and pre-authenticated requests, but keep buckets and objects."""
        self.uploads.clear()
        self.preauthenticated_requests.clear()

    def uploads_of(self, namespace: str, bucket: str) -> list[MultipartUpload]:
        return [
            upload
            for upload in self.uploads.all()
            if (upload.details["namespace"], upload.details["bucket"]) == (namespace, bucket)
        ]

    def files(self, namespace: str, bucket: str) -> ObjectFiles | None:
        """Return the objects of a bucket; ``None``: it does not exist."""
        try:
            path = self.buckets.path(namespace, bucket)
        except ValueError:
            return None
        if not path.is_dir():
            return None
        return ObjectFiles(path.resolve(), self._records(namespace, bucket), self.lock)

    def _records(self, namespace: str, bucket: str) -> JsonFiles:
        return JsonFiles(self._folder / "objects" / namespace / bucket)

    def create_bucket(self, namespace: str, bucket: str, record: JSON) -> bool:
        """Create a bucket; return whether it did not exist before.

        :raises ValueError: a name is not valid
        """
        with self.lock:
            if self.buckets.path(namespace, bucket).is_dir():
                return False
            self.buckets.create(namespace, bucket)
            self._bucket_records.put(f"{namespace}/{bucket}", record)
            return True

    def bucket_record(self, namespace: str, bucket: str) -> JSON:
        """Return what the creator of a bucket declared; empty for the folder of another creator."""
        return self._bucket_records.get(f"{namespace}/{bucket}") or {}

    def delete_bucket(self, namespace: str, bucket: str) -> None:
        """Delete a bucket and its empty folders.

        :raises BucketNotEmpty: it has objects or multipart uploads
        """
        with self.lock:
            files = self.files(namespace, bucket)
            if files is None:
                return
            if not is_empty(files) or self.uploads_of(namespace, bucket):
                raise BucketNotEmpty
            # Names that no object can have, and symbolic links, are not listed, but they are somebody's data.
            if _has_files(files.root):
                raise BucketNotEmpty
            path = self.buckets.path(namespace, bucket)
            if path.is_symlink():
                path.unlink()
            else:
                _remove_folders(path)
            self._records(namespace, bucket).clear()
            self._bucket_records.remove(f"{namespace}/{bucket}")


def _has_files(folder: Path) -> bool:
    """Return whether there is anything but folders, and what an interrupted copy of this server has left."""
    for parent, folders, names in os.walk(folder):
        if any(os.path.islink(os.path.join(parent, name)) for name in folders):
            return True
        if not all(PARTIAL_FILE.match(name) for name in names):
            return True
    return False


def _remove_folders(folder: Path) -> None:
    """Remove a folder and the folders in it, but no file that Spark, which takes no lock, writes meanwhile.

    :raises BucketNotEmpty: there is such a file
    """
    try:
        for parent, _, names in os.walk(folder, topdown=False):
            for name in filter(PARTIAL_FILE.match, names):
                os.unlink(os.path.join(parent, name))
            os.rmdir(parent)
    except OSError:
        raise BucketNotEmpty from None
