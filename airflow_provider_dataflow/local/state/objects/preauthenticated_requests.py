"""Pre-authenticated requests: tokens in URLs that allow access to objects without a signature."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from airflow_provider_dataflow.local.state.objects.json_files import JSON, JsonFiles


@dataclass(frozen=True, slots=True)
class PreauthenticatedRequest:
    """Access that a token gives.

    :param object_name: the object; with ``Any...`` a prefix, which may be empty
    :param expires: seconds since the epoch
    :param tenancy: of the user who created it
    """

    id: str
    name: str
    namespace: str
    bucket: str
    object_name: str | None
    access_type: str
    lists_objects: bool
    created: float
    expires: float
    tenancy: str
    user: str


class PreauthenticatedRequests:
    """All pre-authenticated requests. Only hashes of the tokens are kept.

    :param folder: holds a record per request
    """

    def __init__(self, folder: Path) -> None:
        # By token: JsonFiles hashes the key.
        self._records = JsonFiles(folder)

    def add(self, **fields: object) -> tuple[PreauthenticatedRequest, str]:
        """Create a pre-authenticated request; return it and its token."""
        token = secrets.token_urlsafe(48)
        record: JSON = {"id": secrets.token_urlsafe(24), **fields}
        made = PreauthenticatedRequest(**record)
        self._records.put(token, asdict(made))
        return made, token

    def by_token(self, token: str) -> PreauthenticatedRequest | None:
        record = self._records.get(token)
        return None if record is None else PreauthenticatedRequest(**record)

    def of_bucket(self, namespace: str, bucket: str) -> Iterator[PreauthenticatedRequest]:
        """Yield the pre-authenticated requests of a bucket, oldest first."""
        found = [PreauthenticatedRequest(**record) for record in self._records.all()]
        for made in sorted(found, key=lambda made: (made.created, made.id)):
            if (made.namespace, made.bucket) == (namespace, bucket):
                yield made

    def remove(self, id_: str) -> None:
        self._records.remove_where(lambda record: record.get("id") == id_)

    def clear(self) -> None:
        self._records.clear()
