"""The driver of a SESSION run: runs statements as they come, until it is ended.

It runs in the application's Python, where this package may not be. Statements come as ``statement.json`` in
the folder that is given; the answer to number 3 is ``3.json``; ``3.cancel`` interrupts it.
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
# A statement that goes on when it is interrupted, as one does that catches everything, is interrupted again.
_INTERRUPT_AGAIN_SECONDS = 1.0
# For as many seconds after the end of a cancelled statement its jobs are cancelled.
_CANCEL_LATE_JOBS = 20
_SQL_ROWS = 1000


def execute(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """As an interactive Python does: what it prints, and the value of its last expression, is the answer."""
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            tree = ast.parse(code, "<statement>")
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "<statement>", "exec"), names)  # noqa: S102 - what a session is for
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "<statement>", "eval"), names)  # noqa: S307
                if value is not None:
                    print(repr(value))
    except BaseException as e:  # noqa: BLE001 - even an exit is only the statement's
        lines = traceback.format_exception(type(e), e, e.__traceback__.tb_next if e.__traceback__ else None)
        return {
            "succeeded": False,
            "error_name": type(e).__name__,
            "error_value": str(e),
            "traceback": [*output.getvalue().splitlines(), *"".join(lines).splitlines()],
        }
    return {"succeeded": True, "value": output.getvalue().removesuffix("\n")}


def _descendants() -> set[int]:
    """The processes below this one; none where there is no /proc."""
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
    """Interrupts the statement that runs when the file appears, as Ctrl-C in a terminal would, until it ends.

    :param path: the file that asks for it
    :param spark: the session that the statement uses
    :param group: the statement's Spark job group
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
        # In place of Spark's own handler, which asks Java from within whatever it has interrupted.
        signal.signal(signal.SIGINT, _raise_interrupt)
        self._thread.start()
        try:
            yield
        finally:
            self._stop()

    def _stop(self) -> None:
        """Interrupt no more: a late interrupt must not end the session."""
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
        # In a thread of its own, as Java may be busy.
        threading.Thread(target=self._cancel_jobs, daemon=True).start()
        while not self._done.is_set():
            # A signal to the thread, not only a note for it: it ends a system call that blocks.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            for pid in _descendants() - self._before:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGINT)
            self._done.wait(_INTERRUPT_AGAIN_SECONDS)

    def _cancel_jobs(self) -> None:
        """Cancel the statement's jobs, and those that Java still submits for it when it has ended."""
        while not self._done.is_set():
            with contextlib.suppress(Exception):
                self._spark.sparkContext.cancelJobGroup(self._group)
                # Jobs that other threads of the statement have started are in no group. A stream is no
                # statement's, and goes on.
                if not self._spark.streams.active:
                    self._spark.sparkContext.cancelAllJobs()
            self._done.wait(_INTERRUPT_AGAIN_SECONDS)
        for _ in range(_CANCEL_LATE_JOBS):
            with contextlib.suppress(Exception):
                self._spark.sparkContext.cancelJobGroup(self._group)
            time.sleep(_INTERRUPT_AGAIN_SECONDS)


def _answer(folder: str, statement: dict[str, Any], names: dict[str, Any]) -> None:
    answer = os.path.join(folder, f"{statement['number']}.json")
    spark: Any = names.get("spark")
    group = f"statement {statement['number']}"
    interrupter = Interrupter(os.path.join(folder, f"{statement['number']}.cancel"), spark, group)
    with contextlib.suppress(Exception):  # an earlier statement has stopped the context
        spark.sparkContext.setJobGroup(group, "A statement of the session", interruptOnCancel=True)
    outcome: dict[str, Any] = {"succeeded": False, "error_name": "KeyboardInterrupt", "error_value": ""}
    with contextlib.suppress(KeyboardInterrupt), interrupter.watching():  # came just as it had ended
        outcome = execute(statement["code"], names)
    with open(f"{answer}.new", "w", encoding="utf-8", errors="replace") as f:
        json.dump(outcome, f)
    os.replace(f"{answer}.new", answer)


def main(folder: str, language: str) -> None:
    os.makedirs(folder, exist_ok=True)
    spark = SparkSession.builder.getOrCreate()
    names: dict[str, Any] = {"__name__": "__main__", "spark": spark, "sc": spark.sparkContext}
    question = os.path.join(folder, "statement.json")
    while True:
        try:
            with open(question, encoding="utf-8") as f:
                statement = json.load(f)
        except FileNotFoundError:
            time.sleep(_POLL_SECONDS)
            continue
        os.unlink(question)
        if language == "SQL":
            statement["code"] = f"spark.sql({statement['code']!r}).show({_SQL_ROWS}, truncate=False)"
        _answer(folder, statement, names)


if __name__ == "__main__":
    main(*sys.argv[1:])
