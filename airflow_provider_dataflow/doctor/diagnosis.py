"""Diagnosis: calls the steps in order, and skips those that need a step that has failed."""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_dataflow.client.connection_diagnosis import explain
from airflow_provider_dataflow.doctor.buckets import BUCKET_STEPS
from airflow_provider_dataflow.doctor.examination import Examination, Missing, NotChecked, Step
from airflow_provider_dataflow.doctor.report import Finding, Report, Status
from airflow_provider_dataflow.doctor.resources import APPLICATION_STEP, RESOURCE_STEPS
from airflow_provider_dataflow.doctor.rights import RIGHTS_STEPS
from airflow_provider_dataflow.doctor.sign_in import SIGN_IN_STEPS
from airflow_provider_dataflow.exceptions import DataFlowError, ServiceError

STEPS = (*SIGN_IN_STEPS, *RIGHTS_STEPS, APPLICATION_STEP, *BUCKET_STEPS, *RESOURCE_STEPS)


def diagnose(examination: Examination, steps: Sequence[Step] = STEPS) -> Report:
    """Return the findings of all steps. Blocks while it sends requests."""
    findings: dict[str, Finding] = {}
    for step in steps:
        lacking = [name for name in step.needs if findings[name].status != Status.OK]
        if lacking:
            reason = f"needs {' and '.join(lacking)}"
            findings[step.name] = Finding(step.name, Status.SKIPPED, reason)
        else:
            findings[step.name] = _finding(step, examination)
    return Report(list(findings.values()))


def _finding(step: Step, examination: Examination) -> Finding:
    try:
        return Finding(step.name, Status.OK, step.check(examination))
    except Missing as missing:
        return Finding(step.name, Status.MISSING, missing.reason, list(missing.policies))
    except NotChecked as not_checked:
        return Finding(step.name, Status.SKIPPED, str(not_checked))
    except ServiceError as error:
        return Finding(step.name, Status.MISSING, explain(error, examination.hook.access))
    except DataFlowError as error:
        return Finding(step.name, Status.MISSING, str(error))
