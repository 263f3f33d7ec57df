from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_dataflow.models import policy_statements
from airflow_provider_dataflow.models.policy_statements import (
    DYNAMIC_GROUP,
    MANAGE_OBJECTS,
    MANAGE_RUNS,
    SERVICE_READS_LOGS,
    STATEMENTS,
    statement_for,
    workload_subject,
)

PAGE = Path(__file__).parents[3] / "docs" / "howto" / "iam-policies.md"
COMPARTMENT = "ocid1.compartment.oc1..aaaa"


def test_page_shows_the_same_statements():
    shown = re.findall(r"^allow .*$", PAGE.read_text(), re.MULTILINE)
    with_two_conditions = statement_for(MANAGE_OBJECTS, workload_subject())
    assert sorted(set(shown)) == sorted([*STATEMENTS, with_two_conditions])


def test_every_statement_is_listed():
    constants = {value for value in vars(policy_statements).values() if str(value).startswith("allow ")}
    assert constants == set(STATEMENTS)


@pytest.mark.parametrize(
    ("statement", "arguments", "expected"),
    [
        (MANAGE_RUNS, {}, MANAGE_RUNS),
        (
            MANAGE_RUNS,
            {"compartment_id": COMPARTMENT},
            f"allow group <airflow> to manage dataflow-run in compartment id {COMPARTMENT}",
        ),
        (
            MANAGE_RUNS,
            {"compartment_id": "ocid1.tenancy.oc1..aaaa", "subject": DYNAMIC_GROUP},
            "allow dynamic-group <airflow> to manage dataflow-run in tenancy",
        ),
        (
            MANAGE_RUNS,
            {"subject": workload_subject("airflow", "worker", "ocid1.cluster.oc1..aaaa")},
            "allow any-user to manage dataflow-run in compartment <compartment> where all "
            "{request.principal.type = 'workload', request.principal.namespace = 'airflow', "
            "request.principal.service_account = 'worker', "
            "request.principal.cluster_id = 'ocid1.cluster.oc1..aaaa'}",
        ),
        (
            MANAGE_OBJECTS,
            {"subject": workload_subject(), "compartment_id": COMPARTMENT, "bucket": "logs"},
            f"allow any-user to manage objects in compartment id {COMPARTMENT} where all "
            "{request.principal.type = 'workload', request.principal.namespace = '<namespace>', "
            "request.principal.service_account = '<account>', "
            "request.principal.cluster_id = '<cluster OCID>', target.bucket.name = 'logs'}",
        ),
        (
            SERVICE_READS_LOGS,
            {"subject": DYNAMIC_GROUP, "compartment_id": COMPARTMENT, "bucket": "logs"},
            "allow service dataflow to read objects in tenancy where target.bucket.name = 'logs'",
        ),
    ],
)
def test_what_is_known_is_filled_in(statement, arguments, expected):
    assert statement_for(statement, **arguments) == expected
