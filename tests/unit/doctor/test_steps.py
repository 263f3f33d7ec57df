"""Responses that Local Data Flow does not give."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from airflow_provider_dataflow.client import metastores
from airflow_provider_dataflow.doctor.diagnosis import STEPS, diagnose
from airflow_provider_dataflow.doctor.examination import Examination, Targets
from airflow_provider_dataflow.doctor.report import Status
from airflow_provider_dataflow.exceptions import ServiceError
from airflow_provider_dataflow.models.policy_statements import USE_METASTORE, statement_for
from airflow_provider_dataflow.models.run import Run
from tests.unit.support import COMPARTMENT_ID, RUN_ID, run_body

METASTORE_ID = "ocid1.datacatalogmetastore.oc1..aaaa"


def error(operation: str, status: int, **fields) -> ServiceError:
    return ServiceError(operation=operation, message="no", status=status, code="Code", **fields)


class FakeClient:
    """Fake of a service that creates a run without an application."""

    def __init__(self):
        self.cancelled = []

    def read(self, operation, read, call):
        assert operation == "CreateRun"
        return Run.from_api(run_body())

    def cancel_run(self, run_id):
        self.cancelled.append(run_id)


@pytest.fixture
def examination():
    access = SimpleNamespace(endpoint="https://dataflow.eu-frankfurt-1.oci.oraclecloud.com", region="eu")
    hook = SimpleNamespace(access=access, compartment_id=COMPARTMENT_ID, staging_uri=None)
    examination = Examination(hook, Targets(metastore_id=METASTORE_ID))
    examination.client = FakeClient()
    return examination


def finding(examination, name):
    """Return the finding of a step by itself."""
    (step,) = (SimpleNamespace(name=s.name, check=s.check, needs=()) for s in STEPS if s.name == name)
    return diagnose(examination, [step]).findings[0]


def test_run_that_is_created_after_all_is_cancelled(examination):
    found = finding(examination, "create-run")
    assert examination.client.cancelled == [RUN_ID]
    assert (found.status, RUN_ID in found.reason) == (Status.OK, True)


def test_clock_of_a_service_that_sends_no_date_is_not_checked(examination):
    examination.probe = error("GetRun", 404)
    assert finding(examination, "clock").status == Status.SKIPPED


def test_created_run_that_cannot_be_cancelled_is_named(examination, mocker):
    mocker.patch.object(examination.client, "cancel_run", side_effect=error("DeleteRun", 404))
    found = finding(examination, "create-run")
    assert found.status == Status.MISSING
    assert RUN_ID in found.reason
    assert "DeleteRun" in found.reason
    assert found.policies


def test_create_run_without_a_response_may_have_created_a_run(examination, mocker):
    mocker.patch.object(examination.client, "read", side_effect=error("CreateRun", None))
    found = finding(examination, "create-run")
    assert found.status == Status.MISSING
    assert "unknown whether a run was created" in found.reason
    assert "'airflow oci-data-flow doctor'" in found.reason


def test_sign_in_is_checked_without_a_clock(examination, mocker):
    """A proxy may drop the header Date; a refused sign-in must not be green then."""
    mocker.patch("airflow_provider_dataflow.doctor.sign_in.explain", return_value="no such key")
    examination.probe = error("GetRun", 401)
    steps = [step for step in STEPS if step.name in ("clock", "sign-in", "list-runs", "compartment")]
    steps = [
        dataclasses.replace(step, needs=[n for n in step.needs if n in ("clock", "sign-in")])
        for step in steps
    ]
    report = diagnose(examination, steps)
    found = {each.step: each.status for each in report.findings}
    assert (found["clock"], found["sign-in"], found["list-runs"]) == (
        Status.SKIPPED,
        Status.MISSING,
        Status.SKIPPED,
    )
    assert not report.is_ok


@pytest.mark.parametrize(
    ("state", "status"), [("ACTIVE", Status.OK), ("UPDATING", Status.OK), ("DELETED", Status.MISSING)]
)
def test_state_of_the_metastore(examination, mocker, state, status):
    mocker.patch.object(metastores, "metastore_state", return_value=state)
    found = finding(examination, "metastore")
    assert (found.status, list(found.policies)) == (status, [])
    assert found.reason.endswith(f"{METASTORE_ID} of --metastore-id is {state}")


def test_policy_for_the_metastore(examination, mocker):
    mocker.patch.object(metastores, "metastore_state", side_effect=error("GetMetastore", 404))
    found = finding(examination, "metastore")
    assert found.policies == [statement_for(USE_METASTORE, compartment_id=COMPARTMENT_ID)]
