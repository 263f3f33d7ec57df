"""Secrets of requests and runs that are registered with Airflow's masker."""

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
    """Registered secrets."""
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
        ({"code": "reader.option('password', 'hush-1').load()"}, None, {"hush-1"}),
        ({"code": 'spark.conf.set("spark.db.password", "hush-1")'}, None, {"hush-1"}),
        ({"code": 'os.environ["DB_PASSWORD"] = "hush-1"'}, None, {"hush-1"}),
        ({"code": 'df.select("token", "email").show()'}, None, set()),
        # Text that a template renders to, and values of an XCom or of native rendering.
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
        # Ordinary values, numbers and placeholders.
        ({"execute": "oci://b@n/a.py --password ${db_password}"}, None, set()),
        ({"configuration": {"spark.tokens.enabled": "true", "spark.token.renewals": "100000"}}, None, set()),
        ({"arguments": [1, None, "--password", 12345], "execute": None}, "not a dict", set()),
        ({"arguments": ["--token-type", "bearer", "--password", "{{ x }}"]}, None, set()),
    ],
)
def test_secrets_are_masked_and_ordinary_values_are_not(masked, arguments, json, secrets):
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
def test_value_is_masked_unless_it_is_ordinary_text(value, expected):
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
def test_secret_is_masked_in_all_printed_forms(masked, arguments, printed):
    masking.mask_secrets(arguments)
    assert set(printed) <= masked


def test_secret_shorter_than_airflows_limit_is_not_registered(masked, monkeypatch):
    """Airflow would log a warning."""
    masking.mask_secrets({"parameters": {"password": "hush"}})
    assert masked == set()
    monkeypatch.setattr(masking, "min_length_of_masked", lambda: 4)
    masking.mask_secrets({"parameters": {"password": "hush"}})
    assert masked == {"hush"}


def test_secrets_of_a_run_are_masked(masked):
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


def test_private_key_without_a_name_is_masked(masked):
    masking.mask_secrets(
        {"arguments": ["-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----"]}, None
    )
    assert masked == {"MIIEvQ"}


def test_attributes_of_a_rendered_operator_are_redacted():
    """OpenLineage's listener sends an operator's attributes, redacted by Airflow's masker."""
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
