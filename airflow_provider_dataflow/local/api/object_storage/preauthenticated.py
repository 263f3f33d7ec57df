"""Operations of pre-authenticated requests, and access with their tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from airflow_provider_dataflow.local.api.object_storage.context import (
    ObjectContext,
    list_response,
    optional_text,
    required_text,
)
from airflow_provider_dataflow.local.api.resources import caller
from airflow_provider_dataflow.local.http.messages import (
    JSON,
    ApiError,
    Principal,
    Request,
    Response,
    Route,
    invalid,
)
from airflow_provider_dataflow.local.state.clock import from_rfc3339, rfc3339
from airflow_provider_dataflow.local.state.objects.preauthenticated_requests import PreauthenticatedRequest

_READS = frozenset({"GetObject", "HeadObject"})
_WRITES = frozenset({"PutObject"})
# Operations by access type, without the prefix "Any".
_OPERATIONS = {"ObjectRead": _READS, "ObjectWrite": _WRITES, "ObjectReadWrite": _READS | _WRITES}
_ACCESS_TYPES = (*_OPERATIONS, *(f"Any{name}" for name in _OPERATIONS))
_LISTING_ACTIONS = ("Deny", "ListObjects")


class PreauthenticatedRequestsApi:
    def __init__(self, context: ObjectContext) -> None:
        self.context = context
        self._requests = context.storage.preauthenticated_requests

    def routes(self) -> Iterator[Route]:
        all_ = "/n/{namespace}/b/{bucket}/p"
        one = f"{all_}/{{par_id}}"
        yield Route("CreatePreauthenticatedRequest", "POST", all_, self.create)
        yield Route("ListPreauthenticatedRequests", "GET", all_, self.list_page)
        yield Route("GetPreauthenticatedRequest", "GET", one, self.get)
        yield Route("DeletePreauthenticatedRequest", "DELETE", one, self.delete)

    def authorize(self, token: str, operation: str, values: Mapping[str, str]) -> Principal:
        """Return the user who created the pre-authenticated request of a token.

        :param operation: that the request asks for
        :param values: namespace, bucket and name of the object in its path
        :raises ApiError: 404, the token is unknown or expired, or does not allow this
        """
        made = self._requests.by_token(token)
        if made is None or made.expires <= self.context.now() or not _allows(made, operation, values):
            message = "The pre-authenticated request does not exist, is expired, or does not allow this."
            raise ApiError(404, "NotAuthenticated", message)
        return Principal(made.tenancy, made.user)

    def create(self, request: Request, namespace: str, bucket: str) -> Response:
        self.context.files(namespace, bucket)
        body = request.json()
        name, access_type = required_text(body, "name"), required_text(body, "accessType")
        object_name = optional_text(body, "objectName") or None
        listing = optional_text(body, "bucketListingAction") or "Deny"
        if access_type not in _ACCESS_TYPES:
            raise invalid(f"accessType must be one of {', '.join(_ACCESS_TYPES)}.")
        if listing not in _LISTING_ACTIONS:
            raise invalid(f"bucketListingAction must be one of {', '.join(_LISTING_ACTIONS)}.")
        if object_name is None and not access_type.startswith("Any"):
            raise invalid(f"objectName is required for the accessType {access_type}.")
        try:
            expires = from_rfc3339(required_text(body, "timeExpires"))
            rfc3339(expires)  # fails if it is after the year 9999 in UTC
        except (ValueError, OverflowError):
            raise invalid("timeExpires is not a valid time.") from None
        if expires <= self.context.now():
            raise invalid("timeExpires must be in the future.")
        user = caller(request)
        made, token = self._requests.add(
            name=name,
            namespace=namespace,
            bucket=bucket,
            object_name=object_name,
            access_type=access_type,
            lists_objects=listing == "ListObjects" and access_type.startswith("Any"),
            created=self.context.now(),
            expires=expires,
            tenancy=user.tenancy,
            user=user.user,
        )
        object_path = "" if access_type.startswith("Any") else quote(object_name or "", safe="")
        uri = f"/p/{token}/n/{namespace}/b/{bucket}/o/{object_path}"
        full = f"http://{request.headers.get('host')}{uri}"
        return Response.of_json({**_body(made), "accessUri": uri, "fullPath": full})

    def list_page(self, request: Request, namespace: str, bucket: str) -> Response:
        self.context.files(namespace, bucket)
        prefix = request.query().get("objectNamePrefix", "")
        bodies = [
            _body(made)
            for made in self._requests.of_bucket(namespace, bucket)
            if (made.object_name or "").startswith(prefix)
        ]
        return list_response(request, bodies)

    def get(self, request: Request, namespace: str, bucket: str, par_id: str) -> Response:
        return Response.of_json(_body(self._find(namespace, bucket, par_id)))

    def delete(self, request: Request, namespace: str, bucket: str, par_id: str) -> Response:
        self._requests.remove(self._find(namespace, bucket, par_id).id)
        return Response(204)

    def _find(self, namespace: str, bucket: str, par_id: str) -> PreauthenticatedRequest:
        self.context.files(namespace, bucket)
        for made in self._requests.of_bucket(namespace, bucket):
            if made.id == par_id:
                return made
        message = f"The pre-authenticated request '{par_id}' does not exist."
        raise ApiError(404, "PreauthenticatedRequestNotFound", message)


def _allows(made: PreauthenticatedRequest, operation: str, values: Mapping[str, str]) -> bool:
    if (made.namespace, made.bucket) != (values.get("namespace"), values.get("bucket")):
        return False
    if operation == "ListObjects":
        return made.lists_objects and not made.object_name
    if operation not in _OPERATIONS[made.access_type.removeprefix("Any")]:
        return False
    name = values.get("name", "")
    if made.access_type.startswith("Any"):
        return name.startswith(made.object_name or "")
    return name == made.object_name


def _body(made: PreauthenticatedRequest) -> JSON:
    return {
        "id": made.id,
        "name": made.name,
        "objectName": made.object_name,
        "bucketListingAction": "ListObjects" if made.lists_objects else "Deny",
        "accessType": made.access_type,
        "timeCreated": rfc3339(made.created),
        "timeExpires": rfc3339(made.expires),
    }
