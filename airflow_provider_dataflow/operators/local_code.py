"""Arguments of InvokeRunOperator for local code: checks, and the upload before a submit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.compat import bundle_folder
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.argument_values import is_given, is_literal
from airflow_provider_dataflow.models.coercion import raw_fields
from airflow_provider_dataflow.models.spark_submit import has_scheme

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run_request import RunRequest
    from airflow_provider_dataflow.ownership.acquire import Upload
    from airflow_provider_dataflow.staging.files import LocalFiles
    from airflow_provider_dataflow.staging.local_code import LocalCode
    from airflow_provider_dataflow.staging.stager import Stager

#: Arguments that say which code runs.
CODE_ARGUMENTS = (
    "application",
    "application_args",
    "py_files",
    "files",
    "jars",
    "archives",
    "java_class",
    "requirements",
)
#: All arguments of this module; templated.
LOCAL_CODE_ARGUMENTS = (*CODE_ARGUMENTS, "staging_uri")
#: Arguments that become part of the command line, so that there must be an ``application``.
OF_COMMAND_LINE = ("application_args", "java_class", "py_files", "files", "jars")
#: Arguments of the request, and their API names, that contradict ``application``.
CONTRADICTING = {
    "application_id": "applicationId",
    "arguments": "arguments",
    "execute": "execute",
    "parameters": "parameters",
}
#: Passes the checks of a request whose command line is not known yet.
PENDING_COMMAND = "oci://pending@upload/application"


class LocalCodeMixin:
    """Mixin of an operator with the arguments of :data:`LOCAL_CODE_ARGUMENTS` as attributes."""

    application: Any
    application_args: Any
    py_files: Any
    files: Any
    jars: Any
    archives: Any
    java_class: Any
    requirements: Any
    staging_uri: Any

    if TYPE_CHECKING:
        hook: DataFlowHook
        dag: Any

    def _code_given(self) -> list[str]:
        """Return the names of the given arguments that say which code runs."""
        values = {name: getattr(self, name) for name in CODE_ARGUMENTS}
        # An empty list asks for nothing.
        return [name for name, value in values.items() if is_given(value) and value not in ([], ())]

    def _check_local_code(self, request_arguments: Mapping[str, Any], json: Any) -> None:
        """Refuse arguments that contradict each other. Values that are not known yet are skipped.

        :param request_arguments: arguments of the request, by their names.
        :param json: raw body.
        :raises InvalidArgument: the message names both arguments.
        """
        given = {name for name in self._code_given() if is_literal(getattr(self, name))}
        if "application" in given:
            for other in _contradicting(request_arguments, json):
                raise InvalidArgument(
                    "application",
                    f"cannot be given together with {other}: the application, application_args and the files "
                    "become the command line of the run",
                )
            _check_main_file(str(self.application), self.java_class)
        elif not is_given(self.application):
            for name in OF_COMMAND_LINE:
                if name in given:
                    raise InvalidArgument(name, "allowed only together with application")

    def _refuse_start_from_trigger(self) -> None:
        """Refuse ``start_from_trigger`` for a task with local code.

        :raises InvalidArgument: there is local code.
        """
        for name in self._code_given():
            raise InvalidArgument(
                name,
                "cannot be given together with start_from_trigger: only a worker has the files of the DAG's "
                "bundle, and uploads them",
            )

    def _request_arguments_beside_code(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the request with a command line in the place of ``application``."""
        if not is_given(self.application):
            return dict(arguments)
        # At parse time, the text of a template: it is checked when the task runs.
        return {**arguments, "execute": PENDING_COMMAND}

    def _with_local_code(
        self, request: RunRequest, context: Context | None
    ) -> tuple[RunRequest, Upload | None]:
        """Return the request that is checked before the submit, and what to call before the submit.

        :param request: of the other arguments.
        :param context: of the task; None for a dry run.
        """
        if not self._code_given():
            return request, None
        code = self._local_code(request)
        if not code.needs_upload:
            return code.request(request, {}), None

        def upload(known: Mapping[str, str]) -> tuple[RunRequest, dict[str, str]]:
            uris = code.upload(self._local_files(context), self._stager(), known, dry_run=context is None)
            return code.request(request, uris), uris

        return code.request(request, {}), upload

    def _local_code(self, request: RunRequest) -> LocalCode:
        from airflow_provider_dataflow.operators.requirements import RequiredPackages
        from airflow_provider_dataflow.staging.local_code import LocalCode

        return LocalCode(
            application=self.application,
            application_args=self.application_args or (),
            java_class=self.java_class,
            py_files=self.py_files or (),
            files=self.files or (),
            jars=self.jars or (),
            archives=self.archives or (),
            packages=RequiredPackages(self.requirements, self.hook, request) if self.requirements else None,
        )

    def _stager(self) -> Stager:
        from airflow_provider_dataflow.staging.stager import Stager

        staging_uri = self.staging_uri or self.hook.staging_uri
        if not staging_uri:
            raise InvalidArgument(
                "staging_uri",
                "missing: local files need a bucket; give oci://bucket@namespace/prefix to the operator, as "
                "staging_uri in the connection, or in [oci_data_flow] staging_uri",
            )
        return Stager(self.hook.object_storage, staging_uri)

    def _local_files(self, context: Context | None) -> LocalFiles:
        from airflow_provider_dataflow.staging.files import LocalFiles

        folder = Path(self.dag.folder)
        bundle = bundle_folder(context["ti"]) if context is not None else None
        # A DAG that is tested outside of the bundles has only its own folder.
        is_inside = bundle is not None and folder.resolve().is_relative_to(bundle.resolve())
        return LocalFiles(folder, bundle if bundle is not None and is_inside else folder)


def _contradicting(request_arguments: Mapping[str, Any], json: Any) -> Iterator[str]:
    for name in CONTRADICTING:
        value = request_arguments.get(name)
        if is_given(value) and is_literal(value):
            yield name
    fields = json if isinstance(json, Mapping) else raw_fields(json, "json") if is_literal(json) else {}
    for name, api_name in CONTRADICTING.items():
        if is_given(fields.get(api_name)) and is_literal(fields[api_name]):
            yield f"json.{api_name} ({name})"


def _check_main_file(application: str, java_class: Any) -> None:
    if has_scheme(application) and not application.startswith("oci://"):
        raise InvalidArgument(
            "application", f"expected a local path or oci://bucket@namespace/path, got {application}"
        )
    is_jar = application.lower().endswith(".jar")
    if is_jar and not is_given(java_class):
        raise InvalidArgument("java_class", f"missing: the main class of {application}")
    if application.lower().endswith(".py") and is_given(java_class) and is_literal(java_class):
        raise InvalidArgument("java_class", f"only for a jar, but application is {application}")
