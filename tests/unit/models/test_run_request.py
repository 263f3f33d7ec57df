from __future__ import annotations

import json as json_module
from datetime import timedelta
from types import MappingProxyType, SimpleNamespace

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.run_request import RunRequest, check_at_parse
from airflow_provider_dataflow.ownership.request import build_request

APPLICATION = "ocid1.dataflowapplication.oc1.iad.aaaa"
COMPARTMENT = "ocid1.compartment.oc1..bbbb"
OTHER_COMPARTMENT = "ocid1.compartment.oc1..cccc"
LOG_GROUP = "ocid1.loggroup.oc1.iad.cccc"
LOG = "ocid1.log.oc1.iad.dddd"


def build(json=None, **arguments):
    return RunRequest.build(arguments, json)


@pytest.mark.parametrize(
    ("argument", "given", "wire_name", "sent"),
    [
        ("num_executors", "2", "numExecutors", 2),
        ("num_executors", 2.0, "numExecutors", 2),
        ("max_duration_in_minutes", "60", "maxDurationInMinutes", 60),
        ("arguments", ["a", 1, 2.5, True], "arguments", ["a", "1", "2.5", "true"]),
        ("arguments", ("a",), "arguments", ["a"]),
        (
            "configuration",
            {"spark.x": 1.0, "spark.y": False},
            "configuration",
            {"spark.x": "1.0", "spark.y": "false"},
        ),
        (
            "driver_shape_config",
            {"ocpus": "1", "memory_in_gbs": 16},
            "driverShapeConfig",
            {"ocpus": 1.0, "memoryInGBs": 16.0},
        ),
        ("driver_shape_config", {"memoryInGBs": 16}, "driverShapeConfig", {"memoryInGBs": 16.0}),
        ("parameters", {"day": 1}, "parameters", [{"name": "day", "value": "1"}]),
        ("parameters", [{"name": "day", "value": ""}], "parameters", [{"name": "day", "value": ""}]),
        (
            "application_log_config",
            {"log_group_id": LOG_GROUP, "log_id": LOG},
            "applicationLogConfig",
            {"logGroupId": LOG_GROUP, "logId": LOG},
        ),
        (
            "defined_tags",
            {"Ops.Cost": 1, "Ops": {"Team": "x"}},
            "definedTags",
            {"Ops": {"Cost": 1, "Team": "x"}},
        ),
        ("type", "batch", "type", "BATCH"),
        ("logs_bucket_uri", "oci://b@n/", "logsBucketUri", "oci://b@n/"),
        ("archive_uri", "oci://b@n/a.zip, oci://b@n/b.zip", "archiveUri", "oci://b@n/a.zip,oci://b@n/b.zip"),
        # What a template renders to for a list or dict: JSON, or what Python writes.
        ("configuration", '{"spark.x": 1.0}', "configuration", {"spark.x": "1.0"}),
        ("configuration", "{'spark.x': True}", "configuration", {"spark.x": "true"}),
        ("arguments", "['a', 1]", "arguments", ["a", "1"]),
        ("arguments", ' ["a", "[b]"]\n', "arguments", ["a", "[b]"]),
        ("arguments", [], "arguments", []),
        ("parameters", '{"day": "x"}', "parameters", [{"name": "day", "value": "x"}]),
        ("parameters", '[{"name": "day", "value": 1}]', "parameters", [{"name": "day", "value": "1"}]),
        ("driver_shape_config", '{"ocpus": 2}', "driverShapeConfig", {"ocpus": 2.0}),
        ("freeform_tags", {"n": 1}, "freeformTags", {"n": "1"}),
        ("max_duration_in_minutes", 1, "maxDurationInMinutes", 1),
    ],
)
def test_values_are_sent_in_the_services_types(argument, given, wire_name, sent):
    assert build(**{argument: given}).body() == {wire_name: sent}


@pytest.mark.parametrize(
    ("arguments", "path", "problem"),
    [
        ({"num_executors": "two"}, "num_executors", "expected a number, got 'two'"),
        ({"num_executors": 1.5}, "num_executors", "expected a whole number"),
        ({"num_executors": True}, "num_executors", "expected a number"),
        ({"num_executors": "inf"}, "num_executors", "expected a number"),
        (
            {"driver_shape_config": {"ocpus": "two"}},
            "driver_shape_config.ocpus",
            "expected a number, got 'two'",
        ),
        ({"driver_shape_config": {"cpus": 1}}, "driver_shape_config.cpus", "expected ocpus, memory_in_gbs"),
        ({"driver_shape_config": "E4"}, "driver_shape_config", "expected a dict"),
        ({"arguments": "--day 1"}, "arguments", "expected a list"),
        ({"arguments": ["a", {"b": 1}]}, "arguments[1]", "expected a string, got dict"),
        ({"configuration": ["a"]}, "configuration", "expected a dict"),
        ({"configuration": {"k": None}}, "configuration['k']", "expected a string, got NoneType"),
        ({"parameters": {"a-b": "x"}}, "parameters", "letters, digits and underscores"),
        ({"parameters": [{"name": "a"}]}, "parameters[0]", "name and value"),
        ({"parameters": [{"name": "a", "value": 1}] * 2}, "parameters", "given twice"),
        ({"application_id": "ocid1.dataflowrun.oc1..x"}, "application_id", "ocid1.dataflowapplication"),
        ({"application_id": "nightly"}, "application_id", "ocid1.dataflowapplication"),
        ({"compartment_id": "root"}, "compartment_id", "ocid1.compartment... or ocid1.tenancy"),
        ({"type": "NIGHTLY"}, "type", "BATCH, STREAMING, SESSION"),
        ({"logs_bucket_uri": "s3://b/x"}, "logs_bucket_uri", "oci://bucket@namespace/path"),
        ({"defined_tags": {"Ops": 1}}, "defined_tags['Ops']", "Namespace.Key"),
        ({"json": {"numExecutors": "two"}}, "json.numExecutors", "expected a number"),
        ({"json": "nonsense"}, "json", "expected a dict or its JSON, got 'nonsense'"),
        ({"arguments": "['a'"}, "arguments", "expected a list or its JSON"),
        ({"arguments": '{"a": 1}'}, "arguments", "expected a list or its JSON"),
        ({"arguments": {"a", "b"}}, "arguments", "expected a list, got"),
        ({"configuration": "spark.x=1"}, "configuration", "expected a dict or its JSON, got 'spark.x=1'"),
        ({"parameters": "day"}, "parameters", "expected a dict or a list of name and value"),
        ({"num_executors": 0}, "num_executors", "expected 1 or more, got 0"),
        ({"num_executors": "9" * 400}, "num_executors", "expected a number"),
        ({"max_duration_in_minutes": "-5"}, "max_duration_in_minutes", "expected 1 or more"),
        ({"idle_timeout_in_minutes": 10_081}, "idle_timeout_in_minutes", "expected 1 to 10080, got 10081"),
        ({"driver_shape_config": {"ocpus": 0}}, "driver_shape_config.ocpus", "expected a number above 0"),
        ({"display_name": ""}, "display_name", "expected 1 to 255 characters, got 0"),
        ({"display_name": "x" * 256}, "display_name", "expected 1 to 255 characters, got 256"),
        ({"archive_uri": "oci://b@n/a.zip,b.zip"}, "archive_uri", "got 'b.zip'"),
        ({"warehouse_bucket_uri": "oci://b/x"}, "warehouse_bucket_uri", "oci://bucket@namespace/path"),
        ({"pool_id": APPLICATION}, "pool_id", "ocid1.dataflowpool..."),
        ({"metastore_id": "x"}, "metastore_id", "ocid1.datacatalogmetastore..."),
        (
            {"application_log_config": {"log_group_id": LOG, "log_id": LOG}},
            "application_log_config.log_group_id",
            "ocid1.loggroup...",
        ),
        (
            {"application_log_config": {"log_group_id": LOG_GROUP, "log_id": LOG_GROUP}},
            "application_log_config.log_id",
            "ocid1.log...",
        ),
        ({"application_log_config": {"logId": LOG}}, "application_log_config.log_group_id", "missing"),
        ({"freeform_tags": {str(n): "" for n in range(11)}}, "freeform_tags", "at most 10 tags, got 11"),
        ({"freeform_tags": {"k" * 101: ""}}, "freeform_tags", "keys of 1 to 100 characters"),
        ({"freeform_tags": {"": ""}}, "freeform_tags", "keys of 1 to 100 characters"),
        ({"freeform_tags": {"k": "v" * 257}}, "freeform_tags['k']", "at most 256 characters, got 257"),
        ({"defined_tags": {"N": dict.fromkeys(map(str, range(65)), 1)}}, "defined_tags", "at most 64 tags"),
        ({"defined_tags": {"N": {"k": "v" * 257}}}, "defined_tags['N']['k']", "at most 256 characters"),
        ({"defined_tags": {"N." + "k" * 101: 1}}, "defined_tags", "keys of 1 to 100 characters"),
        ({"defined_tags": {"N": {"k": {}}}}, "defined_tags['N']['k']", "expected a plain value, got dict"),
    ],
)
def test_bad_values_are_refused_by_name(arguments, path, problem):
    with pytest.raises(InvalidArgument) as caught:
        build(**arguments)
    assert caught.value.path == path
    assert problem in str(caught.value)
    assert str(caught.value).startswith(path)


def test_a_long_value_is_not_quoted_whole():
    with pytest.raises(InvalidArgument) as caught:
        build(num_executors="x" * 500)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize(
    "arguments",
    [
        {"configuration": "spark.x.password=abc"},
        {"parameters": '{"db_password": "abc"'},
        {"arguments": "--token=abc"},
        {"json": ["password: abc"]},
        {"logs_bucket_uri": "https://user:abc@host/"},
    ],
)
def test_no_secret_is_quoted(arguments):
    with pytest.raises(InvalidArgument) as caught:
        build(**arguments)
    assert "abc" not in str(caught.value)
    assert "***" in str(caught.value)


def test_named_arguments_win_over_json_and_unknown_fields_are_kept():
    request = build(
        {"displayName": "json", "numExecutors": "3", "fieldOfTomorrow": {"a": 1}}, display_name="named"
    )
    assert request.body() == {"displayName": "named", "numExecutors": 3, "fieldOfTomorrow": {"a": 1}}


@pytest.mark.parametrize("json", [{"numExecutors": "3", "further": 1}, '{"numExecutors": 3, "further": 1}'])
def test_the_body_may_be_text_and_its_known_fields_are_converted(json):
    assert build(json).body() == {"numExecutors": 3, "further": 1}


def test_a_null_in_json_says_nothing_about_a_field_that_is_known():
    assert build({"numExecutors": None}).body() == {}
    assert build({"numExecutors": None}, num_executors=1).body() == {"numExecutors": 1}


@pytest.mark.parametrize(
    ("json", "compartment"),
    [
        ('{"displayName": "see compartmentId"}', "the connection's"),
        ('{"arguments": ["compartmentId"], "freeformTags": {"compartmentId": "x"}}', "the connection's"),
        ({"displayName": "see compartmentId"}, "the connection's"),
        ({"compartmentId": None}, "the connection's"),
        ('{"compartmentId": null}', "the connection's"),
        ("{'compartmentId': None}", "the connection's"),
        ("", "the connection's"),
        (None, "the connection's"),
        ("None", "the connection's"),
        ({"compartmentId": OTHER_COMPARTMENT}, "its own"),
        (f'{{"compartmentId": "{OTHER_COMPARTMENT}"}}', "its own"),
        (f"{{'compartmentId': '{OTHER_COMPARTMENT}'}}", "its own"),
        (MappingProxyType({"compartmentId": OTHER_COMPARTMENT}), "its own"),
    ],
)
@pytest.mark.parametrize("given", [None, "None", ""])
def test_compartment_of_json_is_told_by_its_key(json, compartment, given):
    hook = SimpleNamespace(compartment_id=COMPARTMENT)
    arguments = {"application_id": APPLICATION, "compartment_id": given}
    body = build_request(hook, arguments, json, timeout=None).body()
    expected = {"the connection's": COMPARTMENT, "its own": OTHER_COMPARTMENT}
    assert body["compartmentId"] == expected[compartment]


def test_null_is_not_given_also_where_the_field_is_unknown():
    assert RunRequest.build({}, '{"further": null, "numExecutors": null}').body() == {}
    assert RunRequest.given({"num_executors": "None"}, {"numExecutors": None}) == []
    assert RunRequest.given({"num_executors": 0}, '{"a": 1}') == ["num_executors", "json"]


@pytest.mark.parametrize("json", ["compartmentId", "[1]", 5, [["a"]], "{", "{1", {("a",): 1}])
def test_a_body_that_is_none_is_refused_by_name(json):
    with pytest.raises(InvalidArgument, match=r"^json: "):
        RunRequest.build({}, json)


def test_minutes_may_be_a_timedelta():
    request = RunRequest.build(
        {"max_duration_in_minutes": timedelta(hours=1), "idle_timeout_in_minutes": "0:10:00"}
    )
    assert (request.max_duration_in_minutes, request.idle_timeout_in_minutes) == (60, 10)
    with pytest.raises(InvalidArgument, match=r"^max_duration_in_minutes: expected a whole number"):
        RunRequest.build({"max_duration_in_minutes": timedelta(seconds=90)})


def test_one_argument_by_itself():
    assert RunRequest.read("max_duration_in_minutes", "60") == 60
    assert RunRequest.read("freeform_tags", None) is None
    with pytest.raises(InvalidArgument, match=r"^idle_timeout_in_minutes: expected a number"):
        RunRequest.read("idle_timeout_in_minutes", "x")


def test_the_header_is_not_in_the_body():
    request = build(opc_parent_rpt_url="https://x")
    assert request.opc_parent_rpt_url == "https://x"
    assert request.body() == {}


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"application_id": APPLICATION}, "compartment_id"),
        ({"compartment_id": COMPARTMENT}, "application_id"),
        (
            {"compartment_id": COMPARTMENT, "application_id": APPLICATION, "spark_version": "3.5.0"},
            "spark_version",
        ),
        (
            {
                "compartment_id": COMPARTMENT,
                "application_id": APPLICATION,
                "type": "BATCH",
                "idle_timeout_in_minutes": 5,
            },
            "idle_timeout_in_minutes",
        ),
        (
            {"compartment_id": COMPARTMENT, "execute": "x", "idle_timeout_in_minutes": 5},
            "idle_timeout_in_minutes",
        ),
        (
            {
                "compartment_id": COMPARTMENT,
                "application_id": APPLICATION,
                "execute": "x",
                "idle_timeout_in_minutes": 5,
            },
            "idle_timeout_in_minutes",
        ),
    ],
)
def test_contradictions_are_refused_before_the_submit(arguments, path):
    request = build(**arguments)
    with pytest.raises(InvalidArgument) as caught:
        request.check()
    assert caught.value.path == path


def test_a_complete_request_passes():
    build(compartment_id=COMPARTMENT, application_id=APPLICATION, arguments=["${day}"]).check()
    build(compartment_id=COMPARTMENT, execute="x", arguments=["${day}"]).check()
    build(compartment_id=COMPARTMENT, execute="x", application_id=APPLICATION, spark_version="3.5.0").check()
    build(compartment_id=COMPARTMENT, execute="x", type="SESSION", idle_timeout_in_minutes=5).check()
    # It may be an application of type SESSION.
    build(compartment_id=COMPARTMENT, application_id=APPLICATION, idle_timeout_in_minutes=5).check()


def test_the_application_beside_execute_is_not_asked():
    request = build(application_id=APPLICATION, execute="oci://b@n/a.py", arguments=["${day}"])
    request.check_placeholders()
    assert request.effective_application_id is None
    assert request.subject == "execute oci://b@n/a.py"


def test_placeholders_against_the_parameters_of_an_application():
    request = build(application_id=APPLICATION, arguments=["${day}", "x${region}y"], parameters={"day": 1})
    request.check_placeholders([{"name": "region", "value": "iad"}])
    with pytest.raises(InvalidArgument, match=r"^arguments\[1\]: no parameter 'region' for \$\{region\}"):
        request.check_placeholders()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"execute": "x"}, []),
        ({"application_id": APPLICATION, "arguments": ["a"]}, []),
        ({"execute": "x", "arguments": []}, []),
        (
            {"execute": "x", "arguments": ["a"], "configuration": {"a": 1}, "json": {"className": "Main"}},
            ["No effect beside execute, which alone counts: arguments, className, configuration"],
        ),
        (
            {"execute": "x", "application_id": APPLICATION, "parameters": {"a": 1}},
            ["No effect beside execute, which alone counts: applicationId, parameters"],
        ),
        (
            {"execute": "x ${day} ${day}/${b}"},
            ["execute: nothing fills in ${day}, ${b}, as parameters do not count beside it"],
        ),
        (
            {"execute": "x", "json": {"num_executors": 1}},
            ["json.num_executors: the API does not know this name; its own is numExecutors"],
        ),
    ],
)
def test_warnings_of_what_is_hardly_meant(arguments, expected):
    assert build(**arguments).warnings() == expected


class Later:
    """What another task gives."""


PLAIN = {"application_id": APPLICATION, "num_executors": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"compartment_id": None},
        {"num_executors": "{{ params.n }}"},
        {"arguments": "{{ var.json.arguments }}"},
        {"arguments": ["a", "${day}", "{% if x %}"]},
        {"arguments": ["${day}"]},
        {"configuration": {"{{ a }}": object()}},
        {"configuration": Later()},
        {"configuration": {"a": Later()}},
        {"application_id": None, "json": "{{ var.json.body }}"},
        {"application_id": None, "json": Later()},
        {"application_id": None, "json": {"applicationId": Later()}},
        {"application_id": None, "json": {"{{ field }}": "x"}},
        {"application_id": None, "json": {"applicationId": APPLICATION}},
        {"execute": "{{ params.execute or '' }}"},
        {"application_id": "{{ x }}", "execute": "oci://b@n/a.py"},
        {"spark_version": "3.5.0", "json": {"execute": "{{ x }}"}, "application_id": None},
        {"idle_timeout_in_minutes": 5, "type": "{{ x }}"},
        {"num_executors": "{{ n }}", "json": {"numExecutors": "of no use"}},
        {"of_another_kind": {1, 2}},
        {"execute": "oci://b@n/a.py", "arguments": ["${day}"]},
        {"execute": "oci://b@n/{{ 'a' }}.py \\\n--day 1"},
    ],
)
def test_at_parse_nothing_is_refused_that_may_be_right_in_the_end(arguments):
    given = PLAIN | arguments
    check_at_parse(given, given.pop("json", None))


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ({"num_executors": "two"}, "num_executors"),
        ({"application_id": None}, "application_id"),
        ({"application_id": None, "json": {"num_executors": "{{ x }}"}}, "application_id"),
        ({"execute": "oci://b@n/a.py \\\n--class x"}, "execute"),
        ({"display_name": "{{ x }}", "pool_id": "pool"}, "pool_id"),
        ({"configuration": ["a"]}, "configuration"),
        ({"spark_version": "3.5.0"}, "spark_version"),
        ({"type": "BATCH", "idle_timeout_in_minutes": 5}, "idle_timeout_in_minutes"),
        ({"json": {"numExecutors": 0}, "num_executors": None}, "json.numExecutors"),
        ({"json": "[]"}, "json"),
    ],
)
def test_at_parse_what_is_certainly_wrong_is_refused(arguments, path):
    given = PLAIN | arguments
    with pytest.raises(InvalidArgument) as caught:
        check_at_parse(given, given.pop("json", None))
    assert caught.value.path == path


def test_the_request_is_shown_without_its_secrets():
    request = build(
        {"tomorrow": {"authToken": "s1", "n": 1}},
        compartment_id=COMPARTMENT,
        execute="--conf spark.x.password=s2 oci://b@n/a.py --secret s3 plain",
        parameters={"db_password": "s4", "day": "1"},
        configuration={"spark.hadoop.fs.oci.client.auth.passphrase": "s5", "spark.y": "1"},
        arguments=["--password", "s6", "--day", "${day}"],
        freeform_tags={"token": "s7", "team": "x"},
        opc_parent_rpt_url="https://s8",
    )
    shown = request.redacted()
    assert shown == {
        "headers": {"opc-parent-rpt-url": "***"},
        "body": {
            "tomorrow": {"authToken": "***", "n": 1},
            "arguments": ["--password", "***", "--day", "${day}"],
            "compartmentId": COMPARTMENT,
            "configuration": {"spark.hadoop.fs.oci.client.auth.passphrase": "***", "spark.y": "1"},
            "execute": "--conf spark.x.password=*** oci://b@n/a.py --secret *** plain",
            "freeformTags": {"token": "***", "team": "x"},
            "parameters": [{"name": "db_password", "value": "***"}, {"name": "day", "value": "1"}],
        },
    }
    assert json_module.loads(json_module.dumps(shown)) == shown
    assert request.body()["parameters"][0]["value"] == "s4"
    assert not any(f"s{n}" in repr(request) for n in range(1, 9))
    assert build(display_name="x").redacted() == {"body": {"displayName": "x"}}
    assert build(freeform_tags={"team": "x"}).redacted(["team"])["body"] == {"freeformTags": {"team": "***"}}
