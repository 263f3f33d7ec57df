"""Function of ``@task.oci_data_flow`` as the code of a run: its script, its arguments and its result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from airflow_provider_dataflow.client.object_storage.content import Content
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.run_request import SAFE_IN_EXECUTE, RunRequest
from airflow_provider_dataflow.staging.files import LocalFiles
from airflow_provider_dataflow.staging.function_result import OPTION, result_uri
from airflow_provider_dataflow.staging.function_runner import TOO_DEEP, encode
from airflow_provider_dataflow.staging.function_source import FunctionSource
from airflow_provider_dataflow.staging.local_code import PENDING_URI, LocalCode
from airflow_provider_dataflow.staging.stager import Stager

KIND = "functions"
#: Not the function's name, which may have letters that an object's URI cannot have.
FILE_NAME = "function.py"

#: Longest arguments, as JSON in percent-encoding, that are part of the command line of the run.
MAX_INLINE_CHARACTERS = 4096

#: Keys of the uploads in the submission record.
_SCRIPT, _ARGUMENTS = "function", "function arguments"


@dataclass(frozen=True, kw_only=True)
class FunctionCode:
    """Code of a run that calls a function.

    :param source: the function.
    :param arguments: its arguments, as JSON (:func:`encoded_arguments`).
    :param stager: uploads the script.
    :param code: further files and archives of the run.
    """

    source: FunctionSource
    arguments: str
    stager: Stager
    code: LocalCode

    def upload(self, files: LocalFiles, known: Mapping[str, str], *, dry_run: bool = False) -> dict[str, str]:
        """Upload the script, the files, and arguments that are too long for a command line."""
        uris = self.code.upload(files, self.stager, known, dry_run=dry_run)
        contents = {_SCRIPT: (self.source.script(), FILE_NAME)}
        if len(self.inline_arguments) > MAX_INLINE_CHARACTERS:
            contents[_ARGUMENTS] = (self.arguments.encode(), "arguments.json")
        for key, (content, name) in contents.items():
            if key in known:
                uris[key] = known[key]
            elif dry_run:
                uris[key] = str(self.stager.uri_of(Content.of_bytes(content).sha256, name, kind=KIND))
            else:
                uris[key] = self.stager.stage_bytes(content, name, kind=KIND)
        return uris

    def request(self, request: RunRequest, uris: Mapping[str, str]) -> RunRequest:
        """Return the request with the command line that calls the function. See ``LocalCode``."""
        words = [OPTION, result_uri(self.stager.staging_uri)]
        arguments = uris.get(_ARGUMENTS)
        words += ["--arguments-uri", arguments] if arguments else ["--arguments", self.inline_arguments]
        application = uris.get(_SCRIPT) or PENDING_URI.format(name=FILE_NAME)
        return replace(self.code, application=application, application_args=words).request(request, uris)

    @property
    def inline_arguments(self) -> str:
        """The arguments as a word of the command line."""
        return quote(self.arguments, safe=SAFE_IN_EXECUTE)


def encoded_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return the arguments of a function as JSON, as ``function_runner`` reads them.

    :raises InvalidArgument: an argument cannot be passed to Spark.
    """
    try:
        encoded = [
            [encode(value, f"argument {number}") for number, value in enumerate(args, 1)],
            {name: encode(value, f"argument {name}") for name, value in kwargs.items()},
        ]
        return json.dumps(encoded, separators=(",", ":"))
    except TypeError as error:
        raise InvalidArgument("@task.oci_data_flow", str(error)) from None
    except RecursionError:
        raise InvalidArgument("@task.oci_data_flow", f"an argument cannot be passed: {TOO_DEEP}") from None
