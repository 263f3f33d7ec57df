"""Buckets are folders: ``oci://bucket@namespace/key`` is ``<buckets>/<namespace>/<bucket>/key``.

What the server itself opens (main files, archives, files for a run, logs) lies in its bucket once all
symbolic links are resolved. Spark, in an application, keeps ``..`` within the bucket too, but follows a
symbolic link that somebody has put there: it runs with the rights of that user anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

DEFAULT_NAMESPACE = "local"
_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*\Z")
_URI = re.compile(r"oci://([^/@?#]+)@([^/@?#]+)(?:/(.*))?\Z", re.DOTALL)
# A name that no file can have, or a loop of links (up to Python 3.12 a RuntimeError).
_NO_PATH = (OSError, ValueError, RuntimeError)
_MENTION = re.compile(r"oci://([a-zA-Z0-9_.-]+)@([a-zA-Z0-9_.-]+)")


@dataclass(frozen=True, slots=True)
class ObjectUri:
    namespace: str
    bucket: str
    key: str

    @property
    def authority(self) -> str:
        return f"{self.bucket}@{self.namespace}"


def check_name(name: str, what: str) -> str:
    """:raises ValueError: it is no name of a bucket or namespace"""
    if len(name) > 256 or not _NAME.match(name):
        raise ValueError(f"{name!r} is not a valid name of a {what}")
    return name


def parse_uri(uri: str) -> ObjectUri:
    """:raises ValueError: it is not of the form ``oci://bucket@namespace/key``"""
    match = _URI.match(uri)
    if match is None:
        raise ValueError(f"{uri!r} is not of the form oci://bucket@namespace/path")
    bucket, namespace = check_name(match[1], "bucket"), check_name(match[2], "namespace")
    return ObjectUri(namespace, bucket, match[3] or "")


def mentioned(texts: Iterable[str]) -> Iterator[ObjectUri]:
    """The buckets whose URIs appear anywhere in the texts, each once."""
    seen = set()
    for text in texts:
        for bucket, namespace in _MENTION.findall(text):
            uri = ObjectUri(namespace.rstrip("."), bucket, "")
            if uri not in seen:
                seen.add(uri)
                yield uri


class Buckets:
    """All buckets of a server."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, namespace: str, bucket: str) -> Path:
        """The folder of a bucket, whether or not it exists.

        :raises ValueError: one of the names is not valid, and might lead elsewhere
        """
        return self.root / check_name(namespace, "namespace") / check_name(bucket, "bucket")

    def create(self, namespace: str, bucket: str) -> Path:
        path = self.path(namespace, bucket)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def exists(self, uri: ObjectUri) -> bool:
        try:
            return self.path(uri.namespace, uri.bucket).is_dir()
        except ValueError:
            return False

    def all(self) -> list[ObjectUri]:
        return [
            ObjectUri(folder.parent.name, folder.name, "")
            for folder in sorted(self.root.glob("*/*"))
            if folder.is_dir() and _NAME.match(folder.parent.name) and _NAME.match(folder.name)
        ]

    def local_path(self, uri: str) -> Path | None:
        """The file of an object; ``None`` if it is not there, or if it is, but outside of its bucket.

        :raises ValueError: not an ``oci://`` URI
        """
        found = self._find(parse_uri(uri))
        return None if found is None else found[1]

    def spark_uri(self, uri: str) -> str:
        """The URI by which spark-submit finds a file, quoted; one that names no file (but many) as it is.

        A name for Spark, behind a ``#``, is kept.
        """
        plain, hash_sign, name = uri.partition("#")
        try:
            parsed = parse_uri(plain)
        except ValueError:
            return uri
        found = self._find(parsed)
        return uri if found is None else f"oci://{parsed.authority}/{quote(found[0])}{hash_sign}{name}"

    def folder(self, uri: str) -> Path:
        """The folder that a URI names, to be written to; it may not be there yet.

        :raises ValueError: not an ``oci://`` URI, or not within its bucket
        """
        parsed = parse_uri(uri)
        bucket = self.path(parsed.namespace, parsed.bucket).resolve()
        try:
            path = (bucket / parsed.key.strip("/")).resolve()
        except _NO_PATH:
            path = None
        if path is None or not path.is_relative_to(bucket):
            raise ValueError(f"{uri!r} is not within its bucket")
        return path

    def _find(self, uri: ObjectUri) -> tuple[str, Path] | None:
        """The key and the file; not outside of the bucket."""
        bucket = self.path(uri.namespace, uri.bucket).resolve()
        # Spark takes the key as it is, other clients quote it: both find their file.
        for key in (uri.key, unquote(uri.key)):
            key = key.lstrip("/")
            try:
                path = (bucket / key).resolve()
                if path.is_relative_to(bucket) and path.exists():
                    return key, path
            except _NO_PATH:
                continue
        return None
