"""The page in Airflow's API server: who may see it, and the application that Airflow mounts."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException

from airflow_provider_dataflow.compat import browsers_send_token, database_session
from airflow_provider_dataflow.cost.page import (
    DEFAULT_PERIOD,
    PERIODS,
    content_security_policy,
    message_page,
    usage_page,
)
from airflow_provider_dataflow.cost.recorded import report

#: From the path of the page to Airflow's own login, whatever the path of Airflow.
LOGIN = "../api/v2/auth/login"

app = FastAPI(title="Data Flow usage and cost", openapi_url=None)


# The access that Airflow asks for to list XComs; with a dag_id, newer releases ask for that of the DAG.
@app.get("/cost", dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.XCOM))])
def cost(
    user: GetUserDep,
    days: Annotated[str, Query()] = str(DEFAULT_PERIOD),
    dag_id: Annotated[str, Query()] = "",
) -> HTMLResponse:
    """Return the page with the DAGs that the user may read. Runs in a thread, since it reads the database."""
    period = next((each for each in PERIODS if str(each) == days), DEFAULT_PERIOD)
    readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    if dag_id:
        readable = readable & {dag_id}
    with database_session() as session:
        found = report(session, readable, period)
    return _response(usage_page(found, period, dag_id or None))


@app.exception_handler(HTTPException)
async def explain(request: Request, error: HTTPException) -> HTMLResponse:
    """Return a page that says why the user does not see anything."""
    if error.status_code == 401:
        page = message_page(
            "Not signed in",
            "Sign in to Airflow to see this page.",
            sign_in=f"{LOGIN}?{urlencode({'next': str(request.url)})}",
            script=not browsers_send_token(),
        )
    elif error.status_code == 403:
        page = message_page("No access", "You may not read the XComs of DAGs, or of this DAG.")
    else:
        page = message_page("Nothing here", f"This address has no page ({error.status_code}).")
    return _response(page, error.status_code)


def _response(page: str, status: int = 200) -> HTMLResponse:
    headers = {
        "cache-control": "no-store",
        "content-security-policy": content_security_policy(),
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
    }
    return HTMLResponse(page.encode("utf-8", "replace"), status, headers)
