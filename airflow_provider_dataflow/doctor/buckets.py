"""Steps that check the buckets: the bucket itself, its list of objects, and writing if it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from airflow_provider_dataflow.client.object_storage.client import ObjectStorageClient, errors_naming
from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
from airflow_provider_dataflow.doctor.examination import (
    RETRY_POLICY,
    Examination,
    Found,
    Missing,
    Step,
)
from airflow_provider_dataflow.doctor.resources import asked_for
from airflow_provider_dataflow.doctor.rights import DENIED
from airflow_provider_dataflow.exceptions import ObjectStorageError
from airflow_provider_dataflow.models.policy_statements import (
    MANAGE_OBJECTS,
    READ_BUCKETS,
    SERVICE_READS_LOGS,
)


def _logs_bucket(examination: Examination) -> Found:
    uri, found = _check_bucket(examination, *asked_for(examination, "logs_bucket_uri"))
    return Found(
        f"{found}. Whether the service itself may read logs cannot be checked; it needs the statement below",
        examination.policies(SERVICE_READS_LOGS, bucket=uri.bucket),
    )


def _staging_bucket(examination: Examination) -> str:
    if examination.targets.staging_uri or not examination.hook.staging_uri:
        found = asked_for(examination, "staging_uri")
    else:
        found = examination.hook.staging_uri, "the connection or [oci_data_flow] staging_uri"
    return _check_bucket(examination, *found)[1]


def _check_bucket(examination: Examination, text: str, source: str) -> tuple[ObjectUri, str]:
    """Return the URI of a bucket, and what was found."""
    uri = ObjectUri.parse(text, source)
    client = examination.hook.object_storage
    client.retry_policy = RETRY_POLICY
    read = examination.policies(READ_BUCKETS, MANAGE_OBJECTS, bucket=uri.bucket)
    try:
        with errors_naming(uri):
            client.call("GetBucket", lambda: client.sdk.get_bucket(uri.namespace, uri.bucket))
    except ObjectStorageError as error:
        raise _missing(error, "the bucket does not exist there, or may not be read", read) from None
    objects = read[1:]
    try:
        next(client.list(uri), None)
    except ObjectStorageError as error:
        raise _missing(error, "the bucket exists, but its objects may not be listed", objects) from None
    found = f"{uri} of {source}: the bucket exists, and its objects can be listed"
    if not examination.targets.write_probe:
        return uri, f"{found}; that they can be written was not tested (--write-probe)"
    probe = uri / f"airflow-doctor-{uuid4().hex}"
    _write(client, probe, objects)
    return uri, f"{found}, written and deleted"


def _write(client: ObjectStorageClient, probe: ObjectUri, policies: Sequence[str]) -> None:
    try:
        client.put(probe, b"airflow oci-data-flow doctor")
    except ObjectStorageError as error:
        if error.status not in DENIED:
            raise Missing(f"{error.summary}. Perhaps {probe} was written: delete it then.") from None
        raise _missing(error, "objects may not be written", policies) from None
    try:
        client.delete(probe)
    except ObjectStorageError as error:
        if error.status not in DENIED:
            raise Missing(f"{error.summary}. {probe} could not be deleted and is left over.") from None
        reason = f"objects may be written, but not deleted; {probe} is left over"
        raise _missing(error, reason, policies) from None


def _missing(error: ObjectStorageError, reason: str, policies: Sequence[str]) -> Exception:
    if error.status not in DENIED:
        return error
    return Missing(
        f"{error.summary}. So {reason}. The statements name the compartment of the runs: if the bucket is in "
        "another one, change it.",
        policies,
    )


BUCKET_STEPS = (
    Step("logs-bucket", _logs_bucket, ("sign-in",)),
    Step("staging-bucket", _staging_bucket, ("sign-in",)),
)
