"""Operations of multipart uploads."""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

from airflow_provider_dataflow.local.api.field_checks import integer_of
from airflow_provider_dataflow.local.api.object_storage.context import (
    ObjectContext,
    list_response,
    optional_text,
    required_text,
)
from airflow_provider_dataflow.local.api.object_storage.errors import invalid_object_name
from airflow_provider_dataflow.local.api.object_storage.metadata import (
    checked_headers,
    user_metadata_headers,
    version_headers,
)
from airflow_provider_dataflow.local.api.object_storage.objects import request_conditions, store
from airflow_provider_dataflow.local.api.object_storage.uploads import (
    checksum_headers_of,
    new_upload,
    received_upload,
)
from airflow_provider_dataflow.local.http.incoming_body import IncomingBody
from airflow_provider_dataflow.local.http.messages import JSON, ApiError, Request, Response, Route
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.objects.multipart_uploads import (
    MultipartUpload,
    Part,
    join_parts,
    multipart_md5,
)
from airflow_provider_dataflow.local.state.objects.object_files import ObjectMetadata
from airflow_provider_dataflow.local.state.objects.object_names import UnusableName, relative_path

_MAX_PARTS = 10_000
# Fields of the request that become headers of the object.
_HEADERS = {
    "contentType": "content-type",
    "contentLanguage": "content-language",
    "contentEncoding": "content-encoding",
    "contentDisposition": "content-disposition",
    "cacheControl": "cache-control",
}


class MultipartApi:
    def __init__(self, context: ObjectContext) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        uploads = "/n/{namespace}/b/{bucket}/u"
        one = f"{uploads}/{{name}}"
        yield Route("ListMultipartUploads", "GET", uploads, self.list_page)
        yield Route("CreateMultipartUpload", "POST", uploads, self.create)
        yield Route("UploadPart", "PUT", one, self.put_part, self.open_part)
        yield Route("ListMultipartUploadParts", "GET", one, self.list_parts)
        yield Route("CommitMultipartUpload", "POST", one, self.commit)
        yield Route("AbortMultipartUpload", "DELETE", one, self.abort)

    def list_page(self, request: Request, namespace: str, bucket: str) -> Response:
        self.context.files(namespace, bucket)
        bodies = [_body(upload) for upload in self.context.storage.uploads_of(namespace, bucket)]
        bodies.sort(key=lambda body: (body["object"], body["timeCreated"], body["uploadId"]))
        return list_response(request, bodies)

    def create(self, request: Request, namespace: str, bucket: str) -> Response:
        files = self.context.files(namespace, bucket)
        body = request.json()
        name = required_text(body, "object")
        try:
            relative_path(name)
        except UnusableName as e:
            raise invalid_object_name(e) from None
        request_conditions(request)(files.get(name))
        headers = {header: optional_text(body, field) for field, header in _HEADERS.items()}
        upload = self.context.storage.uploads.create(
            {
                "namespace": namespace,
                "bucket": bucket,
                "object": name,
                "headers": {
                    **checked_headers({k: text for k, text in headers.items() if text is not None}),
                    **user_metadata_headers(body.get("metadata")),
                },
                "timeCreated": rfc3339(self.context.now()),
            }
        )
        return Response.of_json(_body(upload))

    def open_part(self, request: Request, namespace: str, bucket: str, name: str) -> IncomingBody:
        self._upload(request, namespace, bucket, name)
        _part_number(request)
        return new_upload(self.context.storage, request)

    def put_part(self, request: Request, namespace: str, bucket: str, name: str) -> Response:
        upload = self._upload(request, namespace, bucket, name)
        number = _part_number(request)
        body, md5 = received_upload(request)
        existing = next((part for part in upload.parts() if part.number == number), None)
        if request.headers.get("if-none-match") is not None and existing is not None:
            raise ApiError(412, "IfNoneMatchFailed", f"Part {number} exists.")
        if request.headers.get("if-match") not in (None, existing and existing.etag):
            raise ApiError(412, "IfMatchFailed", f"The etag of part {number} is not that of If-Match.")
        etag = upload.add(number, body.path, base64.b64decode(md5))
        if etag is None:
            raise _upload_not_found(request)
        return Response(200, {"etag": etag, "opc-content-md5": md5, **checksum_headers_of(request)})

    def list_parts(self, request: Request, namespace: str, bucket: str, name: str) -> Response:
        bodies = [
            {
                "partNumber": part.number,
                "etag": part.etag,
                "md5": base64.b64encode(part.md5).decode(),
                "size": part.size,
            }
            for part in self._upload(request, namespace, bucket, name).parts()
        ]
        return list_response(request, bodies)

    def commit(self, request: Request, namespace: str, bucket: str, name: str) -> Response:
        files = self.context.files(namespace, bucket)
        upload = self._upload(request, namespace, bucket, name)
        check = request_conditions(request)
        wanted = _wanted_parts(request.json())
        joined = self.context.storage.incoming / secrets.token_hex(16)
        with self.context.storage.uploads.committing(upload) as locked, _removed(joined):
            if locked is None:
                raise _upload_not_found(request)
            check(files.get(name))
            parts = _selected(locked.parts(), *wanted)
            join_parts(parts, joined)
            digest = multipart_md5(parts)
            metadata = ObjectMetadata(upload.details["headers"], None, digest)
            stored = store(files, namespace, bucket, name, joined, metadata, check)
        return Response(200, {**version_headers(stored), "opc-multipart-md5": digest})

    def abort(self, request: Request, namespace: str, bucket: str, name: str) -> Response:
        upload = self._upload(request, namespace, bucket, name)
        with self.context.storage.uploads.committing(upload) as locked:
            if locked is None:
                raise _upload_not_found(request)
        return Response(204)

    def _upload(self, request: Request, namespace: str, bucket: str, name: str) -> MultipartUpload:
        """Return the upload that a request names.

        :raises ApiError: 404, there is none for this object
        """
        self.context.files(namespace, bucket)
        id_ = request.query().get("uploadId")
        if not id_:
            raise ApiError(400, "MissingUploadId", "uploadId is required.")
        upload = self.context.storage.uploads.get(id_)
        address = {"namespace": namespace, "bucket": bucket, "object": name}
        if upload is None or not address.items() <= upload.details.items():
            raise _upload_not_found(request)
        return upload


def _upload_not_found(request: Request) -> ApiError:
    id_ = request.query().get("uploadId")
    return ApiError(404, "UploadNotFound", f"The upload '{id_}' does not exist, or was committed or aborted.")


def _body(upload: MultipartUpload) -> JSON:
    fields = ("namespace", "bucket", "object", "timeCreated")
    return {
        **{field: upload.details[field] for field in fields},
        "uploadId": upload.id,
        "storageTier": "Standard",
    }


def _part_number(request: Request) -> int:
    number = integer_of(request.query().get("uploadPartNum", ""), 1, _MAX_PARTS)
    if number is None:
        raise ApiError(
            400, "InvalidUploadPartNumber", f"uploadPartNum must be an integer from 1 to {_MAX_PARTS}."
        )
    return number


def _wanted_parts(body: JSON) -> tuple[dict[int, str], set[int]]:
    """Return the etags of the parts to commit by number, and the numbers of those to exclude.

    :raises ApiError: 400, the body is malformed
    """
    commit: dict[int, str] = {}
    items = body.get("partsToCommit")
    for item in items if isinstance(items, list) else ():
        number, etag = (item.get("partNum"), item.get("etag")) if isinstance(item, dict) else (None, None)
        if type(number) is not int or not isinstance(etag, str):
            raise _invalid_part("A part to commit must have partNum and etag.")
        if number in commit:
            raise _invalid_part(f"Part {number} is committed twice.")
        commit[number] = etag
    if not commit:
        raise _invalid_part("partsToCommit must be a list of at least one part.")
    exclude = body.get("partsToExclude") or []
    if not isinstance(exclude, list) or not all(type(number) is int for number in exclude):
        raise _invalid_part("partsToExclude must be a list of numbers.")
    if commit.keys() & set(exclude):
        raise _invalid_part("A part cannot be both committed and excluded.")
    return commit, set(exclude)


def _selected(parts: list[Part], commit: dict[int, str], exclude: set[int]) -> list[Part]:
    """Return the parts to commit, by number.

    :raises ApiError: 400, one is missing or has another etag, or a part is neither committed nor excluded
    """
    found = {part.number: part for part in parts}
    for number, etag in commit.items():
        if number not in found:
            raise _invalid_part(f"Part {number} was not uploaded.")
        if found[number].etag != etag:
            raise _invalid_part(f"The etag of part {number} is {found[number].etag}, not {etag}.")
    forgotten = sorted(found.keys() - commit.keys() - exclude)
    if forgotten:
        raise _invalid_part(f"Part {forgotten[0]} is neither committed nor excluded.")
    return [found[number] for number in sorted(commit)]


def _invalid_part(message: str) -> ApiError:
    return ApiError(400, "InvalidUploadPart", message)


@contextlib.contextmanager
def _removed(file: Path) -> Iterator[None]:
    """Remove a temporary file at the end, unless it was moved."""
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
