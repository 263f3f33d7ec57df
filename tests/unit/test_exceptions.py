from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
import re

import pytest

from airflow_provider_dataflow.exceptions import (
    LOG_TAIL_LINES,
    AmbiguousName,
    DataFlowError,
    InvalidArgument,
    InvalidConnection,
    NotFound,
    PoolTimedOut,
    RunFailed,
    ServiceError,
    StatementFailed,
    SubmitRejected,
)

ERRORS = [
    InvalidArgument("num_executors", "expected a number"),
    InvalidConnection("fingerprint: missing"),
    ServiceError(operation="GetRun", message="slow down", status=429, code="TooManyRequests", retry_after=3),
    SubmitRejected(operation="CreateRun", message="no", status=404, code="NotAuthorizedOrNotFound"),
    RunFailed(run_id="run", state="FAILED", lifecycle_details="boom", hint="do it", log_tail="a\nb"),
    AmbiguousName(kind="pool", display_name="warm", compartment_id="c", ids=["a", "b"]),
    NotFound(kind="application", display_name="nightly", compartment_id="c"),
    PoolTimedOut(pool_id="pool", state="CREATING", lifecycle_details="soon", note="409"),
    StatementFailed(run_id="run", statement_id=0, error_name="E", error_value="v", traceback=("a\nb", "c")),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("through", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy])
def test_errors_can_be_pickled_and_copied(error, through):
    again = through(error)
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_a_failed_run_says_everything_that_one_needs():
    tail = "\n".join(f"line {n}" for n in range(100))
    text = str(
        RunFailed(
            run_id="ocid1.dataflowrun.oc1..a",
            state="FAILED",
            lifecycle_details="exit code 1",
            hint="Add memory.",
            opc_request_id="req",
            url="https://page",
            log_tail=tail,
        )
    )
    for part in (
        "ocid1.dataflowrun.oc1..a",
        "FAILED",
        "exit code 1",
        "hint: Add memory.",
        "req",
        "https://page",
        "line 99",
    ):
        assert part in text
    assert text.count("line ") == LOG_TAIL_LINES


def every_error() -> list[type[DataFlowError]]:
    """All error classes of the package, also those of modules that nothing else has imported."""
    import airflow_provider_dataflow

    for module in pkgutil.walk_packages(airflow_provider_dataflow.__path__, "airflow_provider_dataflow."):
        if ".local" not in module.name:
            importlib.import_module(module.name)
    found = [DataFlowError]
    for kind in found:
        found.extend(below for below in kind.__subclasses__() if below not in found)
    return found


def made(kind: type[DataFlowError], text: str | None) -> DataFlowError:
    """An error whose every text is ``text``."""
    values: dict[str, object] = {
        "status": 404,
        "statement_id": 1,
        "ids": [text or ""],
        "traceback": (text or "",),
    }
    values |= {"retry_after": None, "date": None, "is_report": False}
    names = inspect.signature(kind).parameters
    return kind(**{name: values.get(name, text) for name in names})


ODD = {
    "plain": "Connection refused",
    "full stop": "Connection refused.",
    "question": "Is it there?",
    "quoted": "it said 'no.'",
    "colon": "Connection refused:",
    "lines": "Connection\n\n  refused\nagain",
    "line end": "Connection refused\n",
    "empty": "",
    "blanks": "  \n ",
    "long": "long " * 2000,
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_message_is_of_whole_sentences(kind: type[DataFlowError], text: str):
    message = str(made(kind, text))
    headline, *labelled = message.split("\n")
    lines = [headline, *(line for line in labelled if line.startswith(("  hint:", "  note:")))]
    for line in lines:
        assert not line or line.rstrip("\"')")[-1] in ".?!…", line
        assert not re.search(r"\.\.|[:;,?!]\.|\.;| \.| {3}|\(\)|None", line.strip()), line
        # What the network says does not run into what we add.
        assert not re.search(r"refused(?!again)[ ]+[A-Z]", line), line
    assert len(message) < 20_000
    assert str(pickle.loads(pickle.dumps(made(kind, text)))) == message


def test_sentences_do_not_run_into_each_other():
    error = ServiceError(operation="GetRun", message="Connection refused", endpoint="http://127.0.0.1:1")
    assert str(error) == (
        "GetRun at http://127.0.0.1:1 got no answer: Connection refused. Nothing listens there: is "
        "service_endpoint right, and is the service started?"
    )


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 412, 413, 422, 429, 500, 503])
def test_every_refusal_says_what_to_do_and_whom_to_ask(status: int):
    error = SubmitRejected(
        operation="CreateRun", message="no", status=status, code="Odd", opc_request_id="req-1"
    )
    assert error.hint
    assert str(error).startswith(f"CreateRun was answered with {status} Odd: no (opc-request-id req-1). ")
    assert str(error).endswith(f"No run was created. {error.hint}")


@pytest.mark.parametrize(
    ("status", "transient", "stray"),
    [
        (None, True, False),
        (400, False, False),
        (401, False, True),
        (403, False, True),
        (404, False, True),
        (409, False, False),
        (429, True, False),
        (500, True, False),
        (501, False, False),
        (503, True, False),
    ],
)
def test_which_errors_may_pass(status, transient, stray):
    error = ServiceError(operation="GetRun", message="", status=status)
    assert (error.is_transient, error.may_be_stray) == (transient, stray)
