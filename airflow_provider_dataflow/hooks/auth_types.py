"""The names of the ways to sign in, as the ``auth_type`` of a hook, an operator or a connection."""

from __future__ import annotations

API_KEY = "api_key"
#: They read files of the worker.
FILE_AUTH_TYPES = ("config_file", "security_token")
#: They use what the worker is, whoever it is.
AMBIENT_AUTH_TYPES = (
    "instance_principal",
    "resource_principal",
    "oke_workload_identity",
    "instance_principal_delegation",
    "resource_principal_delegation",
)
AUTH_TYPES = (API_KEY, *FILE_AUTH_TYPES, *AMBIENT_AUTH_TYPES)
