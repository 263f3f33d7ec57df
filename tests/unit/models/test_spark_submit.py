from __future__ import annotations

import shlex

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.execute_text import execute_text
from airflow_provider_dataflow.models.spark_submit import (
    command_line,
    has_scheme,
    local_paths,
    properties_in,
    with_properties,
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("./app.py", [("", "./app.py")]),
        ("app.py --day 1", [("", "app.py")]),
        ("/opt/app.jar", [("", "/opt/app.jar")]),
        ("~/app.py", [("", "~/app.py")]),
        ("--class demo.Main --conf a=b jobs/app.jar x", [("", "jobs/app.jar")]),
        ("--verbose app.py", [("", "app.py")]),
        ("--py-files lib.zip,oci://b@n/other.zip oci://b@n/app.py", [("--py-files", "lib.zip")]),
        ("--jars=a.jar --files ../x.json oci://b@n/app.py", [("--jars", "a.jar"), ("--files", "../x.json")]),
        # Arguments of the application are its own affair.
        ("oci://b@n/app.py ./data.csv /tmp/x.py --files y.json", []),
        ("--conf spark.files=./x.json oci://b@n/app.py", []),
        ("${main}.py", []),
        # Not told from a name that somebody else understands.
        ("/data/x", []),
        ("--class", []),
        ("oci://b@n/app.py 'unclosed", []),
        ("", []),
    ],
)
def test_local_paths(text, found):
    assert list(local_paths(text)) == found


def test_local_file_in_execute_is_refused_with_the_argument_that_uploads_it():
    with pytest.raises(InvalidArgument, match=r"^execute: './app\.py' is a local file.* as application"):
        execute_text("./app.py --day 1", "execute")
    with pytest.raises(InvalidArgument, match=r"'lib\.zip' is a local file.* as py_files"):
        execute_text("--py-files lib.zip oci://b@n/app.py", "execute")


def test_command_line_keeps_every_word():
    line = command_line(
        "oci://b@n/app.py",
        java_class="demo.Main",
        configuration={"spark.a": "x y", "spark.b": 'it\'s "quoted" $HOME'},
        py_files=["oci://b@n/a.zip", "oci://b@n/b.py"],
        files=["oci://b@n/c#d"],
        jars=["oci://b@n/e.jar"],
        application_args=["--day", "", "a'b", "${x}", "c\nd"],
    )
    assert shlex.split(line) == [
        *("--class", "demo.Main", "--py-files", "oci://b@n/a.zip,oci://b@n/b.py", "--files", "oci://b@n/c#d"),
        *("--jars", "oci://b@n/e.jar", "--conf", "spark.a=x y"),
        *("--conf", 'spark.b=it\'s "quoted" $HOME', "oci://b@n/app.py", "--day", "", "a'b", "${x}", "c\nd"),
    ]
    assert command_line("oci://b@n/app.py") == "oci://b@n/app.py"


@pytest.mark.parametrize(
    ("text", "properties"),
    [
        ("oci://b@n/a.py --conf spark.x=1", {}),
        (
            "--conf spark.x=1 -c 'spark.y=a = b' --conf=spark.z=3 oci://b@n/a.py",
            {"x": "1", "y": "a = b", "z": "3"},
        ),
        ("--verbose --conf spark.x=1 --conf spark.x=2 --class A oci://b@n/a.jar", {"x": "2"}),
        ("--conf spark.x --conf", {"x": "", "": ""}),
        ("--conf 'spark.x=1 oci://b@n/a.py", {}),
        ("", {}),
    ],
)
def test_properties_in_a_command_line(text, properties):
    assert properties_in(text) == {
        f"spark.{name}" if name else name: value for name, value in properties.items()
    }


def test_further_properties_keep_every_word():
    properties = {"spark.b": "it's $HOME", "spark.a": ""}
    extended = with_properties("--conf spark.x=1 oci://b@n/a.py 'a  b'", properties)
    assert extended.endswith(" --conf spark.x=1 oci://b@n/a.py 'a  b'")
    assert properties_in(extended) == {**properties, "spark.x": "1"}
    assert with_properties("oci://b@n/a.py", {}) == "oci://b@n/a.py"


@pytest.mark.parametrize(
    ("path", "expected"), [("oci://b@n/x", True), ("https://x/y", True), ("a/b.py", False), ("/a:b", False)]
)
def test_scheme(path, expected):
    assert has_scheme(path) is expected
