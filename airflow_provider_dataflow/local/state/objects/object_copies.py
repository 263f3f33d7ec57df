"""Copies of objects, which run in the background, and their work requests."""

from __future__ import annotations

import base64
import contextlib
import logging
import threading
from collections.abc import Callable

from airflow_provider_dataflow.local.http.incoming_body import IncomingBody
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.objects.json_files import JSON, JsonFiles
from airflow_provider_dataflow.local.state.objects.object_files import FileRange, StoredObject
from airflow_provider_dataflow.local.state.objects.storage import ObjectStorage
from airflow_provider_dataflow.local.state.ocids import ocid

log = logging.getLogger(__name__)

Store = Callable[[IncomingBody, str], StoredObject]


class ObjectCopies:
    """Copies and their work requests.

    :param now: returns the time of the service's clock
    """

    def __init__(self, storage: ObjectStorage, now: Callable[[], float]) -> None:
        self.requests: JsonFiles = storage.work_requests
        self._incoming = storage.incoming
        self._now = now

    def recover(self) -> None:
        """Fail the copies that the end of an earlier server has interrupted."""
        for record in self.requests.all():
            if record.get("timeFinished") is None and "id" in record:
                self._finish(record, "Local Data Flow stopped during the copy.")

    def reset(self) -> None:
        self.requests.clear()

    def start(
        self, compartment: str, source: StoredObject, content: FileRange, store: Store, resources: list[JSON]
    ) -> str:
        """Start a copy and return the id of its work request.

        :param content: of the source; it will be closed
        :param store: makes the copied content, whose MD5 it gets, an object
        """
        moment = rfc3339(self._now())
        record: JSON = {
            "id": ocid("objectstorageworkrequest"),
            "operationType": "COPY_OBJECT",
            "status": "IN_PROGRESS",
            "compartmentId": compartment,
            "resources": resources,
            "percentComplete": 0.0,
            "timeAccepted": moment,
            "timeStarted": moment,
            "timeFinished": None,
            "errors": [],
        }
        self.requests.put(record["id"], record)
        arguments = (record, source, content, store)
        threading.Thread(target=self._copy, args=arguments, name="copy-object", daemon=True).start()
        return str(record["id"])

    def _copy(self, record: JSON, source: StoredObject, content: FileRange, store: Store) -> None:
        body = IncomingBody(self._incoming)
        error = None
        try:
            with contextlib.closing(content):
                for chunk in content:
                    body.write(chunk)
            body.finish()
            if body.error is not None:
                raise body.error
            store(body, base64.b64encode(body.digest("md5")).decode())
        except Exception as e:  # noqa: BLE001 - an error of any kind ends the work request
            log.warning("A copy of %s failed: %s", source.name, e)
            error = str(e)
        finally:
            body.discard()
        self._finish(record, error)

    def _finish(self, record: JSON, error: str | None) -> None:
        moment = rfc3339(self._now())
        if error is not None:
            record["errors"] = [{"code": "CopyFailed", "message": error, "timestamp": moment}]
        record.update(
            status="COMPLETED" if error is None else "FAILED",
            percentComplete=100.0 if error is None else 0.0,
            timeFinished=moment,
        )
        self.requests.put(record["id"], record)
