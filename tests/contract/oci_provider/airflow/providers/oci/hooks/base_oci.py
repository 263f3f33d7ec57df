"""Hook of the stand-in: it knows the fields of its own form only, and its test sends no request."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import BaseHook

FIELDS = ("tenancy", "fingerprint", "private_key_content", "region", "compartment_id")


class OciBaseHook(BaseHook):
    conn_name_attr = "oci_conn_id"
    default_conn_name = "oci_default"
    conn_type = "oci"
    hook_name = "Oracle Cloud Infrastructure (OCI)"

    def __init__(self, oci_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.oci_conn_id = oci_conn_id

    def test_connection(self) -> tuple[bool, str]:
        extra = self.get_connection(self.oci_conn_id).extra_dejson
        missing = [name for name in FIELDS if not extra.get(name)]
        return not missing, f"tested by {type(self).__name__}; missing: {missing}"
