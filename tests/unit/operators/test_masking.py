"""What of a request Airflow is told to mask."""

from __future__ import annotations

import pendulum
import pytest
from airflow.providers.common.compat.sdk import redact
from airflow.sdk import DAG

from airflow_provider_dataflow.operators import masking
from airflow_provider_dataflow.operators.run import InvokeRunOperator


@pytest.fixture
def masked(mocker) -> set[str]:
    masked: set[str] = set()
    mocker.patch.object(masking, "mask_secret", side_effect=masked.add)
    return masked


@pytest.mark.parametrize(
    ("arguments", "json", "secrets"),
    [
        ({"parameters": {"db_password": "hush", "month": "2013-01"}}, None, {"hush"}),
        ({"parameters": [{"name": "db_password", "value": "hush"}]}, None, {"hush"}),
        (
            {"configuration": {"spark.hadoop.password": "hush", "spark.executor.cores": "2"}},
            {"configuration": {"spark.hadoop.fs.client.auth.passphrase": "hash"}},
            {"hush", "hash"},
        ),
        ({"arguments": ["--api-token", "hush", "--month", "2013-01", "secret=hash"]}, None, {"hush", "hash"}),
        (
            {"execute": "--conf spark.a.password=hush oci://b@n/a.py --token 'ha sh' --month 2013-01"},
            None,
            {"hush", "ha sh"},
        ),
        ({"execute": 'oci://b@n/a.py \'{"password": "hush"}\''}, None, {"hush"}),
        ({"archive_uri": "https://me:hush@example.com/a.zip"}, None, {"hush"}),
        ({"execute": "oci://b@n/a.py --password ${db_password}"}, None, set()),
        ({"configuration": {"spark.tokens.enabled": "true", "spark.token.renewals": "100000"}}, None, set()),
        ({"arguments": [1, None, "--password", 12345], "execute": None}, "no mapping", set()),
        ({"arguments": "--password hush", "parameters": "x", "configuration": 3}, None, set()),
    ],
)
def test_secrets_are_masked_and_settings_are_not(masked, arguments, json, secrets):
    masking.mask_secrets(arguments, json)
    assert masked == secrets


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
