"""The driver of a SESSION run: runs statements as they come, until it is ended.

It runs in the application's Python, where this package may not be. Statements come as ``statement.json`` in
the folder that is given; the answer to number 3 is ``3.json``; ``3.cancel`` interrupts it.
"""

from __future__ import annotations

import _thread
import ast
import contextlib
import io
import json
import os
import sys
import threading
import time
import traceback
from typing import Any

from pyspark.sql import SparkSession

_POLL_SECONDS = 0.03
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


def _interrupt_when_asked(path: str, done: threading.Event) -> None:
    while not done.wait(_POLL_SECONDS):
        if os.path.exists(path):
            # Spark's own handler of the signal cancels its jobs.
            _thread.interrupt_main()
            return


def _answer(folder: str, statement: dict[str, Any], names: dict[str, Any]) -> None:
    answer = os.path.join(folder, f"{statement['number']}.json")
    done = threading.Event()
    cancel = os.path.join(folder, f"{statement['number']}.cancel")
    watcher = threading.Thread(target=_interrupt_when_asked, args=[cancel, done], daemon=True)
    watcher.start()
    try:
        outcome = execute(statement["code"], names)
        done.set()
        watcher.join()
    except KeyboardInterrupt:  # came just as it had ended
        outcome = {"succeeded": False, "error_name": "KeyboardInterrupt", "error_value": ""}
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
