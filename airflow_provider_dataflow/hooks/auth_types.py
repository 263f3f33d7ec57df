"""Values of ``auth_type`` in hooks, operators and connections."""

from __future__ import annotations

API_KEY = "api_key"
#: They read files on the worker.
FILE_AUTH_TYPES = ("config_file", "security_token")
#: They use the identity of the machine, resource or pod that the worker runs on.
AMBIENT_AUTH_TYPES = (
    "instance_principal",
    "resource_principal",
    "oke_workload_identity",
    "instance_principal_delegation",
    "resource_principal_delegation",
)
AUTH_TYPES = (API_KEY, *FILE_AUTH_TYPES, *AMBIENT_AUTH_TYPES)
