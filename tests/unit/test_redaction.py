from __future__ import annotations

import pytest

from airflow_provider_dataflow.redaction import SENSITIVE_NAMES, Redactor, redacted_body

REDACTOR = Redactor()


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("password", True),
        ("DB_PASSWORD", True),
        ("spark.hadoop.fs.s3a.secret.key", True),
        ("spark.hadoop.fs.s3a.access.key", True),
        ("spark.hadoop.fs.oci.client.auth.passphrase", True),
        ("keyStorePassword", True),
        ("accessKey", True),
        ("api-key", True),
        ("--auth-token", True),
        ("spark.openlineage.transport.auth.apiKey", True),
        # Any custom header may hold a key.
        ("spark.openlineage.transport.headers.X-Tenant", True),
        ("spark.openlineage.transport.transports.my-http.headers.x", True),
        ("spark.openlineage.transport.url", False),
        ("spark.openlineage.headers.x", False),
        ("spark.sql.shuffle.partitions", False),
        ("spark.fields.names", False),
        ("day", False),
        ("monkey", False),
    ],
)
def test_names_decide_what_is_secret(name, is_secret):
    assert REDACTOR.is_secret(name) is is_secret


def test_names_include_those_of_airflows_masker():
    masker = pytest.importorskip("airflow.sdk._shared.secrets_masker.secrets_masker", reason="Airflow 3.2")

    assert [name for name in masker.DEFAULT_SENSITIVE_FIELDS if not REDACTOR.is_secret(name)] == []
    assert len(set(SENSITIVE_NAMES)) == len(SENSITIVE_NAMES)


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("--date 2026-01-01", "--date 2026-01-01"),
        ("password=abc", "password=***"),
        ("-Djavax.net.ssl.keyStorePassword=abc -Dx=1", "-Djavax.net.ssl.keyStorePassword=*** -Dx=1"),
        ('{"password": "a b", "user": "u"}', '{"password": "***", "user": "u"}'),
        ("{'api_key': 'a b'}", "{'api_key': '***'}"),
        ('{"password": "a\\"b"}', '{"password": "***"}'),
        ('{\\"password\\": \\"a b\\", \\"x\\": 1}', '{\\"password\\": ***, \\"x\\": 1}'),
        ("password: abc", "password: ***"),
        ("jdbc:x://h/db?user=a&password=b&c=d", "jdbc:x://h/db?user=a&password=***&c=d"),
        ("https://user:abc@host/x", "https://user:***@host/x"),
        ("jdbc:oracle:thin:scott/tiger@host:1521/db", "jdbc:oracle:thin:scott/***@host:1521/db"),
        (
            "url=jdbc:oracle:thin:a/b@h,thin:scott/tiger@host/db thin:a/b",
            "url=jdbc:oracle:thin:a/***@h,thin:scott/***@host/db thin:a/b",
        ),
        ("os.environ['password'  ]  = 'a b'", "os.environ['password'  ]  = '***'"),
        ("oci://bucket@namespace/path:x", "oci://bucket@namespace/path:x"),
        ("http://host:8080/a@b", "http://host:8080/a@b"),
        (
            "https://objectstorage.x/p/AbCdEfGhIjKlMnOpQrSt/n/ns/b/bu/o/x",
            "https://objectstorage.x/p/***/n/ns/b/bu/o/x",
        ),
        ("Authorization: Bearer abcdefghijklmnopqrst", "Authorization: *** ***"),
        ("eyJhbGciOi.eyJzdWIiOi.sig-nature", "***"),
        ("a-eyJ-eyJhbGciOi.eyJzdWIiOi.sig eyJx", "a-*** eyJx"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----***-----END RSA PRIVATE KEY-----",
        ),
        ("--password=${db_password}", "--password=${db_password}"),
        ("basic understanding", "basic understanding"),
        ("a.py --password abc,d;e --day 1", "a.py --password *** --day 1"),
        ("--token 'a b' c", "--token '***' c"),
        ("x=--api-token abc", "x=--api-token ***"),
        ("--password --day 1", "--password --day 1"),
        ("--password ${pw} x", "--password ${pw} x"),
        ("well-known token abc", "well-known token abc"),
    ],
)
def test_text_hides_secrets(text, redacted):
    assert REDACTOR.text(text) == redacted


@pytest.mark.parametrize(
    ("words", "redacted"),
    [
        (["--password", "x", "y"], ["--password", "***", "y"]),
        (["-token", "x"], ["-token", "***"]),
        (["--password", "${pw}"], ["--password", "${pw}"]),
        (["--use-token", "--day", "1"], ["--use-token", "--day", "1"]),
        (["--password=a,b;c d", "x"], ["--password=***", "x"]),
        (["password=a&b"], ["password=***"]),
        (["day", "1"], ["day", "1"]),
        (["--password"], ["--password"]),
        (["--password", "-5#x"], ["--password", "***"]),
        (["--token", "eyJhbGciOi.eyJzdWIiOi.sig"], ["--token", "***"]),
    ],
)
def test_arguments_hide_secrets(words, redacted):
    assert REDACTOR.arguments(words) == redacted


@pytest.mark.parametrize(
    ("line", "redacted"),
    [
        (
            "--class  Main\n--conf spark.a.secret=x  oci://b@n/a.jar",
            "--class  Main\n--conf spark.a.secret=***  oci://b@n/a.jar",
        ),
        ("a.py --password 'x y' z", "a.py --password *** z"),
        ('a.py --password "x\\"y" z', "a.py --password *** z"),
        ("a.py --password x\\ y z", "a.py --password *** z"),
        ('--conf "spark.o=-Dpassword=x -Dy=z" a', '--conf "spark.o=-Dpassword=*** -Dy=z" a'),
        ('--conf "spark.secret=x y" a', '--conf "spark.secret=***" a'),
        ("a.py --password 'x y", "a.py --password ***"),
        ("", ""),
    ],
)
def test_command_line_hides_secrets_and_keeps_spaces(line, redacted):
    assert REDACTOR.command_line(line) == redacted


def test_redacted_body_is_plain_json():
    class Unknown:
        def __str__(self) -> str:
            return "password=abc"

    body = {"a": (1, 2.5, True, None, Unknown()), "authToken": 5, "b": {1: {"secret": ["x"]}}}
    assert redacted_body(body) == {
        "a": [1, 2.5, True, None, "password=***"],
        "authToken": "***",
        "b": {"1": {"secret": "***"}},
    }


@pytest.mark.parametrize("hostile", ["a{spaces}", 'a"{spaces}]{spaces}', "{tokens}", "{passwords}"])
def test_hostile_text_takes_linear_time(hostile):
    """With a search whose time grows with the square of the length, this takes minutes."""
    length = 512 * 1024
    text = hostile.format(
        spaces=" " * length, tokens="-eyJa" * (length // 5), passwords="thin:a/" * (length // 7)
    )
    assert REDACTOR.text(text) == text
    assert REDACTOR.text(f"{text} password=abc") == f"{text} password=***"


@pytest.mark.parametrize(
    "text", ["['hunter2a', 'b2']", '["hunter2a", "b2"]', "('hunter2a', 'b2')", "{'x': 'hunter2a', 'y': 'b2'}"]
)
def test_secret_that_spells_a_collection_is_taken_apart(text):
    redactor = Redactor()
    assert redactor.value("passwords", text) == "***"
    assert redactor.hidden == {text, "hunter2a", "b2"}


def test_token_after_its_scheme_is_a_secret_of_its_own():
    redactor = Redactor()
    assert redactor.value("apiKey", "Bearer short-1") == "***"
    assert redactor.hidden >= {"Bearer short-1", "short-1"}
