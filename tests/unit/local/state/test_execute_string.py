from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.http.messages import ApiError
from airflow_provider_dataflow.local.state.execute_string import fill_in, parse_execute


def test_all_options_are_parsed():
    parsed = parse_execute(
        "--class org.example.Main --conf spark.a=b=c --conf=spark.d='e f' -c spark.g=h --jars oci://b@n/1.jar,"
        "oci://b@n/2.jar --files oci://b@n/f --file oci://b@n/g --py-files oci://b@n/p.zip "
        "--archives oci://b@n/a.zip#deps oci://b@n/main.jar --class x 'two words' \"\" ${month}"
    )
    assert parsed.main == "oci://b@n/main.jar"
    assert parsed.class_name == "org.example.Main"
    assert parsed.language == "JAVA"
    assert parsed.configuration == {"spark.a": "b=c", "spark.d": "e f", "spark.g": "h"}
    assert parsed.jars == ["oci://b@n/1.jar", "oci://b@n/2.jar"]
    assert parsed.files == ["oci://b@n/f", "oci://b@n/g"]
    assert parsed.py_files == ["oci://b@n/p.zip"]
    assert parsed.archives == ["oci://b@n/a.zip#deps"]
    assert parsed.arguments == ["--class", "x", "two words", "", "${month}"]


def test_options_that_are_spark_properties():
    parsed = parse_execute("--packages g:a:1,g:b:2 --driver-java-options '-Da=1 -Db=2' oci://b@n/a.py")
    assert parsed.configuration == {
        "spark.jars.packages": "g:a:1,g:b:2",
        "spark.driver.extraJavaOptions": "-Da=1 -Db=2",
    }


@pytest.mark.parametrize(("main", "language"), [("oci://b@n/a.py", "PYTHON"), ("oci://b@n/a.SQL", "SQL")])
def test_language_follows_the_main_file(main, language):
    assert parse_execute(main).language == language


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no main application file"),
        ("--class", "--class needs a value"),
        ("--conf spark.a oci://b@n/a.py", "needs name=value"),
        ("--master local oci://b@n/a.py", "--master is not supported"),
        ("oci://b@n/a.py 'open", "cannot be parsed"),
        ("oci://b@n/a.jar", "needs --class"),
        ("--files /etc/passwd oci://b@n/a.py", "--files: '/etc/passwd' is not of the form"),
        ("--jars oci://b@n/a.jar,local:///b.jar oci://b@n/a.py", "--jars: 'local:///b.jar' is not of"),
    ],
)
def test_invalid_execute_strings_are_400(text, message):
    with pytest.raises(ApiError, match=message) as e:
        parse_execute(text)
    assert (e.value.status, e.value.code) == (400, "InvalidParameter")


def test_placeholders_are_replaced():
    parameters = [{"name": "month", "value": "2026-01"}, {"name": "_2", "value": ""}]
    arguments = ["--month=${month}", "${_2}", "$month", "${a b}", "${month}/${month}"]
    assert fill_in(arguments, parameters) == ["--month=2026-01", "", "$month", "${a b}", "2026-01/2026-01"]
    with pytest.raises(ApiError, match=r"\$\{year\}"):
        fill_in(["${year}"], parameters)
