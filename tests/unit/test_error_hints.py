from __future__ import annotations

import re

import pytest

from airflow_provider_dataflow.causes import OF_REQUESTS, OF_RUNS, REPORTED_EARLY, RETRIES, Retry
from airflow_provider_dataflow.error_hints import (
    CAUSES,
    MAX_LINE_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    NETWORK_CAUSES,
    STATUS_CAUSES,
    cause_of_response,
    find_cause,
    hint_for,
)
from airflow_provider_dataflow.help_links import see

# Messages of the service, of Object Storage's connector and of Spark, and a part of the advice.
MESSAGES = [
    ("Only one application with a private endpoint can have runs at a time: the run x", "Airflow pool"),
    ("The private endpoint of application a is in use", "Airflow pool"),
    ("LimitExceeded: The following service limits were exceeded: standard-e4-core-count", "limit or quota"),
    ("400 QuotaExceeded", "limit or quota"),
    ("The service limit of OCPUs was exceeded", "limit or quota"),
    ("Out of host capacity.", "no machines for this shape"),
    ("No resources became available within 30 minutes.", "no machines for this shape"),
    (
        "com.oracle.bmc.model.BmcException: (404, BucketNotFound, false) Either the bucket named 'x' does "
        "not exist in the namespace 'ns' or you are not authorized to access it",
        "The bucket does not exist",
    ),
    ("The bucket other in the namespace ns does not exist. Create it", "The bucket does not exist"),
    ("(404, ObjectNotFound, false) The object 'in/x.csv' was not found", "An object or folder is missing"),
    ("AnalysisException: [PATH_NOT_FOUND] Path does not exist: oci://b@n/in.", "An object or folder"),
    ("The main application file oci://b@n/app.py does not exist.", "An object or folder"),
    ("java.io.FileNotFoundException: No such file or directory 'oci://b@n/x'", "An object or folder"),
    (
        "BmcException: (404, NotAuthorizedOrNotFound, false) Authorization failed or requested resource not "
        "found. (opc-request-id: x)",
        "a policy is missing",
    ),
    (
        "ExecutorLostFailure (executor 3 exited caused by one of the running tasks) Reason: The executor "
        "with id 3 exited with exit code 137(SIGKILL, possible container OOM).",
        "An executor ran out of memory",
    ),
    (
        "Job aborted due to stage failure: Lost task 0.3 in stage 1.0 (TID 9) (10.0.0.1 executor 2): "
        "java.lang.OutOfMemoryError: Java heap space",
        "An executor ran out of memory",
    ),
    (
        'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space',
        "The driver ran out of memory",
    ),
    ("Traceback\n  x = [0] * 10**12\nMemoryError", "The driver ran out of memory"),
    ("The application was killed by signal 9 (out of memory?).", "The driver ran out of memory"),
    (
        "Total size of serialized results of 9 tasks (1100.0 MiB) is bigger than spark.driver.maxResultSize",
        "write the result instead of collecting it",
    ),
    ("java.lang.UnsupportedClassVersionError: Main has been compiled by a more recent", "another version of"),
    ("java.lang.NoSuchMethodError: 'scala.collection.immutable.Seq org.apache.spark.x()'", "another version"),
    ("java.lang.NoClassDefFoundError: scala/Product$class", "another version of Spark, Scala or Java"),
    ("sparkVersion 2.3.0 is not supported; these are: 3.5.0", "does not support this spark_version"),
    (
        "Exception: Python in worker has different version 3.8 than that in driver 3.11",
        "archive has another Python",
    ),
    ("Error: Failed to load class com.acme.Main.", "The class com.acme.Main is in no jar"),
    ("java.lang.ClassNotFoundException: oracle.jdbc.OracleDriver", "oracle.jdbc.OracleDriver is in no jar"),
    ("ModuleNotFoundError: No module named 'pandas.io'", "The Python module pandas.io is missing"),
    (
        "java.net.UnknownHostException: db.private.example: Name or service",
        "cannot resolve the host db.private.example",
    ),
    ("The run was canceled: it exceeded its maximum duration of 60 minutes.", "max_duration_in_minutes"),
    ("The run was stopped for maintenance. A new run of the application continues", "for maintenance"),
    ("Terminated by the service because of planned maintenance", "for maintenance"),
    ("ExecutorLostFailure (executor 1 exited unrelated to the tasks) Reason: worker lost", "was lost"),
    (
        "The executor with ID 3 (registered at 1712 ms) was not found in the cluster but we didn't get a "
        "reason why. Marking the executor as failed.",
        "A machine of the run was lost",
    ),
    ("The node 10.0.0.7 was lost", "A machine of the run was lost"),
    ("NodeNotReady: node oke-1 is not ready", "A machine of the run was lost"),
    ("ERROR: the host bm-3 was preempted", "A machine of the run was lost"),
]


@pytest.mark.parametrize(("message", "advice"), MESSAGES, ids=lambda text: text[:40])
def test_well_known_cause_gets_its_advice(message, advice):
    for hint in (
        hint_for(message),
        hint_for(None, f"noise\n{message}\nmore noise"),
        hint_for("exit code 1", message),
    ):
        assert hint is not None
        assert advice in hint
        assert "{" not in hint
        assert re.search(r"\. See https://\S+#[\w-]+$", hint)


def test_every_cause_has_a_message_here():
    assert {hint_for(message) for message, _ in MESSAGES} >= {
        f"{cause.advice} {see(cause.heading)}" for cause in CAUSES if "{" not in cause.advice
    }
    assert len(CAUSES) == len({cause.advice for cause in CAUSES}) == len({cause.heading for cause in CAUSES})


@pytest.mark.parametrize(
    ("details", "stderr"),
    [
        (None, None),
        ("", ""),
        (
            "The application failed with exit code 1: ValueError: no such month: 2026-13",
            "Traceback\nValueError",
        ),
        ("exit code 1", "INFO MemoryStore: Block broadcast_0 stored as values in memory"),
        ("exit code 1", "WARN the private endpoint of the driver is 10.0.0.1"),
    ],
)
def test_unknown_cause_gets_no_hint(details, stderr):
    assert hint_for(details, stderr) is None


#: A message of each cause of a run, and the retry that it calls for.
RETRY_OF_MESSAGE = [
    ("The private endpoint of application a is in use", "private_endpoint_in_use", "later"),
    ("400 QuotaExceeded", "limit_exceeded", "later"),
    ("Out of host capacity.", "no_capacity", "later"),
    ("The bucket other in the namespace ns does not exist. Create it", "bucket_missing", "never"),
    ("(404, ObjectNotFound, false) The object 'in/x.csv' was not found", "object_missing", "never"),
    ("(404, NotAuthorizedOrNotFound, false) Authorization failed", "not_authorized", "never"),
    ("The executor with id 3 exited with exit code 137(SIGKILL).", "executor_memory", "never"),
    ("Results of 9 tasks are bigger than spark.driver.maxResultSize", "result_too_large", "never"),
    ("java.lang.OutOfMemoryError: Java heap space", "driver_memory", "never"),
    ("java.lang.NoSuchMethodError: 'void x()'", "incompatible_jar", "never"),
    ("sparkVersion 2.3.0 is not supported", "spark_version_unsupported", "never"),
    ("Exception: Python in worker has different version 3.8", "python_mismatch", "never"),
    ("java.lang.ClassNotFoundException: oracle.jdbc.OracleDriver", "class_missing", "never"),
    ("ModuleNotFoundError: No module named 'pandas'", "module_missing", "never"),
    ("java.net.UnknownHostException: db.private.example", "host_unknown", "default"),
    ("The run exceeded its maximum duration of 60 minutes.", "max_duration", "default"),
    ("The run was stopped for maintenance.", "maintenance", "now"),
    ("Reason: worker lost", "node_lost", "now"),
]


@pytest.mark.parametrize(("message", "cause", "retry"), RETRY_OF_MESSAGE, ids=lambda text: text[:20])
def test_cause_of_run_decides_about_retry(message, cause, retry):
    for found in (find_cause(message), find_cause("exit code 1", f"noise\n{message}\nnoise")):
        assert found is not None
        assert (found.cause, RETRIES[cause]) == (cause, retry)


def test_every_cause_of_a_run_is_tested_and_has_a_pattern():
    assert {cause for _, cause, _ in RETRY_OF_MESSAGE} == set(OF_RUNS)
    assert sorted(cause.key for cause in CAUSES) == sorted(OF_RUNS)
    assert set(OF_RUNS) >= REPORTED_EARLY
    assert not set(OF_RUNS) & set(OF_REQUESTS)


#: Error of the service: status, code and message; and its cause and the retry.
RETRY_OF_RESPONSE = [
    (400, "InvalidParameter", "numExecutors", "bad_request", "never"),
    (400, "LimitExceeded", "", "limit_exceeded", "later"),
    (401, "NotAuthenticated", "", "not_authenticated", "never"),
    (403, "NotAuthorized", "", "not_authorized", "never"),
    (404, "NotAuthorizedOrNotFound", "", "not_authorized", "never"),
    (409, "IncorrectState", "", "conflict", "later"),
    (412, "NoEtagMatch", "", "changed_meanwhile", "now"),
    (413, None, "", "request_too_large", "never"),
    (422, None, "", "bad_request", "never"),
    (429, "TooManyRequests", "", "throttled", "later"),
    (302, None, "", "redirected", "later"),
    (500, "InternalServerError", "", "service_failure", "later"),
    (503, None, "", "service_failure", "later"),
    (None, None, "Name or service not known", "host_not_resolved", "later"),
    (None, None, "Network is unreachable", "no_route", "later"),
    (None, None, "Connection refused", "connection_refused", "later"),
    (None, None, "certificate verify failed", "certificate_untrusted", "never"),
    (None, None, "Read timed out", "connection_timed_out", "later"),
    (None, None, "Server disconnected", "no_response", "later"),
]


@pytest.mark.parametrize(("status", "code", "message", "cause", "retry"), RETRY_OF_RESPONSE)
def test_response_decides_about_retry(status, code, message, cause, retry):
    assert cause_of_response("CreateRun", status, code, message) == cause
    assert RETRIES[cause] == retry


def test_every_cause_of_a_response_is_tested():
    tested = {cause for *_, cause, _ in RETRY_OF_RESPONSE}
    assert tested >= {*STATUS_CAUSES.values(), *(cause.key for cause in NETWORK_CAUSES)}
    # The others are causes of exceptions without a response: see test_exceptions.py.
    of_exceptions = {"already_running", "invalid_argument", "invalid_connection"}
    assert set(OF_REQUESTS) - tested == {*of_exceptions, "name_ambiguous", "name_not_found"}


def test_response_with_an_unknown_status_has_no_cause():
    assert cause_of_response("GetRun", 418, None, "odd") is None
    assert cause_of_response("SignIn", 400, None, "LimitExceeded") == "bad_request"


SURVIVED = (
    "Traceback (most recent call last):\n  import x\nModuleNotFoundError: No module named 'x'\nINFO on\n"
)


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        ("Traceback (most recent call last):\n  f()\nValueError: no such month", None),
        ("Traceback (most recent call last):\n  f()\nReason: worker lost", "node_lost"),
        ('Exception in thread "main" java.lang.IllegalStateException: no', None),
        ('Exception in thread "main" java.lang.ClassNotFoundException: a.B', "class_missing"),
    ],
)
def test_exception_that_the_driver_survived_does_not_rule_out_a_retry(end, cause):
    found = find_cause("exit code 1", SURVIVED + end)
    assert found is not None
    assert found.cause == cause
    assert found.hint


def test_exception_that_the_last_one_names_as_its_cause_counts():
    for link in (
        "The above exception was the direct cause of the following exception:",
        "During handling of the above exception, another exception occurred:",
    ):
        text = f"{SURVIVED}\n{link}\n\nTraceback (most recent call last):\n  f()\nRuntimeError: no"
        found = find_cause("exit code 1", text)
        assert found is not None
        assert found.cause == "module_missing"


def test_lost_memory_counts_far_above_the_last_exception():
    text = "Exception in thread x java.lang.OutOfMemoryError: Java heap space\n"
    text += "Traceback (most recent call last):\n  f()\nPy4JNetworkError: Answer from Java side is empty"
    found = find_cause("exit code 1", text)
    assert found is not None
    assert found.cause == "driver_memory"
    assert RETRIES["driver_memory"] is Retry.NEVER


def test_lifecycle_details_take_precedence_over_stderr():
    assert "limit or quota" in str(hint_for("LimitExceeded", "ModuleNotFoundError: No module named 'x'"))


def test_names_are_cut_and_not_formatted_again():
    assert "{0}" not in str(hint_for("ClassNotFoundException: a$b{0}x"))
    assert hint_for("ModuleNotFoundError: No module named '" + "x" * 500) is not None
    assert hint_for("LimitExceeded" + "x" * MAX_TEXT_CHARACTERS) is None


def test_end_of_each_line_is_searched():
    padding = "x " * MAX_LINE_CHARACTERS
    assert hint_for(f"{padding}Out of host capacity.\n{padding}") is not None
    assert hint_for(f"Out of host capacity. {padding}") is None


def test_hostile_text_takes_linear_time():
    """The pairs of words that a pattern tries would grow with the square of the line."""
    words = ("403 ", "executor ", "ExecutorLostFailure ", "exceed ", "private endpoint ", "\n")
    for word in (
        *words,
        "node ",
        "stop ",
        "stop",
        "executor with id 1 ",
        "\nTraceback (most recent call last)",
    ):
        assert hint_for(None, word * (16 * MAX_TEXT_CHARACTERS // len(word))) is None
