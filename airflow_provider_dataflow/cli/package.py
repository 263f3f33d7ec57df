"""``package``: builds the dependency archive of requirements, and uploads it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_dataflow.cli.command import Command, Option
from airflow_provider_dataflow.exceptions import InvalidArgument

if TYPE_CHECKING:
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.staging.python_target import PythonTarget
    from airflow_provider_dataflow.staging.requirements import Requirements


def _package(arguments: argparse.Namespace) -> list[str]:
    from airflow_provider_dataflow.staging.dependencies import DependencyArchive

    hook = _hook(arguments)
    archive = DependencyArchive.resolve(_requirements(arguments), _target(arguments, hook))
    lines = []
    print(f"{archive.target}: {', '.join(archive.packages)}", file=sys.stderr)
    if arguments.output or hook is None:
        output = Path(arguments.output or "archive.zip")
        try:
            archive.write(output)
        except OSError as error:
            raise InvalidArgument("--output", f"cannot write {output}: {error}") from None
        lines.append(str(output))
    if hook is not None:
        from airflow_provider_dataflow.staging.stager import Stager

        staging_uri = arguments.staging_uri or hook.staging_uri
        if not staging_uri:
            raise InvalidArgument(
                "--staging-uri", "missing: give it here, in the connection, or as [oci_data_flow] staging_uri"
            )
        lines.append(archive.stage(Stager(hook.object_storage, staging_uri)))
    return lines


def _hook(arguments: argparse.Namespace) -> DataFlowHook | None:
    """Return the hook of the connection for an upload; ``None`` without one."""
    if not arguments.upload:
        return None
    from airflow_provider_dataflow.hooks.server_hook import ServerHook

    return ServerHook(oci_conn_id=arguments.conn_id)


def _requirements(arguments: argparse.Namespace) -> Requirements:
    from airflow_provider_dataflow.staging.requirements import Requirements

    if arguments.file and arguments.requirement:
        raise InvalidArgument("requirement", "give requirements or --file, not both")
    if arguments.file:
        return Requirements.of_file(Path(arguments.file), argument="--file")
    return Requirements.of_list(arguments.requirement, "requirement")


def _target(arguments: argparse.Namespace, hook: DataFlowHook | None) -> PythonTarget:
    from airflow_provider_dataflow.client.local_service import is_local_service, local_python_version
    from airflow_provider_dataflow.staging.python_target import PythonTarget, target_of_run

    if hook is not None and is_local_service(hook.access.endpoint):
        found = PythonTarget(local_python_version(hook.access.endpoint))
    else:
        found = target_of_run(arguments.spark_version, arguments.shape)
    return PythonTarget(arguments.python or found.python, arguments.platform or found.platform)


PACKAGE = Command(
    name="package",
    help="build the archive with the Python packages of an application",
    description="Build an archive with all Python packages that an application needs besides Spark, for the "
    "Python and the platform of its runs, and print its file or its oci:// URI, for archive_uri. The "
    "operator's argument requirements does the same by itself.",
    run=_package,
    options=(
        Option(("requirement",), {"nargs": "*", "help": "requirement such as humanize==4.9.0"}),
        Option(("-f", "--file"), {"help": "requirements file, instead of requirements"}),
        Option(("-o", "--output"), {"help": "file to write (default without --upload: archive.zip)"}),
        Option(
            ("--spark-version",),
            {"help": "Spark of the runs, which tells their Python (default: the newest)"},
        ),
        Option(("--shape",), {"help": "shape of the runs, which tells their processor (default: x86_64)"}),
        Option(("--python",), {"help": "version of Python, instead of that of Spark, for example 3.11"}),
        Option(
            ("--platform",),
            {"help": "platform as uv names it, for example x86_64-manylinux_2_28 (default: manylinux_2_17)"},
        ),
        Option(
            ("--upload",),
            {"action": "store_true", "help": "upload the archive, unless it is there, and print its URI"},
        ),
        Option(
            ("--staging-uri",),
            {"help": "oci://bucket@namespace/prefix (default: of the connection or Airflow's configuration)"},
        ),
        Option(
            ("--conn-id",), {"default": "oci_default", "help": "Airflow connection (default: %(default)s)"}
        ),
    ),
)
