"""All operations of Object Storage."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_provider_dataflow.local.api.object_storage.buckets import BucketsApi
from airflow_provider_dataflow.local.api.object_storage.context import ObjectContext
from airflow_provider_dataflow.local.api.object_storage.objects import ObjectsApi
from airflow_provider_dataflow.local.http.messages import Route


def object_storage_routes(context: ObjectContext) -> Iterator[Route]:
    yield from BucketsApi(context).routes()
    yield from ObjectsApi(context).routes()
