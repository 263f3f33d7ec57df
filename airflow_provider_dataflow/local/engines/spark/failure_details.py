"""Why a run failed, in one line: from its exit code and the end of its logs."""

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
# With which Spark ends a process (SparkExitCode.OOM), and Java by -XX:+ExitOnOutOfMemoryError.
_SPARK_OOM = 52
_JAVA_OOM = 3
_JAVA_OUT_OF_MEMORY = re.compile(r"\bjava\.lang\.OutOfMemoryError(?:: [\w ]+\w)?")
_TRACEBACK = "Traceback (most recent call last):"
_PYTHON_ERROR = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Warning|Exit)\b")
# As the SQL client says it: [TABLE_OR_VIEW_NOT_FOUND] The table or view ...
_SQL_ERROR = re.compile(r"\[[A-Z0-9]+_[A-Z0-9_.]+\] \S|Error in query: ")
_JAVA_MAIN = re.compile(r'Exception in thread "[^"]*" (.+)')


def error_line(text: str) -> str | None:
    """The line that says what the error was, if the text has one."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.strip() == _TRACEBACK]
    if starts:
        end = lines[starts[-1] + 1 :]
        for number, line in enumerate(end):
            if line.strip() and not line.startswith(" "):
                # py4j has what happened in the next line, after a colon.
                below = end[number + 1] if number + 1 < len(end) else ""
                return below[2:].strip() if below.startswith(": ") else line.strip()
    for line in reversed(lines):
        if match := _JAVA_MAIN.match(line):
            return match[1].strip()
        # SparkSubmit's own, as for a class that is not there; a SyntaxError has no traceback.
        if line.startswith("Error: ") or _PYTHON_ERROR.match(line) or _SQL_ERROR.match(line):
            return line.strip()
    return None


def _signal(code: int) -> int | None:
    """Of a process of ours, or of the Python driver below Java, as a shell would report it."""
    number = -code if code < 0 else code - 128
    return number if code < 0 or number in _FATAL_SIGNALS else None


def _shared_heap(heap: str | None) -> str:
    size = f" ({heap})" if heap else ""
    return (
        f"Driver and tasks share the driver's memory here{size}: "
        "raise spark.driver.memory or driver_shape_config."
    )


def out_of_heap_details(heap: str | None) -> str:
    """Describe a run that was ended by ``memory.py``.

    :param heap: its size, as Spark spells it
    """
    return (
        "The application ran out of memory: Java did nothing but collect garbage in a full heap, and was "
        f"ended. {_shared_heap(heap)}"
    )


def failure_details(
    code: int | None,
    application_stderr: str,
    driver_stderr: str,
    executor_stderr: str = "",
    *,
    heap: str | None = None,
) -> str:
    """
    :param code: the exit code, negative for a signal
    :param heap: the size of the heap, as Spark spells it
    """
    if code in (_SPARK_OOM, _JAVA_OOM):
        errors = _JAVA_OUT_OF_MEMORY.findall(f"{executor_stderr}\n{driver_stderr}\n{application_stderr}")
        if errors or code == _SPARK_OOM:
            error = f": {max(errors, key=len)}" if errors else ""
            return (
                f"The application failed with exit code {code}, as a task ran out of memory{error}. "
                f"{_shared_heap(heap)}"
            )
    if code is None:
        reason = "was ended from outside"
    elif (number := _signal(code)) is not None:
        reason = f"was killed by signal {number}" + (" (out of memory?)" if number == signal.SIGKILL else "")
    else:
        reason = f"failed with exit code {code}"
    cause = error_line(application_stderr) or error_line(driver_stderr)
    details = f"The application {reason}" + (f": {cause}" if cause else ".")
    return details if len(details) <= _MAX_LENGTH else details[: _MAX_LENGTH - 1] + "…"
