"""Steps that check the rights in the compartment of the runs."""

from __future__ import annotations

from uuid import uuid4

from airflow_provider_dataflow.doctor.examination import Examination, Missing, Step
from airflow_provider_dataflow.exceptions import InvalidArgument, ServiceError
from airflow_provider_dataflow.models.coercion import ocid
from airflow_provider_dataflow.models.policy_statements import MANAGE_RUNS, READ_RUNS
from airflow_provider_dataflow.models.run import Run

#: 403 and 404 both mean: it does not exist, or no policy allows it. OCI does not tell which.
DENIED = (403, 404)


def _compartment(examination: Examination) -> str:
    compartment_id = examination.compartment_id
    if not compartment_id:
        raise Missing(
            "there is none: set compartment_id in the connection, or give --compartment-id. Tasks can also "
            "have a compartment_id of their own."
        )
    try:
        ocid("compartment", "tenancy")(compartment_id, "compartment_id of the connection")
    except InvalidArgument as error:
        raise Missing(str(error)) from None
    return compartment_id


def _list_runs(examination: Examination) -> str:
    try:
        run = next(examination.client.list_runs(examination.compartment_id or ""), None)
    except ServiceError as error:
        if error.status not in DENIED:
            raise
        raise Missing(
            f"{error.summary}. The sign-in was accepted, so no policy allows to read runs there, or the "
            "compartment is not in this region's tenancy.",
            examination.policies(READ_RUNS),
        ) from None
    newest = f"; the newest run is {run.id}" if run else "; there are no runs"
    return f"ListRuns responds{newest}"


def _create_run(examination: Examination) -> str:
    """Check the right to create runs, by a CreateRun that names nothing to run.

    Each of its fields is valid, so the service must look at the request as a whole to refuse it: with 404 if
    the caller may not create runs, and with 400 if only the application is missing.
    """
    client, compartment_id = examination.client, examination.compartment_id
    details = {"compartmentId": compartment_id, "displayName": "airflow oci-data-flow doctor"}
    token = uuid4().hex
    try:
        run = client.read(
            "CreateRun", Run.from_api, lambda: client.sdk.create_run(details, opc_retry_token=token)
        )
    except ServiceError as error:
        if error.status == 400:
            return (
                "CreateRun of a request without an application was refused with 400 "
                f"{error.code or ''} and not with 404. No run was created"
            )
        if error.status is None or error.status < 300:
            raise Missing(
                f"{error.summary}. It is unknown whether a run was created: look for one with the name "
                f"{details['displayName']!r} in the compartment, and cancel it."
            ) from None
        if error.status not in DENIED:
            raise
        raise Missing(
            f"{error.summary}. A CreateRun without an application is refused with 400 if the caller may "
            "create runs.",
            examination.policies(MANAGE_RUNS),
        ) from None
    try:
        client.cancel_run(run.id)
    except ServiceError as error:
        raise Missing(
            f"CreateRun created the run {run.id}, although it names no application, and it could not be "
            f"cancelled ({error.summary}): cancel it.",
            examination.policies(MANAGE_RUNS),
        ) from None
    return f"CreateRun responded with the run {run.id}, although it names no application; it was cancelled"


RIGHTS_STEPS = (
    Step("compartment", _compartment, ("connection",)),
    Step("list-runs", _list_runs, ("sign-in", "compartment")),
    Step("create-run", _create_run, ("sign-in", "compartment")),
)
