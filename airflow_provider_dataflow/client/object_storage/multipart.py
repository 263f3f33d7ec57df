"""Multipart upload of a large file through the SDK's assembler, which its UploadManager uses too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.client.object_storage.content import Content
from airflow_provider_dataflow.client.object_storage.uri import ObjectUri
from airflow_provider_dataflow.exceptions import ServiceError

if TYPE_CHECKING:
    from airflow_provider_dataflow.client.sdk_requests import SdkRequests

#: Parts that are sent at the same time.
PARALLEL_PARTS = 3
#: Times that an upload is resumed after a part that failed in spite of its retries.
MAX_RESUMES = 2


class _CallWithRetries:
    """Retry strategy for the SDK's assembler. The SDK would retry a part five times without a pause."""

    def __init__(self, requests: SdkRequests) -> None:
        self._requests = requests

    def make_retrying_call(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._requests.call("UploadPart", partial(call, *args, **kwargs))


def upload(requests: SdkRequests, uri: ObjectUri, content: Content, *, if_none_match: bool) -> None:
    """Upload a file in parts, each with its MD5. Resume after a failure; abort if that does not help.

    :param if_none_match: refuse with 412 if the object exists.
    :raises ServiceError: the upload failed, after retries.
    :raises FileChanged: the file was changed meanwhile; nothing was stored.
    """
    from airflow_provider_dataflow.client.sdk import oci

    condition = {"if_none_match": "*"} if if_none_match else {}
    assembler = oci.object_storage.MultipartObjectAssembler(
        requests.sdk,
        uri.namespace,
        uri.bucket,
        uri.name,
        part_size=content.part_size,
        parallel_process_count=PARALLEL_PARTS,
        **condition,
    )
    # Not repeatable: each request creates another upload, which would be billed until somebody aborts it.
    requests.call("CreateMultipartUpload", assembler.new_upload, repeatable=False)
    try:
        for number, md5 in enumerate(content.md5s):
            start = number * content.part_size
            size = min(content.part_size, content.size - start)
            # With its MD5, the SDK does not read the part twice.
            assembler.add_part_from_file(str(content.path), start, size, md5)
        _upload_parts(assembler, _CallWithRetries(requests))
        content.check_unchanged()
        _commit(requests, assembler, condition)
    except BaseException:
        # One attempt, since the task may have been killed. Otherwise a rule of the bucket cleans up.
        with suppress(Exception):
            assembler.abort()
        raise


def _upload_parts(assembler: Any, retries: _CallWithRetries) -> None:
    for attempt in range(MAX_RESUMES + 1):
        try:
            # Parts that have arrived have a checksum in the assembler's manifest and are not sent again.
            assembler.upload(retry_strategy=retries)
            return
        except ServiceError as error:
            if attempt == MAX_RESUMES or not error.is_transient:
                raise


def _commit(requests: SdkRequests, assembler: Any, condition: dict[str, str]) -> None:
    attempts = 0

    def commit() -> None:
        nonlocal attempts
        attempts += 1
        assembler.commit(**condition)

    try:
        requests.call("CommitMultipartUpload", commit)
    except ServiceError as error:
        # The response of an earlier attempt was lost, and the upload is gone since it is committed.
        if attempts == 1 or error.status != 404:
            raise
