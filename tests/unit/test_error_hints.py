from __future__ import annotations

import pytest

from airflow_provider_dataflow.error_hints import CAUSES, MAX_LINE_CHARACTERS, MAX_TEXT_CHARACTERS, hint_for
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
        assert hint.endswith(".")


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
    for word in ("403 ", "executor ", "ExecutorLostFailure ", "exceed ", "private endpoint ", "\n"):
        assert hint_for(None, word * (16 * MAX_TEXT_CHARACTERS // len(word))) is None
