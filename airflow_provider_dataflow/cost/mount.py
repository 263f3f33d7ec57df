"""Where Airflow's UI finds the page. Every process of Airflow imports this, so it imports nothing."""

from __future__ import annotations

from typing import Any

URL_PREFIX = "/oci-data-flow"
#: Relative to Airflow's own address, which may have a path.
HREF = f"{URL_PREFIX.removeprefix('/')}/cost"


class CostPage:
    """ASGI application that imports the page at the first request, in the API server alone."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        import asyncio
        from importlib import import_module

        # In a thread, since it reads files.
        web = await asyncio.to_thread(import_module, "airflow_provider_dataflow.cost.web")
        await web.app(scope, receive, send)


FASTAPI_APP = {"app": CostPage(), "url_prefix": URL_PREFIX, "name": "OCI Data Flow: usage and cost"}

#: Entry of the menu *Browse*, since Airflow 3.1. Airflow 3.0 has menu entries only for plugins of Airflow 2.
EXTERNAL_VIEW = {
    "name": "Data Flow cost",
    "href": HREF,
    "destination": "nav",
    "category": "browse",
    "url_route": "oci-data-flow-cost",
}
