"""URIs of objects: ``oci://bucket@namespace/name``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from airflow_provider_dataflow.exceptions import InvalidArgument

#: Longest name of an object, in bytes of UTF-8.
MAX_NAME_BYTES = 1024

_URI = re.compile(r"oci://([^/@]*)@([^/@]*)(?:/(.*))?", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9_.-]{1,256}", re.ASCII)
_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class ObjectUri:
    """Object of a bucket, or a prefix of the names of its objects.

    :param bucket: name of the bucket.
    :param namespace: Object Storage namespace of the tenancy.
    :param name: name of the object, or a prefix of names. Default: the whole bucket.
    :raises InvalidArgument: a part is malformed.
    """

    bucket: str
    namespace: str
    name: str = ""

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            raise InvalidArgument("bucket", f"expected letters, digits and -_. only, got {self.bucket!r}")
        if not _NAMESPACE.fullmatch(self.namespace):
            raise InvalidArgument("namespace", f"expected letters and digits only, got {self.namespace!r}")
        if _CONTROL.search(self.name):
            raise InvalidArgument("name", f"expected no control characters, got {self.name!r}")
        if len(self.name.encode()) > MAX_NAME_BYTES:
            raise InvalidArgument("name", f"expected at most {MAX_NAME_BYTES} bytes, got a longer name")
        # The HTTP client would resolve these segments after the request is signed.
        if any(part in (".", "..") for part in self.name.split("/")):
            raise InvalidArgument("name", f"expected no segments . and .., got {self.name!r}")

    @classmethod
    def parse(cls, uri: str, argument: str = "uri") -> ObjectUri:
        """Return the object of a URI.

        :param uri: ``oci://bucket@namespace/name``. Without a name it stands for the whole bucket.
        :param argument: name of the argument, for error messages.
        :raises InvalidArgument: the URI is malformed.
        """
        expected = "expected oci://bucket@namespace/name"
        match = _URI.fullmatch(uri) if isinstance(uri, str) else None
        if match is None:
            raise InvalidArgument(argument, f"{expected}, got {uri!r}")
        try:
            return cls(match[1], match[2], match[3] or "")
        except InvalidArgument as error:
            raise InvalidArgument(argument, f"{expected}, got {uri!r}: {error}") from None

    def __str__(self) -> str:
        return f"oci://{self.bucket}@{self.namespace}/{self.name}"

    def __truediv__(self, name: str) -> ObjectUri:
        """Return the object of this name below this prefix."""
        prefix = self.name.rstrip("/")
        return replace(self, name=f"{prefix}/{name}" if prefix else name)
