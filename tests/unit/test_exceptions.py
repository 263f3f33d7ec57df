from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import pkgutil
import re

import pytest

from airflow_provider_dataflow.causes import RETRIES
from airflow_provider_dataflow.exceptions import (
    LOG_TAIL_LINES,
    AlreadyRunning,
    AmbiguousName,
    DataFlowError,
    FunctionFailed,
    InvalidArgument,
    InvalidConnection,
    NotFound,
    NotSubmitted,
    ObjectStorageError,
    PoolTimedOut,
    RunFailed,
    RunTimedOut,
    ServiceError,
    SqlEndpointFailed,
    StatementFailed,
    SubmitRejected,
    UnexpectedResponse,
)
from airflow_provider_dataflow.help_links import see
from airflow_provider_dataflow.operators.retries import NotRetried

ERRORS = [
    InvalidArgument("num_executors", "expected a number"),
    InvalidConnection("fingerprint: missing"),
    ServiceError(operation="GetRun", message="slow down", status=429, code="TooManyRequests", retry_after=3),
    SubmitRejected(operation="CreateRun", message="no", status=404, code="NotAuthorizedOrNotFound"),
    RunFailed(run_id="run", state="FAILED", lifecycle_details="boom", hint="do it", log_tail="a\nb"),
    FunctionFailed(run_id="run", state="FAILED", error_type="E", error_message="no", traceback="a\n  b"),
    AmbiguousName(kind="pool", display_name="warm", compartment_id="c", ids=["a", "b"]),
    NotFound(kind="application", display_name="nightly", compartment_id="c"),
    PoolTimedOut(pool_id="pool", state="CREATING", lifecycle_details="soon", note="409"),
    SqlEndpointFailed(sql_endpoint_id="sql", state="FAILED", lifecycle_details="no", note="409"),
    StatementFailed(run_id="run", statement_id=0, error_name="E", error_value="v", traceback=("a\nb", "c")),
]


def test_error_without_retries_can_be_pickled():
    error = pickle.loads(
        pickle.dumps(NotRetried(RunFailed(run_id="run", state="FAILED", cause="class_missing")))
    )
    assert error.error.run_id == "run"
    assert "class_missing" in str(error)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("copy_error", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy])
def test_errors_can_be_pickled_and_copied(error, copy_error):
    copied = copy_error(error)
    assert type(copied) is type(error)
    assert str(copied) == str(error)
    assert vars(copied) == vars(error)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (InvalidArgument("num_executors", "expected a number"), "invalid_argument"),
        (InvalidConnection("fingerprint: missing"), "invalid_connection"),
        (AlreadyRunning(application_id="app", run_id="run", state="IN_PROGRESS"), "already_running"),
        (AmbiguousName(kind="pool", display_name="w", compartment_id="c", ids=["a"]), "name_ambiguous"),
        (NotFound(kind="pool", display_name="warm", compartment_id="c"), "name_not_found"),
        (SubmitRejected(operation="CreateRun", message="no", status=400), "bad_request"),
        (ServiceError(operation="SignIn", message="no token", status=401), "not_authenticated"),
        (UnexpectedResponse(operation="GetRun", message="not JSON"), "no_response"),
        (NotSubmitted("no", cause="throttled"), "throttled"),
        (RunFailed(run_id="run", cause="executor_memory"), "executor_memory"),
        (
            FunctionFailed(
                run_id="run",
                error_type="ModuleNotFoundError",
                error_message="No module named 'x'",
                traceback="",
            ),
            "module_missing",
        ),
        (StatementFailed(run_id="run", statement_id=0, error_name="MemoryError"), "driver_memory"),
        (RunTimedOut(run_id="run"), None),
        (DataFlowError("The task was killed"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_has_the_key_of_its_cause(error, cause):
    assert error.cause == cause
    assert cause is None or cause in RETRIES


def test_function_failed_reports_its_traceback_instead_of_stderr():
    traceback = "Traceback:\n  File dag.py, line 3, in f\n    raise KeyError(month)\nKeyError: '2013-13'"
    text = str(
        FunctionFailed(
            run_id="run",
            state="FAILED",
            log_tail="noise of Spark",
            error_type="KeyError",
            error_message="'2013-13'",
            traceback=traceback,
        )
    )
    assert text.startswith("Run run failed: KeyError: '2013-13'.")
    assert "    raise KeyError(month)" in text
    assert "noise" not in text


def test_run_failed_reports_all_details_and_the_last_log_lines():
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


def error_classes() -> list[type[DataFlowError]]:
    """Return all error classes of the package, after importing all of its modules."""
    import airflow_provider_dataflow

    for module in pkgutil.walk_packages(airflow_provider_dataflow.__path__, "airflow_provider_dataflow."):
        if ".local" not in module.name:
            importlib.import_module(module.name)
    found = [DataFlowError]
    for kind in found:
        found.extend(below for below in kind.__subclasses__() if below not in found)
    return found


def make_error(kind: type[DataFlowError], text: str | None) -> DataFlowError:
    """Create an error with ``text`` for each of its texts."""
    values: dict[str, object] = {
        "status": 404,
        "statement_id": 1,
        "ids": [text or ""],
        "traceback": (text or "",),
    }
    values |= {"retry_after": None, "date": None, "is_report": False}
    if kind is ObjectStorageError:
        values["error"] = make_error(ServiceError, text)
    if kind is FunctionFailed:
        values["traceback"] = text or ""
    names = set(inspect.signature(kind).parameters)
    if "details" in names:
        names |= set(inspect.signature(RunFailed).parameters)
    return kind(**{name: values.get(name, text) for name in names - {"details"}})


TEXTS = {
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


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_message_consists_of_sentences(kind: type[DataFlowError], text: str):
    message = str(make_error(kind, text))
    headline, *labelled = message.split("\n")
    lines = [headline, *(line for line in labelled if line.startswith(("  hint:", "  note:")))]
    for line in lines:
        is_linked = re.search(r" See https://\S+#[\w-]+$", line)
        assert not line or is_linked or line.rstrip("\"')")[-1] in ".?!…", line
        assert not re.search(r"\.\.|[:;,?!]\.|\.;| \.| {3}|\(\)|None", line.strip()), line
        # A full stop separates the message of the network from our own sentences.
        assert not re.search(r"refused(?!again)[ ]+[A-Z]", line), line
    assert len(message) < 20_000
    assert str(pickle.loads(pickle.dumps(make_error(kind, text)))) == message


def test_service_error_separates_message_and_hint():
    error = ServiceError(operation="GetRun", message="Connection refused", endpoint="http://127.0.0.1:1")
    assert str(error) == (
        "GetRun at http://127.0.0.1:1 got no response: Connection refused. Nothing listens there: check "
        f"service_endpoint, and that the service is started. {see('Connection refused')}"
    )


def test_unexpected_response_is_not_reported_as_missing_response():
    error = UnexpectedResponse(operation="GetRun", message="expected a list, got str")
    assert str(error) == (
        f"GetRun got an unexpected response: expected a list, got str. {see('UnexpectedResponse')}"
    )
    assert error.is_transient


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 412, 413, 422, 429, 500, 503])
def test_submit_rejected_names_request_id_and_hint(status: int):
    error = SubmitRejected(
        operation="CreateRun", message="no", status=status, code="Odd", opc_request_id="req-1"
    )
    assert error.hint
    assert str(error).startswith(f"CreateRun returned {status} Odd: no (opc-request-id req-1). ")
    assert str(error).endswith(f"No run was created. {error.hint}")


@pytest.mark.parametrize(
    ("status", "is_transient", "may_be_stray"),
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
def test_status_decides_whether_an_error_may_go_away(status, is_transient, may_be_stray):
    error = ServiceError(operation="GetRun", message="", status=status)
    assert (error.is_transient, error.may_be_stray) == (is_transient, may_be_stray)
