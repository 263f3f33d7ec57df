"""Driver of a SESSION run, a script that executes statements one after the other until it is killed.

It runs in the application's Python, in which this package may be missing. It finds each statement in the file
``statement.json`` of a folder, and writes the result of statement 3 to ``3.json``. The file ``3.cancel``
interrupts statement 3.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

from pyspark.sql import SparkSession

_POLL_SECONDS = 0.03
# A statement may catch the interrupt and continue. It is interrupted again after this time.
_INTERRUPT_AGAIN_SECONDS = 1.0
# How often the jobs of a cancelled statement are cancelled again after its end, at the same interval.
_LATE_CANCELS = 20
_SQL_ROWS = 1000


def execute(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Execute code as an interactive Python does. Return its output and the value of its last expression."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            tree = ast.parse(code, "<statement>")
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "<statement>", "exec"), names)  # noqa: S102 - the purpose of a session
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "<statement>", "eval"), names)  # noqa: S307
                if value is not None:
                    print(repr(value))
    except BaseException as e:  # noqa: BLE001 - even SystemExit must not end the session
        lines = traceback.format_exception(type(e), e, e.__traceback__.tb_next if e.__traceback__ else None)
        return {
            "succeeded": False,
            "error_name": type(e).__name__,
            "error_value": str(e),
            "traceback": [*output.getvalue().splitlines(), *"".join(lines).splitlines()],
        }
    return {"succeeded": True, "value": output.getvalue().removesuffix("\n")}


def _descendants() -> set[int]:
    """Return the pids of all descendants of this process; an empty set without /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as f:
                # "pid (comm) state ppid": comm may hold spaces and parentheses
                children.setdefault(int(f.read().rpartition(b")")[2].split()[1]), []).append(int(name))
    found: set[int] = set()
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found.update(below)
        todo += below
    return found


def _raise_interrupt(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


class Interrupter:
    """Interrupts the current statement like Ctrl-C, again and again until it ends, once a file appears.

    :param path: the file that requests the interrupt.
    :param spark: the Spark session of the statement.
    :param group: the Spark job group of the statement.
    """

    def __init__(self, path: str, spark: Any, group: str) -> None:
        self._path = path
        self._spark = spark
        self._group = group
        self._done = threading.Event()
        self._before = _descendants()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        # Replaces Spark's own handler, which calls Java in the middle of the code that it has interrupted.
        signal.signal(signal.SIGINT, _raise_interrupt)
        self._thread.start()
        try:
            yield
        finally:
            self._stop()

    def _stop(self) -> None:
        """Stop interrupting: a late interrupt would end the session."""
        while not self._done.is_set():
            with contextlib.suppress(KeyboardInterrupt):
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(_POLL_SECONDS):
            if os.path.exists(self._path):
                self._interrupt_until_done()

    def _interrupt_until_done(self) -> None:
        # In its own thread, because Java may not respond.
        threading.Thread(target=self._cancel_jobs, daemon=True).start()
        while not self._done.is_set():
            # A real signal to the main thread, because it also interrupts a blocking system call.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            for pid in _descendants() - self._before:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGINT)
            self._done.wait(_INTERRUPT_AGAIN_SECONDS)

    def _cancel_jobs(self) -> None:
        """Cancel the jobs of the statement, also those that Java submits after its end."""
        while not self._done.is_set():
            with contextlib.suppress(Exception):
                self._spark.sparkContext.cancelJobGroup(self._group)
                # Jobs that other threads of the statement started are in no group, so cancel all jobs, unless
                # a stream is active: it outlives its statement.
                if not self._spark.streams.active:
                    self._spark.sparkContext.cancelAllJobs()
            self._done.wait(_INTERRUPT_AGAIN_SECONDS)
        for _ in range(_LATE_CANCELS):
            with contextlib.suppress(Exception):
                self._spark.sparkContext.cancelJobGroup(self._group)
            time.sleep(_INTERRUPT_AGAIN_SECONDS)


def _run_statement(folder: str, statement: dict[str, Any], names: dict[str, Any]) -> None:
    """Execute a statement and write its result."""
    result = os.path.join(folder, f"{statement['number']}.json")
    spark: Any = names.get("spark")
    group = f"statement {statement['number']}"
    interrupter = Interrupter(os.path.join(folder, f"{statement['number']}.cancel"), spark, group)
    with contextlib.suppress(Exception):  # an earlier statement may have stopped the context
        spark.sparkContext.setJobGroup(group, "A statement of the session", interruptOnCancel=True)
    outcome: dict[str, Any] = {"succeeded": False, "error_name": "KeyboardInterrupt", "error_value": ""}
    # The interrupt may arrive after the statement's end: then the default outcome stays.
    with contextlib.suppress(KeyboardInterrupt), interrupter.watching():
        outcome = execute(statement["code"], names)
    with open(f"{result}.new", "w", encoding="utf-8", errors="replace") as f:
        json.dump(outcome, f)
    os.replace(f"{result}.new", result)


def main(folder: str, language: str) -> None:
    os.makedirs(folder, exist_ok=True)
    spark = SparkSession.builder.getOrCreate()
    names: dict[str, Any] = {"__name__": "__main__", "spark": spark, "sc": spark.sparkContext}
    path = os.path.join(folder, "statement.json")
    while True:
        try:
            with open(path, encoding="utf-8") as f:
                statement = json.load(f)
        except FileNotFoundError:
            time.sleep(_POLL_SECONDS)
            continue
        os.unlink(path)
        if language == "SQL":
            statement["code"] = f"spark.sql({statement['code']!r}).show({_SQL_ROWS}, truncate=False)"
        _run_statement(folder, statement, names)


if __name__ == "__main__":
    main(*sys.argv[1:])
