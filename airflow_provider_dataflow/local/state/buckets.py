"""Buckets as folders: ``oci://bucket@namespace/key`` is ``<buckets>/<namespace>/<bucket>/key``.

Files that the server itself opens (main files, archives, files of a run, logs) must be in their bucket after
symbolic links are resolved. Spark also keeps ``..`` within the bucket, but follows symbolic links: an
application runs with the user's rights anyway.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

DEFAULT_NAMESPACE = "local"
_MAX_NAME_LENGTH = 255  # of the name of a folder; the service allows 256
_NAME = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9_.-]*\Z")
_URI = re.compile(r"oci://([^/@?#]+)@([^/@?#]+)(?:/(.*))?\Z", re.DOTALL)
# Raised for names that no file can have, and for a loop of links (a RuntimeError before Python 3.13).
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
    """Return the name.

    :raises ValueError: it is not valid for a bucket or namespace.
    """
    if len(name) > _MAX_NAME_LENGTH or not _NAME.match(name):
        raise ValueError(f"{name!r} is not a valid name of a {what}")
    return name


def parse_uri(uri: str) -> ObjectUri:
    """Parse ``oci://bucket@namespace/key``.

    :raises ValueError: the URI has another form.
    """
    match = _URI.match(uri)
    if match is None:
        raise ValueError(f"{uri!r} is not of the form oci://bucket@namespace/path")
    bucket, namespace = check_name(match[1], "bucket"), check_name(match[2], "namespace")
    return ObjectUri(namespace, bucket, match[3] or "")


def mentioned_buckets(texts: Iterable[str]) -> Iterator[ObjectUri]:
    """Yield each bucket whose URI occurs in the texts, once."""
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
        """Return the folder of a bucket, which need not exist.

        :raises ValueError: a name is not valid, and could lead to another folder.
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
        """Return the file of an object, or ``None`` if it does not exist in its bucket.

        :raises ValueError: not an ``oci://`` URI.
        """
        found = self._find(parse_uri(uri))
        return None if found is None else found[1]

    def spark_uri(self, uri: str) -> str:
        """Return the quoted URI by which spark-submit finds a file. A URI of no single file stays as it is.

        A name for Spark after ``#`` is kept.
        """
        plain, hash_sign, name = uri.partition("#")
        try:
            parsed = parse_uri(plain)
        except ValueError:
            return uri
        found = self._find(parsed)
        return uri if found is None else f"oci://{parsed.authority}/{quote(found[0])}{hash_sign}{name}"

    def folder(self, uri: str) -> Path:
        """Return the folder of a URI, which need not exist.

        :raises ValueError: not an ``oci://`` URI, or outside its bucket.
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
        """Return the key and the file of an object within its bucket."""
        bucket = self.path(uri.namespace, uri.bucket).resolve()
        # Spark does not quote the key, other clients do.
        for key in (uri.key, unquote(uri.key)):
            key = key.lstrip("/")
            try:
                path = (bucket / key).resolve()
                if path.is_relative_to(bucket) and path.exists():
                    return key, path
            except _NO_PATH:
                continue
        return None
