"""Checks of ``execute``, which the operator and Local Data Flow make alike."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.local.http.messages import ApiError
from airflow_provider_dataflow.local.state.execute_string import parse_execute
from airflow_provider_dataflow.models.execute_text import execute_text

# The text, and a part of the message.
REFUSED = [
    ("spark-submit oci://b@n/a.py", "spark-submit"),
    ("  $ ./bin/spark-submit\toci://b@n/a.py", "spark-submit"),
    ("A=1 /opt/spark/bin/spark-submit --class X oci://b@n/a.jar", "spark-submit"),
    ("--class X \\\noci://b@n/a.jar", "line 1"),
    ("--class X\n--conf a=b \\\r\noci://b@n/a.jar", "line 2"),
    ("--class X \\ \noci://b@n/a.jar", "line 1"),
    ("oci://b@n/a.py \\", "line 1"),
    ("--class\u00a0X oci://b@n/a.jar", r"no-break space \(U\+00A0\)"),
    ("oci://b@n/a.py\u202f1", r"narrow no-break space \(U\+202F\)"),
    ("\ufeffoci://b@n/a.py", r"zero width no-break space \(U\+FEFF\)"),
    ("oci://b@n/a.py\u200b 1", r"zero width space \(U\+200B\)"),
    ("oci://b@n/a.py\u30001", r"ideographic space \(U\+3000\)"),
    ("oci://b@n/a.py 1\u2028", r"line separator \(U\+2028\)"),
    ("oci://b@n/a.py a\x00b", r"control character \(U\+0000\)"),
    ("oci://b@n/a.py \u201ctwo words\u201d", r"left double quotation mark \(U\+201C\)"),
    ("--conf spark.x=\u201ca b\u201d oci://b@n/a.py", r"left double quotation mark \(U\+201C\)"),
    ("oci://b@n/a.py \u2018a b\u2019", r"left single quotation mark \(U\+2018\)"),
    ("oci://b@n/a.py \u201ea b\u201c", r"double low-9 quotation mark \(U\+201E\)"),
    ("\u2013class X oci://b@n/a.jar", r"en dash \(U\+2013\)"),
    ("\u2014class X oci://b@n/a.jar", r"em dash \(U\+2014\)"),
    ("-\u2013class X oci://b@n/a.jar", r"en dash \(U\+2013\)"),
    ("oci://b@n/a.py \u2212\u2212day 1", r"minus sign \(U\+2212\)"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_leftovers_of_shells_and_word_processors_are_refused(text, message):
    with pytest.raises(InvalidArgument, match=rf"^execute: .*{message}"):
        execute_text(text, "execute")
    with pytest.raises(ApiError, match=rf"^execute: .*{message}"):
        parse_execute(text)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("oci://b@n/a.py\r\n--day\n1\r\n", ["--day", "1"]),
        ("oci://b@n/a.py 'a\u00a0b' \"\u201cx\u201d\"", ["a\u00a0b", "\u201cx\u201d"]),
        ("oci://b@n/a.py l\u2019\u00e9t\u00e9 a\u2013b 5\u20137 \u2013 \u20135", None),
        ("oci://b@n/a.py 'a \\\n b' spark-submit", ["a \\\n b", "spark-submit"]),
        ("--conf spark.app.name='x spark-submit y' oci://b@n/a.py a\\ b", ["a b"]),
        ("oci://b@n/spark-submit/a.py", []),
        ("oci://b@n/a.py \U0001f468\u200d\U0001f469 \u0645\u06cc\u200c\u062e", None),
    ],
)
def test_quoted_words_and_text_of_any_language_are_accepted(text, arguments):
    assert execute_text(text, "execute") == text
    parsed = parse_execute(text)
    assert parsed.main.endswith("a.py")
    assert parsed.arguments == (text.split()[1:] if arguments is None else arguments)
