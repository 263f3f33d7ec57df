from __future__ import annotations

import pytest

from airflow_provider_dataflow.lineage.datasets import (
    DataSet,
    Direction,
    RunDataSets,
    arguments_in,
    direction_of,
)

IN, OUT, OTHER = (DataSet("oci://data@ns", f"/{name}") for name in ("in", "out", "other"))


def sets_of(*arguments: str, parameters: list[dict[str, str]] | None = None) -> tuple[list[DataSet], ...]:
    sets = RunDataSets()
    sets.add_arguments(arguments, parameters)
    return list(sets.inputs), list(sets.outputs), list(sets.others)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("oci://data@ns/a/b.csv", "/a/b.csv"),
        ("oci://data@ns/a/", "/a"),
        ("oci://data@ns/a/*.csv", "/a/*.csv"),
        ("oci://data@ns/", "/"),
        ("oci://data@ns", "/"),
        (" oci://data@ns/a ", "/a"),
    ],
)
def test_data_set_is_named_as_by_sparks_listener(uri, name):
    assert DataSet.of(uri) == DataSet("oci://data@ns", name)


@pytest.mark.parametrize("text", ["", "a", "s3://b/k", "oci://bucket/a", "see oci://data@ns/a", "oci://"])
def test_other_text_is_no_data_set(text):
    assert DataSet.of(text) is None


@pytest.mark.parametrize("name", ["--input", "inputPath", "source.uri", "src", "read-from", "in_path"])
def test_name_says_that_data_is_read(name):
    assert direction_of(name) is Direction.READ


@pytest.mark.parametrize("name", ["--output", "OUT", "targetTable", "dest_dir", "result", "write_to"])
def test_name_says_that_data_is_written(name):
    assert direction_of(name) is Direction.WRITE


@pytest.mark.parametrize("name", ["", "path", "index", "router", "input_to_output", "checkpoint", "tool"])
def test_name_says_nothing(name):
    assert direction_of(name) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--input", "oci://data@ns/in", "--output", "oci://data@ns/out", "oci://data@ns/other"],
        ["--input=oci://data@ns/in", "oci://data@ns/other", "output=oci://data@ns/out"],
        ["--verbose", "oci://data@ns/other", "-input", "oci://data@ns/in/", "--out", "oci://data@ns/out"],
        [
            '{"input": {"uri": "oci://data@ns/in"}, "output": ["oci://data@ns/out"], "x": "oci://data@ns/other"}'
        ],
    ],
)
def test_options_say_what_is_read_and_written(arguments):
    assert sets_of(*arguments) == ([IN], [OUT], [OTHER])


def test_option_in_the_plural_takes_several_values():
    assert sets_of("--inputs", "oci://data@ns/in", "oci://data@ns/other")[0] == [IN, OTHER]
    assert sets_of("--inputs", "oci://data@ns/in,oci://data@ns/other")[0] == [IN, OTHER]
    assert sets_of("--input", "oci://data@ns/in", "oci://data@ns/other") == ([IN], [], [OTHER])


def test_parameters_are_filled_in():
    parameters = [
        {"name": "bucket", "value": "oci://data@ns"},
        {"name": "target", "value": "oci://data@ns/out"},
    ]
    arguments = ["--input", "${bucket}/in", "${target}", "${unknown}"]
    assert sets_of(*arguments, parameters=parameters)[:2] == ([IN], [OUT])


def test_data_set_may_be_read_and_written():
    assert sets_of("--input", "oci://data@ns/in", "--output", "oci://data@ns/in") == ([IN], [IN], [])


def test_programs_in_a_command_line_are_no_data_sets():
    line = (
        "--jars oci://code@ns/a.jar --conf spark.x.input=oci://code@ns/x --verbose --class=A "
        "oci://code@ns/app.jar --input 'oci://data@ns/in'"
    )
    assert arguments_in(line) == ["--input", "oci://data@ns/in"]
    assert arguments_in("oci://code@ns/app.py 'unclosed") == []
