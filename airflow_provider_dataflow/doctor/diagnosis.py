"""Diagnosis: calls the steps in order, and skips those that need a step that has failed."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_dataflow.client.connection_diagnosis import explain
from airflow_provider_dataflow.doctor.buckets import BUCKET_STEPS
from airflow_provider_dataflow.doctor.examination import Examination, Found, Missing, NotChecked, Step
from airflow_provider_dataflow.doctor.report import Finding, Report, Status
from airflow_provider_dataflow.doctor.resources import APPLICATION_STEP, RESOURCE_STEPS
from airflow_provider_dataflow.doctor.rights import RIGHTS_STEPS
from airflow_provider_dataflow.doctor.sign_in import SIGN_IN_STEPS
from airflow_provider_dataflow.exceptions import DataFlowError, ServiceError

STEPS = (*SIGN_IN_STEPS, *RIGHTS_STEPS, APPLICATION_STEP, *BUCKET_STEPS, *RESOURCE_STEPS)


def diagnose(examination: Examination, steps: Sequence[Step] = STEPS) -> Report:
    """Return the findings of all steps. Blocks while it sends requests."""
    findings: list[Finding] = []
    # A step with nothing to check blocks no other: a service without a header Date may refuse the sign-in.
    blocked: set[str] = set()
    for step in steps:
        lacking = [name for name in step.needs if name in blocked]
        if lacking:
            findings.append(Finding(step.name, Status.SKIPPED, f"needs {' and '.join(lacking)}"))
        else:
            findings.append(_finding(step, examination))
        if lacking or findings[-1].status == Status.MISSING:
            blocked.add(step.name)
    return Report(findings)


def _finding(step: Step, examination: Examination) -> Finding:
    try:
        found = step.check(examination)
        if isinstance(found, Found):
            return Finding(step.name, Status.OK, found.reason, list(found.policies))
        return Finding(step.name, Status.OK, found)
    except Missing as missing:
        return Finding(step.name, Status.MISSING, missing.reason, list(missing.policies))
    except NotChecked as not_checked:
        return Finding(step.name, Status.SKIPPED, str(not_checked))
    except ServiceError as error:
        return Finding(step.name, Status.MISSING, explain(error, examination.hook.access))
    except DataFlowError as error:
        return Finding(step.name, Status.MISSING, str(error))
