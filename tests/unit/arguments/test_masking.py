"""What of a request Airflow is told to mask."""

from __future__ import annotations

import pendulum
import pytest
from airflow.providers.common.compat.sdk import redact
from airflow.sdk import DAG

from airflow_provider_dataflow.arguments import masking
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from tests.unit.support import run_body


@pytest.fixture
def masked(mocker) -> set[str]:
    masked: set[str] = set()
    mocker.patch.object(masking, "mask_secret", side_effect=masked.add)
    return masked


@pytest.mark.parametrize(
    ("arguments", "json", "secrets"),
    [
        ({"parameters": {"db_password": "hush-1", "month": "2013-01"}}, None, {"hush-1"}),
        ({"parameters": [{"name": "db_password", "value": "hush-1"}]}, None, {"hush-1"}),
        (
            {"configuration": {"spark.hadoop.password": "hush-1", "spark.executor.cores": "2"}},
            {"configuration": {"spark.hadoop.fs.client.auth.passphrase": "hash-2"}},
            {"hush-1", "hash-2"},
        ),
        (
            {"arguments": ["--api-token", "hush-1", "--month", "2013-01", "secret=hash-2"]},
            None,
            {"hush-1", "hash-2"},
        ),
        (
            {"execute": "--conf spark.a.password=hush-1 oci://b@n/a.py --token 'ha sh' --month 2013-01"},
            None,
            {"hush-1", "ha sh"},
        ),
        ({"execute": 'oci://b@n/a.py \'{"password": "hush-1"}\''}, None, {"hush-1"}),
        ({"archive_uri": "https://me:hush-1@example.com/a.zip"}, None, {"hush-1"}),
        ({"code": "connect(password='hush-1')"}, None, {"hush-1"}),
        # As text, which is what a template renders to, and as an XCom or native rendering has it.
        ({"parameters": '{"db_password": "hush-1"}'}, None, {"hush-1"}),
        ({"parameters": '[{"name": "db_password", "value": "hush-1"}]'}, None, {"hush-1"}),
        ({"parameters": "[{'name': 'db_password', 'value': 'hush-1'}]"}, None, {"hush-1"}),
        ({"arguments": '["--token", "hush-1"]'}, None, {"hush-1"}),
        ({"arguments": "--password hush-1", "parameters": "x", "configuration": 3}, None, {"hush-1"}),
        ({"arguments": ("--token", "hush-1")}, None, {"hush-1"}),
        ({}, '{"arguments": ["--token", "hush-1"]}', {"hush-1"}),
        ({}, {"execute": "a.py --token hush-1"}, {"hush-1"}),
        ({}, {"parameters": [{"name": "pwd", "value": "hush-1"}]}, {"hush-1"}),
        ({"parameters": {"password": 1234567890}}, None, {"1234567890"}),
        ({"configuration": {"spark.a.credentials": '{"user": "x", "pin": "hush-1"}'}}, None, None),
        ({"configuration": {"spark.connection_string": "Server=x;Password=hush-1"}}, None, None),
        # Settings, sizes and what is filled in later.
        ({"execute": "oci://b@n/a.py --password ${db_password}"}, None, set()),
        ({"configuration": {"spark.tokens.enabled": "true", "spark.token.renewals": "100000"}}, None, set()),
        ({"arguments": [1, None, "--password", 12345], "execute": None}, "no mapping", set()),
        ({"arguments": ["--token-type", "bearer", "--password", "{{ x }}"]}, None, set()),
    ],
)
def test_secrets_are_masked_and_settings_are_not(masked, arguments, json, secrets):
    masking.mask_secrets(arguments, json)
    if secrets is None:
        assert "hush-1" in masked
    else:
        assert masked == secrets


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("hunter2", True),
        ("swordfish", True),
        ("12345678", True),
        ("#!%&/()", True),
        ("2026-01-01x", True),
        ("abcd", False),
        ("1234567", False),
        ("12.5", False),
        ("2026-01-01", False),
        ("2026-01-01T00:00:00+00:00", False),
        ("true", False),
        ("Bearer", False),
        ("SUCCEEDED", False),
        ("python", False),
        ("ocid1.vaultsecret.oc1.iad.aaaa", False),
        ("${db_password}", False),
        ("{{ var.value.x }}", False),
    ],
)
def test_ordinary_text_of_a_log_is_not_masked(value, expected):
    assert masking.is_maskable(value) is expected


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        ({"parameters": {"password": 'a"b\\c-1'}}, ['a"b\\c-1', 'a\\"b\\\\c-1']),
        ({"parameters": {"password": "pässword-1"}}, ["pässword-1", "p\\u00e4ssword-1"]),
        ({"execute": "a.py --password 'a b\"c-1'"}, ['a b"c-1']),
        ({"execute": "a.py --password a\\ b-1"}, ["a b-1"]),
        ({"execute": "a.py --password=ab'c d'-1"}, ["abc d-1"]),
        ({"archive_uri": "https://me:p%40ss-1@example.com/a.zip"}, ["p@ss-1"]),
        ({"parameters": {"password": "line one\nline two"}}, ["line one", "line two"]),
        ({"arguments": '["--password", "a\\"b-1"]'}, ['a"b-1', 'a\\"b-1']),
    ],
)
def test_a_secret_is_masked_in_the_forms_in_which_it_is_printed(masked, arguments, printed):
    masking.mask_secrets(arguments)
    assert set(printed) <= masked


def test_too_short_for_airflows_masker_is_not_registered(masked, monkeypatch):
    """It would log a warning."""
    masking.mask_secrets({"parameters": {"password": "hush"}})
    assert masked == set()
    monkeypatch.setattr(masking, "min_length_of_masked", lambda: 4)
    masking.mask_secrets({"parameters": {"password": "hush"}})
    assert masked == {"hush"}


def test_the_secrets_of_a_run_are_masked(masked):
    run = Run.from_api(
        run_body(
            arguments=["--token", "hush-1"],
            parameters=[{"name": "password", "value": "hush-2"}],
            configuration={"spark.secret": "hush-3"},
            execute="a.py --pwd hush-4",
        )
    )
    masking.mask_secrets_of_run(run)
    assert masked == {"hush-1", "hush-2", "hush-3", "hush-4"}


def test_what_is_masked_is_what_a_log_would_not_show(masked):
    """A private key in an argument, without any name."""
    masking.mask_secrets(
        {"arguments": ["-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"]}, None
    )
    assert masked == {"MIIEvQ"}


def test_whatever_shows_a_rendered_operator_shows_no_secret():
    """OpenLineage's listener, for one, sends an operator's attributes, redacted by Airflow's masker."""
    with DAG("masked", schedule=None, start_date=pendulum.datetime(2013, 1, 1, tz="UTC")):
        task = InvokeRunOperator(
            task_id="run",
            execute="--conf spark.a.password={{ x }}-setting oci://b@n/a.py --api-token {{ x }}-argument",
            parameters=[{"name": "db_password", "value": "{{ x }}-parameter"}],
            json={"configuration": {"spark.hadoop.secret": "{{ x }}-conf"}},
        )
    task.render_template_fields({"x": "MARKED-8a1f"})
    shown = repr(vars(task))
    assert shown.count("MARKED-8a1f") >= 4
    assert "MARKED-8a1f" not in redact(shown)
