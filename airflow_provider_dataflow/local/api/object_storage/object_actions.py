"""Actions on objects: rename, copy and delete of many."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.object_storage.conditions import conditions
from airflow_provider_dataflow.local.api.object_storage.context import (
    ObjectContext,
    optional_text,
    required_text,
)
from airflow_provider_dataflow.local.api.object_storage.errors import (
    bucket_not_found,
    invalid_object_name,
    object_not_found,
)
from airflow_provider_dataflow.local.api.object_storage.metadata import (
    USER_METADATA,
    user_metadata_headers,
    version_headers,
)
from airflow_provider_dataflow.local.api.object_storage.objects import store
from airflow_provider_dataflow.local.api.resources import caller
from airflow_provider_dataflow.local.http.incoming_body import IncomingBody
from airflow_provider_dataflow.local.http.messages import JSON, ApiError, Request, Response, Route, invalid
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.objects.object_files import (
    BucketMissing,
    ObjectMetadata,
    StoredObject,
)
from airflow_provider_dataflow.local.state.objects.object_names import UnusableName, relative_path

_MAX_BATCH = 1000


class ObjectActionsApi:
    def __init__(self, context: ObjectContext) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        actions = "/n/{namespace}/b/{bucket}/actions"
        yield Route("RenameObject", "POST", f"{actions}/renameObject", self.rename)
        yield Route("CopyObject", "POST", f"{actions}/copyObject", self.copy)
        yield Route("BatchDeleteObjects", "POST", f"{actions}/batchDeleteObjects", self.batch_delete)

    def rename(self, request: Request, namespace: str, bucket: str) -> Response:
        files = self.context.files(namespace, bucket)
        body = request.json()
        name, new_name = required_text(body, "sourceName"), required_text(body, "newName")
        if name == new_name:
            raise ApiError(400, "SourceNameSameAsNewName", "newName must differ from sourceName.")
        check = conditions(optional_text(body, "srcObjIfMatchETag"), None)
        check_new = conditions(
            optional_text(body, "newObjIfMatchETag"), optional_text(body, "newObjIfNoneMatchETag")
        )
        try:
            renamed = files.rename(name, new_name, check, check_new)
        except UnusableName as e:
            raise invalid_object_name(e) from None
        except BucketMissing:
            raise bucket_not_found(namespace, bucket) from None
        if renamed is None:
            raise object_not_found(bucket, name)
        return Response(200, version_headers(renamed))

    def copy(self, request: Request, namespace: str, bucket: str) -> Response:
        """Start the copy of an object. What can be checked at once is; the rest fails the work request."""
        files = self.context.files(namespace, bucket)
        body = request.json()
        name = required_text(body, "sourceObjectName")
        required_text(body, "destinationRegion")
        to_namespace = required_text(body, "destinationNamespace")
        to_bucket = required_text(body, "destinationBucket")
        new_name = required_text(body, "destinationObjectName")
        to_files = self.context.files(to_namespace, to_bucket)
        check = conditions(
            optional_text(body, "destinationObjectIfMatchETag"),
            optional_text(body, "destinationObjectIfNoneMatchETag"),
        )
        try:
            relative_path(new_name)
        except UnusableName as e:
            raise invalid_object_name(e) from None
        opened = files.open(name)
        if opened is None:
            raise object_not_found(bucket, name)
        source, content = opened
        try:
            conditions(optional_text(body, "sourceObjectIfMatchETag"), None)(source)
            headers = source.metadata.headers
            if body.get("destinationObjectMetadata") is not None:
                headers = {name: text for name, text in headers.items() if not name.startswith(USER_METADATA)}
                headers |= user_metadata_headers(body["destinationObjectMetadata"])
        except BaseException:
            content.close()
            raise

        def finish(copied: IncomingBody, md5: str) -> StoredObject:
            metadata = ObjectMetadata(headers, md5)
            return store(to_files, to_namespace, to_bucket, new_name, copied.path, metadata, check)

        resources = [
            _resource("READ", namespace, bucket, name),
            _resource("WRITTEN", to_namespace, to_bucket, new_name),
        ]
        record = self.context.storage.bucket_record(namespace, bucket)
        compartment = record.get("compartmentId", caller(request).tenancy)
        id_ = self.context.copies.start(compartment, source, content, finish, resources)
        return Response(202, {"opc-work-request-id": id_})

    def batch_delete(self, request: Request, namespace: str, bucket: str) -> Response:
        files = self.context.files(namespace, bucket)
        body = request.json()
        objects = body.get("objects")
        if not isinstance(objects, list) or not 0 < len(objects) <= _MAX_BATCH:
            raise invalid(f"objects must be a list of 1 to {_MAX_BATCH} objects.")
        deleted: list[JSON] = []
        failed: list[JSON] = []
        wanted = [item if isinstance(item, dict) else {} for item in objects]
        checks = [
            (required_text(item, "objectName"), conditions(optional_text(item, "ifMatch"), None))
            for item in wanted
        ]
        for name, check in checks:
            try:
                # An object that does not exist counts as deleted, so that the request can be repeated.
                files.remove(name, check)
            except ApiError as e:
                failed.append({"objectName": name, "statusCode": e.status, "errorMessage": e.message})
            else:
                deleted.append({"objectName": name, "timeLastModified": rfc3339(self.context.now())})
        if body.get("isSkipDeletedResult"):
            deleted = []
        return Response.of_json({"deleted": deleted, "failed": failed})


def _resource(action: str, namespace: str, bucket: str, name: str) -> JSON:
    return {
        "actionType": action,
        "entityType": "object",
        "identifier": name,
        "entityUri": f"/n/{namespace}/b/{bucket}/o/{name}",
        "metadata": {"NAMESPACE": namespace, "BUCKET": bucket, "OBJECT": name},
    }
