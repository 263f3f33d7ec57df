"""``lifecycleDetails`` of a failed run, from its exit code and the end of its logs."""

from __future__ import annotations

import re
import signal

_FATAL_SIGNALS = frozenset(
    {
        signal.SIGILL,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGTERM,
    }
)
_MAX_LENGTH = 1000
# Exit codes of Spark (SparkExitCode.OOM), and of Java with -XX:+ExitOnOutOfMemoryError.
_SPARK_OOM = 52
_JAVA_OOM = 3
_JAVA_OUT_OF_MEMORY = re.compile(r"\bjava\.lang\.OutOfMemoryError(?:: [\w ]+\w)?")
_TRACEBACK = "Traceback (most recent call last):"
_PYTHON_ERROR = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Warning|Exit)\b")
# Errors of the SQL client, for example "[TABLE_OR_VIEW_NOT_FOUND] The table or view ...".
_SQL_ERROR = re.compile(r"\[[A-Z0-9]+_[A-Z0-9_.]+\] \S|Error in query: ")
# Of Ivy, with which Spark resolves packages.
_UNRESOLVED = re.compile(r"RuntimeException: \[((?:unresolved dependency|download failed): .+)\]")
_NOT_REACHED = re.compile(r"(?:HttpClientHandler: |(?:CLIENT|SERVER) ERROR: )(?!Not Found)(.+) url=(\S+)")
_JAVA_MAIN = re.compile(r'Exception in thread "[^"]*" (.+)')


def error_line(text: str) -> str | None:
    """Return the line of a log that names the error, or ``None``."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.strip() == _TRACEBACK]
    if starts:
        end = lines[starts[-1] + 1 :]
        for number, line in enumerate(end):
            if line.strip() and not line.startswith(" "):
                # An error of py4j has the Java exception in the next line, after a colon.
                below = end[number + 1] if number + 1 < len(end) else ""
                return below[2:].strip() if below.startswith(": ") else line.strip()
    for line in reversed(lines):
        if match := _JAVA_MAIN.match(line):
            return match[1].strip()
        # SparkSubmit's errors, for example a missing class; and Python's SyntaxError, without a traceback.
        if line.startswith("Error: ") or _PYTHON_ERROR.match(line) or _SQL_ERROR.match(line):
            return line.strip()
    return None


def _signal(code: int) -> int | None:
    """Return the signal that ended a process, or ``None``.

    :param code: negative signal for our own child; 128 plus the signal for the Python driver below Java.
    """
    number = -code if code < 0 else code - 128
    return number if code < 0 or number in _FATAL_SIGNALS else None


def _shared_heap(heap: str | None) -> str:
    size = f" ({heap})" if heap else ""
    return (
        f"In Local Data Flow, driver and tasks share the driver's memory{size}: "
        "raise spark.driver.memory or driver_shape_config."
    )


def out_of_heap_details(heap: str | None, what: str = "application") -> str:
    """Return the details of a run that was killed because its heap was full.

    :param heap: size of the heap as in Spark, for example ``512m``.
    :param what: name of the program.
    """
    return (
        f"The {what} ran out of memory and was killed: its heap was full, and Java did nothing but "
        f"collect garbage. {_shared_heap(heap)}"
    )


def failure_details(
    code: int | None,
    application_stderr: str,
    driver_stderr: str,
    executor_stderr: str = "",
    *,
    heap: str | None = None,
    packages: str | None = None,
    what: str = "application",
) -> str:
    """Return the details of a run that failed.

    :param code: exit code of the process, negative for a signal.
    :param heap: size of the heap as in Spark, for example ``512m``.
    :param packages: Maven packages that Spark had to resolve.
    :param what: name of the program that failed.
    """
    if packages and (cause := _unresolved(f"{driver_stderr}\n{application_stderr}")):
        return _shortened(f"Spark could not resolve the packages {packages}: {cause}")
    if code in (_SPARK_OOM, _JAVA_OOM):
        errors = _JAVA_OUT_OF_MEMORY.findall(f"{executor_stderr}\n{driver_stderr}\n{application_stderr}")
        if errors or code == _SPARK_OOM:
            error = f": {max(errors, key=len)}" if errors else ""
            return (
                f"The {what} failed with exit code {code}, as a task ran out of memory{error}. "
                f"{_shared_heap(heap)}"
            )
    if code is None:
        reason = "was ended from outside"
    elif (number := _signal(code)) is not None:
        reason = f"was killed by signal {number}" + (" (out of memory?)" if number == signal.SIGKILL else "")
    else:
        reason = f"failed with exit code {code}"
    cause = error_line(application_stderr) or error_line(driver_stderr)
    details = f"The {what} {reason}" + (f": {cause}" if cause else ".")
    return _shortened(details)


def _unresolved(text: str) -> str | None:
    """Return the packages that Ivy did not find, and the error of a repository that it did not reach."""
    match = _UNRESOLVED.search(text)
    if match is None:
        return None
    error = _NOT_REACHED.search(text)
    if error is None:
        return match[1]
    url = re.sub("//[^/@]*@", "//", error[2])  # without a password
    return f"{match[1]}. Access to {url} failed: {error[1]}"


def _shortened(details: str) -> str:
    return details if len(details) <= _MAX_LENGTH else details[: _MAX_LENGTH - 1] + "…"
