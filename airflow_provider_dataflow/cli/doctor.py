"""``doctor``: checks a connection and its rights, step by step."""

from __future__ import annotations

import argparse

from airflow_provider_dataflow.cli.command import Command, Option, Result, UsageError
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.hooks.auth_types import AUTH_TYPES

_TARGETS = (
    ("--application-id", "OCID of the application of the runs; names buckets, pool and so on, too"),
    ("--compartment-id", "OCID of the compartment of the runs (default: of the connection)"),
    ("--logs-bucket-uri", "oci://bucket@namespace/ for the logs of runs (default: of the application)"),
    ("--staging-uri", "oci://bucket@namespace/prefix for local code (default: of the connection)"),
    ("--pool-id", "OCID of the pool (default: of the application)"),
    ("--metastore-id", "OCID of the metastore (default: of the application)"),
    ("--private-endpoint-id", "OCID of the private endpoint (default: of the application)"),
)
_SIGN_IN = (
    ("--region", "region, as in a task"),
    ("--service-endpoint", "URL of the service, as in a task"),
    ("--config-file", "the SDK's configuration file, as in a task"),
    ("--profile", "section of that file, as in a task"),
)


def _doctor(arguments: argparse.Namespace) -> Result:
    from airflow_provider_dataflow.doctor.diagnosis import diagnose
    from airflow_provider_dataflow.doctor.examination import Examination, Targets
    from airflow_provider_dataflow.hooks.server_hook import ServerHook

    def given(options: tuple[tuple[str, str], ...]) -> dict[str, str]:
        names = [flag.removeprefix("--").replace("-", "_") for flag, _ in options]
        return {name: value for name in names if (value := getattr(arguments, name))}

    try:
        targets = Targets(**given(_TARGETS), write_probe=arguments.write_probe)
    except InvalidArgument as error:
        raise UsageError(str(error)) from None
    hook = ServerHook(arguments.conn_id or None, auth_type=arguments.auth_type, **given(_SIGN_IN))
    report = diagnose(Examination(hook, targets))
    lines = [report.json()] if arguments.json else report.lines()
    return Result(lines, 0 if report.is_ok else 1)


DOCTOR = Command(
    name="doctor",
    help="check a connection and its rights, and print the policies that are missing",
    description="Sign in to OCI and check step by step what a task needs: connection, identity, endpoint, "
    "clock, compartment, the rights to list and to create runs, application, buckets, pool, metastore and "
    "private endpoint. For each missing right, print the policy statement to add. Starts no run. The exit "
    "code is 0 if all is well, 1 if something is missing, and 2 for wrong options.",
    run=_doctor,
    options=(
        Option(
            ("--conn-id",),
            {"default": "oci_default", "help": "Airflow connection; '' for none (default: %(default)s)"},
        ),
        *(Option((flag,), {"help": text}) for flag, text in _TARGETS),
        Option(
            ("--write-probe",),
            {"action": "store_true", "help": "also write and delete a small object in the buckets"},
        ),
        Option(("--auth-type",), {"choices": AUTH_TYPES, "help": "how to sign in, as in a task"}),
        *(Option((flag,), {"help": text}) for flag, text in _SIGN_IN),
        Option(("--json",), {"action": "store_true", "help": "print JSON"}),
    ),
)
