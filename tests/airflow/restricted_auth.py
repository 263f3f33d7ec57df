"""Auth manager for a test: DAGs named ``secret...`` are for admins, and the user ``nobody`` may read none."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class RestrictedAuthManager(SimpleAuthManager):
    """Airflow's simple auth manager with access per DAG."""

    def is_authorized_dag(self, *, user: Any, details: Any = None, **kwargs: Any) -> bool:
        if user.get_name() == "nobody":
            return False
        if details is not None and (details.id or "").startswith("secret") and user.role.lower() != "admin":
            return False
        return super().is_authorized_dag(user=user, details=details, **kwargs)
