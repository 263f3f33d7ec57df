"""Operations of the namespace and of buckets."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping

from airflow_provider_dataflow.local.api.field_checks import (
    Check,
    check_defined_tags,
    check_map_of_texts,
    check_text,
    one_of,
)
from airflow_provider_dataflow.local.api.object_storage.context import (
    ObjectContext,
    page_limit,
    required_text,
)
from airflow_provider_dataflow.local.api.object_storage.errors import bucket_not_found
from airflow_provider_dataflow.local.api.resources import caller
from airflow_provider_dataflow.local.http.messages import JSON, ApiError, Request, Response, Route
from airflow_provider_dataflow.local.state.buckets import DEFAULT_NAMESPACE, check_name
from airflow_provider_dataflow.local.state.clock import rfc3339
from airflow_provider_dataflow.local.state.objects.storage import BucketNotEmpty

# Fields that the creator of a bucket may set, with their defaults.
_SETTINGS: Mapping[str, object] = {
    "metadata": {},
    "publicAccessType": "NoPublicAccess",
    "storageTier": "Standard",
    "objectEventsEnabled": False,
    "freeformTags": {},
    "definedTags": {},
    "kmsKeyId": None,
    "isBucketKeyEnabled": None,
    "versioning": "Disabled",
    "autoTiering": "Disabled",
    "bucketScope": "NAMESPACE",
}
_CHECKS: Mapping[str, Check] = {
    "metadata": check_map_of_texts,
    "publicAccessType": check_text,
    "storageTier": check_text,
    "freeformTags": check_map_of_texts,
    "definedTags": check_defined_tags,
    "kmsKeyId": check_text,
    "versioning": one_of(("Enabled", "Disabled")),
    "autoTiering": check_text,
}
_SUMMARY_FIELDS = ("namespace", "name", "compartmentId", "createdBy", "timeCreated", "etag", "bucketScope")
_TAGS = ("freeformTags", "definedTags")


class BucketsApi:
    def __init__(self, context: ObjectContext) -> None:
        self.context = context

    def routes(self) -> Iterator[Route]:
        one = "/n/{namespace}/b/{bucket}"
        yield Route("GetNamespace", "GET", "/n", self.namespace)
        yield Route("GetNamespaceMetadata", "GET", "/n/{namespace}", self.namespace_metadata)
        yield Route("ListBuckets", "GET", "/n/{namespace}/b", self.list_page)
        yield Route("CreateBucket", "POST", "/n/{namespace}/b", self.create)
        yield Route("GetBucket", "GET", one, self.get)
        yield Route("HeadBucket", "HEAD", one, self.head)
        yield Route("DeleteBucket", "DELETE", one, self.delete)

    def namespace(self, request: Request) -> Response:
        return Response.of_json(DEFAULT_NAMESPACE)

    def namespace_metadata(self, request: Request, namespace: str) -> Response:
        tenancy = caller(request).tenancy
        body = {
            "namespace": namespace,
            "defaultS3CompartmentId": tenancy,
            "defaultSwiftCompartmentId": tenancy,
        }
        return Response.of_json(body)

    def list_page(self, request: Request, namespace: str) -> Response:
        query = request.query()
        compartment = query.get("compartmentId")
        if not compartment:
            raise ApiError(400, "MissingCompartmentId", "compartmentId is required.")
        limit = page_limit(request)
        fields = _SUMMARY_FIELDS + (_TAGS if query.get("fields") == "tags" else ())
        names = [uri.bucket for uri in self.context.storage.buckets.all() if uri.namespace == namespace]
        bodies: list[JSON] = []
        next_page = None
        for name in sorted(names):
            body = self._body(namespace, name, compartment)
            if name <= query.get("page", "") or body["compartmentId"] != compartment:
                continue
            if len(bodies) == limit:
                next_page = bodies[-1]["name"]
                break
            bodies.append({field: body[field] for field in fields})
        headers = {} if next_page is None else {"opc-next-page": next_page}
        return Response.of_json(bodies, headers=headers)

    def create(self, request: Request, namespace: str) -> Response:
        details = request.json()
        for field, check in _CHECKS.items():
            if details.get(field) is not None:
                check(field, details[field])
        name = required_text(details, "name")
        compartment = required_text(details, "compartmentId")
        try:
            check_name(namespace, "namespace")
        except ValueError as e:
            raise ApiError(400, "InvalidNamespaceName", f"{e}.") from None
        record = {
            **{field: details[field] for field in _SETTINGS if details.get(field) is not None},
            "compartmentId": compartment,
            "createdBy": caller(request).user,
            "timeCreated": rfc3339(self.context.now()),
            "etag": str(uuid.uuid4()),
        }
        try:
            is_new = self.context.storage.create_bucket(namespace, name, record)
        except ValueError as e:
            raise ApiError(400, "InvalidBucketName", f"{e}.") from None
        if not is_new:
            message = (
                f"Either the bucket '{name}' in namespace '{namespace}' already exists or you are not "
                "authorized to create it"
            )
            raise ApiError(409, "BucketAlreadyExists", message)
        return self._resource(namespace, name, compartment)

    def get(self, request: Request, namespace: str, bucket: str) -> Response:
        self.context.files(namespace, bucket)
        return self._resource(namespace, bucket, caller(request).tenancy)

    def head(self, request: Request, namespace: str, bucket: str) -> Response:
        self.context.files(namespace, bucket)
        body = self._body(namespace, bucket, caller(request).tenancy)
        return Response(200, {"etag": body["etag"]})

    def delete(self, request: Request, namespace: str, bucket: str) -> Response:
        self.context.files(namespace, bucket)
        if any(self.context.storage.preauthenticated_requests.of_bucket(namespace, bucket)):
            message = f"Bucket named '{bucket}' has pre-authenticated requests. Delete them first."
            raise ApiError(409, "PreauthenticatedRequestStillExists", message)
        try:
            self.context.storage.delete_bucket(namespace, bucket)
        except BucketNotEmpty:
            message = f"Bucket named '{bucket}' is not empty. Delete all objects and multipart uploads first."
            raise ApiError(409, "BucketNotEmpty", message) from None
        return Response(204)

    def _resource(self, namespace: str, bucket: str, compartment: str) -> Response:
        body = self._body(namespace, bucket, compartment)
        return Response.of_json(body, headers={"etag": body["etag"]})

    def _body(self, namespace: str, bucket: str, compartment: str) -> JSON:
        """Return a bucket.

        :param compartment: compartment of a bucket that was not created with the API, as a folder has none
        :raises ApiError: 404, it was deleted meanwhile
        """
        record = self.context.storage.bucket_record(namespace, bucket)
        try:
            folder = self.context.storage.buckets.path(namespace, bucket)
            status = folder.stat()
        except (ValueError, OSError):
            raise bucket_not_found(namespace, bucket) from None
        defaults = {
            "compartmentId": compartment,
            "createdBy": compartment,
            "timeCreated": rfc3339(status.st_mtime),
            "etag": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{folder}:{status.st_ino}")),
        }
        return {
            "namespace": namespace,
            "name": bucket,
            **_SETTINGS,
            **defaults,
            **record,
            "id": f"ocid1.bucket.oc1..{uuid.uuid5(uuid.NAMESPACE_URL, f'oci://{bucket}@{namespace}').hex}",
            "isReadOnly": False,
            "replicationEnabled": False,
            "objectLifecyclePolicyEtag": None,
            "approximateCount": None,
            "approximateSize": None,
        }
