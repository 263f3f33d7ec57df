"""Operations of objects: put, get, head, list and delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from airflow_provider_dataflow.local.api.object_storage.conditions import conditions, matches
from airflow_provider_dataflow.local.api.object_storage.context import ObjectContext, page_limit
from airflow_provider_dataflow.local.api.object_storage.errors import (
    bucket_not_found,
    invalid_object_name,
    object_not_found,
)
from airflow_provider_dataflow.local.api.object_storage.metadata import (
    checksum_headers,
    http_date,
    object_headers,
    stored_headers,
    version_headers,
)
from airflow_provider_dataflow.local.api.object_storage.ranges import requested_range
from airflow_provider_dataflow.local.api.object_storage.uploads import (
    checksum_headers_of,
    new_upload,
    received_upload,
)
from airflow_provider_dataflow.local.http.incoming_body import IncomingBody
from airflow_provider_dataflow.local.http.messages import JSON, ApiError, Request, Response, Route, invalid
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.objects.object_files import (
    BucketMissing,
    Check,
    ObjectFiles,
    ObjectMetadata,
    StoredObject,
)
from airflow_provider_dataflow.local.state.objects.object_listing import NameRange, list_objects
from airflow_provider_dataflow.local.state.objects.object_names import UnusableName, relative_path

_FIELDS = ("name", "size", "etag", "md5", "timeCreated", "timeModified", "storageTier", "archivalState")


class ObjectsApi:
    def __init__(self, context: ObjectContext) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        bucket = "/n/{namespace}/b/{bucket}"
        one = f"{bucket}/o/{{name}}"
        yield Route("ListObjects", "GET", f"{bucket}/o", self.list_page)
        yield Route("PutObject", "PUT", one, self.put, self.open_put)
        yield Route("GetObject", "GET", one, self.get)
        yield Route("HeadObject", "HEAD", one, self.head)
        yield Route("DeleteObject", "DELETE", one, self.delete)

    def list_page(self, request: Request, namespace: str, bucket: str) -> Response:
        files = self.context.files(namespace, bucket)
        query = request.query()
        fields = _fields(query.get("fields"))
        delimiter = query.get("delimiter")
        if delimiter not in (None, "/"):
            raise invalid("The only supported delimiter is /.")
        names = NameRange(
            query.get("prefix", ""), query.get("start", ""), query.get("startAfter", ""), query.get("end", "")
        )
        page = list_objects(
            files,
            names,
            page_limit(request),
            by_folder=delimiter is not None,
            metadata="md5" in fields,
        )
        body: JSON = {"objects": [_summary(found, fields) for found in page.objects]}
        if delimiter is not None:
            body["prefixes"] = page.prefixes
        if page.next_start is not None:
            body["nextStartWith"] = page.next_start
        return Response.of_json(body)

    def open_put(self, request: Request, namespace: str, bucket: str, name: str) -> IncomingBody:
        files = self.context.files(namespace, bucket)
        try:
            relative_path(name)
        except UnusableName as e:
            raise invalid_object_name(e) from None
        request_conditions(request)(files.get(name))
        return new_upload(self.context.storage, request)

    def put(self, request: Request, namespace: str, bucket: str, name: str) -> Response:
        files = self.context.files(namespace, bucket)
        upload, md5 = received_upload(request)
        metadata = ObjectMetadata(stored_headers(request.headers), md5)
        stored = store(files, namespace, bucket, name, upload.path, metadata, request_conditions(request))
        headers = {
            **version_headers(stored),
            "opc-content-md5": md5,
            **checksum_headers_of(request),
        }
        return Response(200, headers)

    def get(self, request: Request, namespace: str, bucket: str, name: str) -> Response:
        opened = self.context.files(namespace, bucket).open(name)
        if opened is None:
            raise object_not_found(bucket, name)
        found, content = opened
        try:
            if _check_read(request, found):
                content.close()
                return Response(304, {"etag": found.etag})
            part = requested_range(request.headers.get("range"), found.size)
            headers = {**object_headers(found), "content-length": str(found.size)}
        except BaseException:
            content.close()
            raise
        if part is None:
            return Response(200, headers, content)
        start, length = part
        content.narrow(start, length)
        headers["content-length"] = str(length)
        headers["content-range"] = f"bytes {start}-{start + length - 1}/{found.size}"
        return Response(206, headers, content)

    def head(self, request: Request, namespace: str, bucket: str, name: str) -> Response:
        found = self.context.files(namespace, bucket).get(name)
        if found is None:
            raise object_not_found(bucket, name)
        if _check_read(request, found):
            return Response(304, {"etag": found.etag})
        # An iterator, because the length of the header is not that of the empty body.
        return Response(200, {**object_headers(found), "content-length": str(found.size)}, iter(()))

    def delete(self, request: Request, namespace: str, bucket: str, name: str) -> Response:
        files = self.context.files(namespace, bucket)
        if files.remove(name, conditions(request.headers.get("if-match"), None)) is None:
            raise object_not_found(bucket, name)
        return Response(204, {"last-modified": http_date(self.context.now())})


def store(
    files: ObjectFiles,
    namespace: str,
    bucket: str,
    name: str,
    content: Path,
    metadata: ObjectMetadata,
    check: Check,
) -> StoredObject:
    """Make a file the content of an object, by moving it.

    :raises ApiError: 400, the name cannot be used; 404, the bucket was deleted; 412, see ``conditions``
    """
    try:
        return files.put(name, content, metadata, check)
    except UnusableName as e:
        raise invalid_object_name(e) from None
    except BucketMissing:
        raise bucket_not_found(namespace, bucket) from None


def request_conditions(request: Request) -> Check:
    """Return the check that the headers of a request ask for; see ``conditions``."""
    return conditions(request.headers.get("if-match"), request.headers.get("if-none-match"))


def _check_read(request: Request, found: StoredObject) -> bool:
    """Check the conditions of a get or head; return whether the client has the object already.

    :raises ApiError: 412, the object is not the one that the client asks for
    """
    if_match, if_none_match = request.headers.get("if-match"), request.headers.get("if-none-match")
    if if_match is not None and not matches(if_match, found.etag):
        raise ApiError(412, "IfMatchFailed", "The If-Match header does not match the etag of the object.")
    return if_none_match is not None and matches(if_none_match, found.etag)


def _fields(text: str | None) -> tuple[str, ...]:
    names = tuple((text or "name").split(","))
    unknown = sorted(set(names) - set(_FIELDS))
    if unknown:
        raise invalid(f"fields must be some of {', '.join(_FIELDS)}, not {unknown[0]}.")
    return ("name", *(name for name in names if name != "name"))


def _summary(found: StoredObject, fields: tuple[str, ...]) -> JSON:
    values: JSON = {
        "name": found.name,
        "size": found.size,
        "etag": found.etag,
        "timeCreated": rfc3339(found.modified),
        "timeModified": rfc3339(found.modified),
        "storageTier": "Standard",
        "archivalState": None,
    }
    if "md5" in fields:
        values["md5"] = next(iter(checksum_headers(found, "md5").values()))
    return {name: values[name] for name in fields}
