"""All operations of Object Storage."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_dataflow.local.api.object_storage.buckets import BucketsApi
from airflow_provider_dataflow.local.api.object_storage.context import ObjectContext
from airflow_provider_dataflow.local.api.object_storage.multipart import MultipartApi
from airflow_provider_dataflow.local.api.object_storage.object_actions import ObjectActionsApi
from airflow_provider_dataflow.local.api.object_storage.objects import ObjectsApi
from airflow_provider_dataflow.local.api.object_storage.paths import split_object_path, split_token
from airflow_provider_dataflow.local.api.object_storage.preauthenticated import PreauthenticatedRequestsApi
from airflow_provider_dataflow.local.api.object_storage.work_requests import ObjectWorkRequestsApi
from airflow_provider_dataflow.local.http.messages import Principal, Request, Route, Router
from airflow_provider_dataflow.local.state.objects.object_copies import ObjectCopies
from airflow_provider_dataflow.local.state.objects.storage import ObjectStorage


class ObjectStorageApi:
    """Operations of Object Storage by method and path.

    :param now: returns the time of the service's clock
    """

    def __init__(self, storage: ObjectStorage, now: Callable[[], float]) -> None:
        self._storage = storage
        self._copies = ObjectCopies(storage, now)
        context = ObjectContext(storage, self._copies, now)
        self._preauthenticated = PreauthenticatedRequestsApi(context)
        self.router = Router(
            [
                *BucketsApi(context).routes(),
                *ObjectsApi(context).routes(),
                *ObjectActionsApi(context).routes(),
                *MultipartApi(context).routes(),
                *self._preauthenticated.routes(),
                *ObjectWorkRequestsApi(context).routes(),
            ]
        )

    def recover(self) -> None:
        """Clean up after requests that the end of an earlier server has interrupted."""
        self._storage.recover()
        self._copies.recover()

    def reset(self) -> None:
        """Forget everything except buckets and objects."""
        self._storage.reset()
        self._copies.reset()

    def find(self, request: Request) -> tuple[Route, dict[str, str]]:
        """Return the operation of a request, and the values in its path.

        :raises ApiError: there is no such operation
        """
        _, path = split_token(request.path)
        return self.router.find(request.method, split_object_path(path))

    def authorize(self, request: Request, route: Route, values: dict[str, str]) -> Principal | None:
        """Return the creator of the pre-authenticated request; ``None`` if the request must be signed.

        :raises ApiError: 404, the request has a token that does not allow it
        """
        token, _ = split_token(request.path)
        return None if token is None else self._preauthenticated.authorize(token, route.operation, values)
