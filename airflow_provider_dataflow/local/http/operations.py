"""Names of the API's operations, as faults and the journal use them."""

from __future__ import annotations

from fnmatch import fnmatchcase

DATA_FLOW_OPERATIONS = (
    "CascadingDeleteApplication",
    "ChangeApplicationCompartment",
    "ChangePoolCompartment",
    "ChangePrivateEndpointCompartment",
    "ChangeRunCompartment",
    "ChangeSqlEndpointCompartment",
    "CreateApplication",
    "CreatePool",
    "CreatePrivateEndpoint",
    "CreateRun",
    "CreateSqlEndpoint",
    "CreateStatement",
    "DeleteApplication",
    "DeletePool",
    "DeletePrivateEndpoint",
    "DeleteRun",
    "DeleteSqlEndpoint",
    "DeleteStatement",
    "GetApplication",
    "GetPool",
    "GetPrivateEndpoint",
    "GetRun",
    "GetRunLog",
    "GetSqlEndpoint",
    "GetStatement",
    "GetWorkRequest",
    "ListApplications",
    "ListPools",
    "ListPrivateEndpoints",
    "ListRunLogs",
    "ListRuns",
    "ListSqlEndpoints",
    "ListStatements",
    "ListWorkRequestErrors",
    "ListWorkRequestLogs",
    "ListWorkRequests",
    "StartPool",
    "StartSqlEndpoint",
    "StopPool",
    "StopSqlEndpoint",
    "UpdateApplication",
    "UpdatePool",
    "UpdatePrivateEndpoint",
    "UpdateRun",
    "UpdateSqlEndpoint",
)

OBJECT_STORAGE_OPERATIONS = (
    "AbortMultipartUpload",
    "BatchDeleteObjects",
    "CancelWorkRequest",
    "CommitMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateMultipartUpload",
    "CreatePreauthenticatedRequest",
    "DeleteBucket",
    "DeleteObject",
    "DeletePreauthenticatedRequest",
    "GetBucket",
    "GetNamespace",
    "GetNamespaceMetadata",
    "GetObject",
    "GetPreauthenticatedRequest",
    "GetWorkRequest",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploadParts",
    "ListMultipartUploads",
    "ListObjects",
    "ListPreauthenticatedRequests",
    "ListWorkRequestErrors",
    "ListWorkRequestLogs",
    "ListWorkRequests",
    "PutObject",
    "RenameObject",
    "UploadPart",
)
# Both APIs have work requests.
OPERATIONS = tuple(sorted({*DATA_FLOW_OPERATIONS, *OBJECT_STORAGE_OPERATIONS}))


def matches_any_operation(pattern: str) -> bool:
    """Return whether a shell pattern such as ``*Run`` matches the name of at least one operation."""
    return any(fnmatchcase(operation, pattern) for operation in OPERATIONS)
