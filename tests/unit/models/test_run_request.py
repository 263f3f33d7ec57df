from __future__ import annotations

import json as json_module
from datetime import timedelta
from types import MappingProxyType, SimpleNamespace

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.run_request import RunRequest, RunUpdate
from airflow_provider_dataflow.ownership.request import build_request

APPLICATION = "ocid1.dataflowapplication.oc1.iad.aaaa"
COMPARTMENT = "ocid1.compartment.oc1..bbbb"
OTHER_COMPARTMENT = "ocid1.compartment.oc1..cccc"
LOG_GROUP = "ocid1.loggroup.oc1.iad.cccc"
LOG = "ocid1.log.oc1.iad.dddd"


def build(json=None, **arguments):
    return RunRequest.build(arguments, json)


@pytest.mark.parametrize(
    ("argument", "given", "api_name", "expected"),
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
        # Templates render lists and dicts to JSON, or to text as Python prints them.
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
def test_values_are_converted_to_the_types_of_the_api(argument, given, api_name, expected):
    assert build(**{argument: given}).body() == {api_name: expected}


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
        ({"num_executors": 1e30}, "num_executors", "expected 1 to 2147483647, got 1e+30"),
        ({"max_duration_in_minutes": 2**31}, "max_duration_in_minutes", "expected 1 to 2147483647"),
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
def test_error_names_path_and_problem_of_invalid_value(arguments, path, problem):
    with pytest.raises(InvalidArgument) as caught:
        build(**arguments)
    assert caught.value.path == path
    assert problem in str(caught.value)
    assert str(caught.value).startswith(path)


def test_error_quotes_only_the_start_of_a_long_value():
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
def test_error_hides_secrets_in_the_quoted_value(arguments):
    with pytest.raises(InvalidArgument) as caught:
        build(**arguments)
    assert "abc" not in str(caught.value)
    assert "***" in str(caught.value)


def test_arguments_override_json_and_unknown_fields_are_kept():
    request = build(
        {"displayName": "json", "numExecutors": "3", "fieldAddedLater": {"a": 1}}, display_name="named"
    )
    assert request.body() == {"displayName": "named", "numExecutors": 3, "fieldAddedLater": {"a": 1}}


@pytest.mark.parametrize(
    "json", [{"numExecutors": "3", "addedLater": 1}, '{"numExecutors": 3, "addedLater": 1}']
)
def test_json_may_be_text_and_its_known_fields_are_converted(json):
    assert build(json).body() == {"numExecutors": 3, "addedLater": 1}


def test_null_in_json_counts_as_not_given():
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
def test_compartment_comes_from_connection_unless_json_has_the_field(json, compartment, given):
    hook = SimpleNamespace(compartment_id=COMPARTMENT)
    arguments = {"application_id": APPLICATION, "compartment_id": given}
    body = build_request(hook, arguments, json, timeout=None).body()
    expected = {"the connection's": COMPARTMENT, "its own": OTHER_COMPARTMENT}
    assert body["compartmentId"] == expected[compartment]


def test_null_of_unknown_field_counts_as_not_given():
    assert RunRequest.build({}, '{"addedLater": null, "numExecutors": null}').body() == {}
    assert RunRequest.given({"num_executors": "None"}, {"numExecutors": None}) == []
    assert RunRequest.given({"num_executors": 0}, '{"a": 1}') == ["num_executors", "json"]


@pytest.mark.parametrize("json", ["compartmentId", "[1]", 5, [["a"]], "{", "{1", {("a",): 1}])
def test_json_that_is_no_object_is_refused(json):
    with pytest.raises(InvalidArgument, match=r"^json: "):
        RunRequest.build({}, json)


def test_minutes_accept_a_timedelta():
    request = RunRequest.build(
        {"max_duration_in_minutes": timedelta(hours=1), "idle_timeout_in_minutes": "0:10:00"}
    )
    assert (request.max_duration_in_minutes, request.idle_timeout_in_minutes) == (60, 10)
    with pytest.raises(InvalidArgument, match=r"^max_duration_in_minutes: expected a whole number"):
        RunRequest.build({"max_duration_in_minutes": timedelta(seconds=90)})


def test_coerce_converts_one_argument():
    assert RunRequest.coerce("max_duration_in_minutes", "60") == 60
    assert RunRequest.coerce("freeform_tags", None) is None
    with pytest.raises(InvalidArgument, match=r"^idle_timeout_in_minutes: expected a number"):
        RunRequest.coerce("idle_timeout_in_minutes", "x")


def test_header_is_not_in_the_body():
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
def test_check_refuses_contradictory_arguments(arguments, path):
    request = build(**arguments)
    with pytest.raises(InvalidArgument) as caught:
        request.check()
    assert caught.value.path == path


def test_check_accepts_complete_requests():
    build(compartment_id=COMPARTMENT, application_id=APPLICATION, arguments=["${day}"]).check()
    build(compartment_id=COMPARTMENT, execute="x", arguments=["${day}"]).check()
    build(compartment_id=COMPARTMENT, execute="x", application_id=APPLICATION, spark_version="3.5.0").check()
    build(compartment_id=COMPARTMENT, execute="x", type="SESSION", idle_timeout_in_minutes=5).check()
    # The application may have the type SESSION.
    build(compartment_id=COMPARTMENT, application_id=APPLICATION, idle_timeout_in_minutes=5).check()


def test_execute_takes_precedence_over_the_application():
    request = build(application_id=APPLICATION, execute="oci://b@n/a.py", arguments=["${day}"])
    request.check_placeholders()
    assert request.effective_application_id is None
    assert request.subject == "execute oci://b@n/a.py"


def test_placeholders_need_a_parameter_of_run_or_application():
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
            ["Ignored by the service because execute is given: arguments, className, configuration"],
        ),
        (
            {"execute": "x", "application_id": APPLICATION, "parameters": {"a": 1}},
            ["Ignored by the service because execute is given: applicationId, parameters"],
        ),
        (
            {"execute": "x ${day} ${day}/${b}"},
            ["execute: ${day}, ${b} will not be replaced: parameters are ignored beside execute"],
        ),
        (
            {"execute": "x", "json": {"num_executors": 1}},
            ["json.num_executors: the API does not know this name; use numExecutors"],
        ),
    ],
)
def test_warnings_name_arguments_without_effect(arguments, expected):
    assert build(**arguments).warnings() == expected


class Unresolved:
    """Stands for an XComArg, whose value is known only when the task runs."""


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
        {"configuration": Unresolved()},
        {"configuration": {"a": Unresolved()}},
        {"application_id": None, "json": "{{ var.json.body }}"},
        {"application_id": None, "json": Unresolved()},
        {"application_id": None, "json": {"applicationId": Unresolved()}},
        {"application_id": None, "json": {"{{ field }}": "x"}},
        {"application_id": None, "json": {"applicationId": APPLICATION}},
        {"execute": "{{ params.execute or '' }}"},
        {"application_id": "{{ x }}", "execute": "oci://b@n/a.py"},
        {"spark_version": "3.5.0", "json": {"execute": "{{ x }}"}, "application_id": None},
        {"idle_timeout_in_minutes": 5, "type": "{{ x }}"},
        {"num_executors": "{{ n }}", "json": {"numExecutors": "ignored"}},
        {"of_no_request": {1, 2}},
        {"execute": "oci://b@n/a.py", "arguments": ["${day}"]},
        {"execute": "oci://b@n/{{ 'a' }}.py \\\n--day 1"},
    ],
)
def test_check_at_parse_accepts_arguments_that_may_become_valid(arguments):
    given = PLAIN | arguments
    RunRequest.check_at_parse(given, given.pop("json", None))


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
def test_check_at_parse_refuses_arguments_that_stay_invalid(arguments, path):
    given = PLAIN | arguments
    with pytest.raises(InvalidArgument) as caught:
        RunRequest.check_at_parse(given, given.pop("json", None))
    assert caught.value.path == path


def test_redacted_and_repr_hide_secrets():
    request = build(
        {"addedLater": {"authToken": "s1", "n": 1}},
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
            "addedLater": {"authToken": "***", "n": 1},
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


def test_update_accepts_idle_timeout_of_sessions_only():
    update = RunUpdate.build({"idle_timeout_in_minutes": 5})
    assert update.differences({"type": "SESSION"}) == {"idleTimeoutInMinutes": 5}
    with pytest.raises(InvalidArgument, match="only for runs of type SESSION"):
        update.differences({"type": "BATCH"})
