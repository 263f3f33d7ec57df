from __future__ import annotations

import copy
import pickle

import pytest

from airflow_provider_dataflow.exceptions import (
    LOG_TAIL_LINES,
    AmbiguousName,
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
