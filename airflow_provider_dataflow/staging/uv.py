"""Resolution and installation of requirements with uv, which can target another platform."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.staging.python_target import PythonTarget
from airflow_provider_dataflow.staging.requirements import Requirements
from airflow_provider_dataflow.staging.url_passwords import without_passwords

TIMEOUT_SECONDS = 1800.0

#: What every run has from Spark itself, so that no archive must bring another version.
PROVIDED_BY_SPARK = ("pyspark", "py4j")

_NO_WHEEL = re.compile(
    r"\b(?:Because|because|and|that) (\S+?)(?:[<>=!~]\S*)? has no (?:usable )?wheels"
    r"|Wheels are (?:required|available) for `([^`]+)`"
)
_MAX_MESSAGE = 4000


def find_uv() -> str:
    """Return the path of uv: that of the package ``uv``, or one on PATH.

    :raises InvalidArgument: there is none.
    """
    try:
        found: str = import_module("uv").find_uv_bin()
        return found
    except (ImportError, OSError):
        pass
    if on_path := shutil.which("uv"):
        return on_path
    raise InvalidArgument(
        "requirements", "uv is missing on this machine: pip install 'airflow-provider-dataflow[package]'"
    )


class Uv:
    """Resolver of requirements for one target.

    :param target: Python and platform of the run.
    :param argument: name of the argument, for error messages.
    :raises InvalidArgument: uv is not installed.
    """

    def __init__(self, target: PythonTarget, argument: str = "requirements") -> None:
        self._target = target
        self._argument = argument
        self._executable = find_uv()

    def lock(self, requirements: Requirements) -> str:
        """Return the exact versions, with hashes, of all packages that the requirements need.

        :raises InvalidArgument: they cannot be fulfilled, or a package has no wheel for the target.
        :raises DataFlowError: uv failed for another reason, for example because an index is not reachable.
        """
        with tempfile.TemporaryDirectory(prefix="dataflow-lock-") as folder, requirements.as_file() as source:
            excluded = Path(folder) / "excluded.txt"
            # A marker that never holds excludes a package.
            excluded.write_text("".join(f"{name}; python_version < '0'\n" for name in PROVIDED_BY_SPARK))
            arguments = ("--no-annotate", "--no-header", "--generate-hashes", "--override", str(excluded))
            return self._run(
                "compile", str(source.resolve()), *arguments, cwd=_folder_of(requirements, folder)
            )

    def install(self, lock: str, requirements: Requirements, folder: Path) -> None:
        """Install the locked packages into a folder.

        :param requirements: those that were locked, for their package indexes.
        :raises InvalidArgument: a package has no wheel for the target.
        :raises DataFlowError: uv failed for another reason.
        """
        with tempfile.TemporaryDirectory(prefix="dataflow-lock-") as temporary:
            # Only this user can read the folder: the options may hold passwords.
            file = Path(temporary) / "requirements.txt"
            file.write_text("\n".join([*requirements.index_options, lock]) + "\n", encoding="utf-8")
            options = ("--no-deps", "--require-hashes", "--link-mode", "copy", "--target", str(folder))
            self._run("install", "-r", str(file), *options, cwd=_folder_of(requirements, temporary))

    def _run(self, command: str, *arguments: str, cwd: str) -> str:
        target = ["--python-version", self._target.python, "--python", sys.executable]
        if self._target.platform is not None:
            target += ["--python-platform", self._target.platform]
        common = ["--no-build", "--no-progress", "--color", "never", "--quiet"]
        try:
            result = subprocess.run(  # noqa: S603
                [self._executable, "pip", command, *arguments, *target, *common],
                cwd=cwd,
                env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DataFlowError(f"uv pip {command} did not end within {TIMEOUT_SECONDS:.0f} s") from None
        except OSError as error:
            raise DataFlowError(f"cannot start uv: {error}") from None
        if result.returncode == 0:
            return result.stdout
        raise self._error(result.stderr)

    def _error(self, stderr: str) -> DataFlowError:
        stderr = without_passwords(stderr)
        message = stderr.strip()[:_MAX_MESSAGE]
        names = dict.fromkeys(filter(None, (name for found in _NO_WHEEL.findall(stderr) for name in found)))
        if names:
            return InvalidArgument(
                self._argument, f"no wheel of {', '.join(names)} for {self._target}\n{message}"
            )
        if "No solution found" in stderr or "Couldn't parse" in stderr:
            return InvalidArgument(self._argument, f"cannot be resolved for {self._target}\n{message}")
        return DataFlowError(f"{self._argument}: uv failed\n{message}")


def _folder_of(requirements: Requirements, otherwise: str | os.PathLike[str]) -> str:
    """Return the folder that relative paths in the requirements refer to."""
    if requirements.file is not None:
        return str(requirements.file.resolve().parent)
    return str(requirements.folder or otherwise)


def locked_packages(lock: str) -> Sequence[str]:
    """Return the packages of a lock, for example ``humanize==4.9.0``."""
    names = (line.partition(" ")[0] for line in lock.splitlines())
    return [name for name in names if name and not name.startswith(("-", "#"))]
