"""Errors of Object Storage that several operations return."""

from __future__ import annotations

from airflow_provider_dataflow.local.http.messages import ApiError
from airflow_provider_dataflow.local.state.objects.object_names import UnusableName


def bucket_not_found(namespace: str, bucket: str) -> ApiError:
    message = (
        f"Either the bucket named '{bucket}' does not exist in the namespace '{namespace}' or you are not "
        "authorized to access it"
    )
    return ApiError(404, "BucketNotFound", message)


def object_not_found(bucket: str, name: str) -> ApiError:
    message = f"The object '{name}' was not found in the bucket '{bucket}'"
    return ApiError(404, "ObjectNotFound", message)


def invalid_object_name(error: UnusableName) -> ApiError:
    return ApiError(400, "InvalidObjectName", str(error))
