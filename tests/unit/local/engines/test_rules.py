from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.engines.rules import PREFIX, Course, Rule, Rules, RunScript

RUN = {"displayName": "etl-orders", "applicationId": "ocid1.a", "freeformTags": {"team": "sales-eu"}}


def test_run_script_is_read_from_a_configuration():
    configuration = {
        "spark.other": "x",
        f"{PREFIX}outcome": "FAILED",
        f"{PREFIX}duration": "90.5",
        f"{PREFIX}bytesRead": "10",
        f"{PREFIX}details": " ",
    }
    script = RunScript.from_configuration(configuration)
    assert script == RunScript(outcome="FAILED", duration=90.5, bytes_read=10)
    assert RunScript.from_json(script.as_json()) == script
    assert RunScript.from_configuration({"spark.other": "x"}) == RunScript()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("outcome", "succeeded", "outcome must be one of SUCCEEDED"),
        ("outcome", "ACCEPTED", "outcome must be one of"),
        ("state", "pausing", "state must be at most 64 capital"),
        ("duration", "soon", "duration must be a number of seconds"),
        ("duration", "-1", "duration must be"),
        ("duration", "nan", "duration must be"),
        ("duration", "inf", "duration must be"),
        ("startup", "1e300", "startup must be"),
        ("cancelDuration", "x", "cancelDuration must be"),
        ("bytesRead", "1.5", "bytesRead must be a whole number"),
        ("bytesWritten", "9" * 40, "bytesWritten must be"),
        ("outcom", "FAILED", "no field 'outcom'"),
    ],
)
def test_wrong_configuration_names_the_key(key, value, message):
    with pytest.raises(ValueError, match=message):
        RunScript.from_configuration({PREFIX + key: value})


def test_script_fields_are_merged_one_by_one():
    script = RunScript(outcome="FAILED", duration=0).over(RunScript(outcome="STOPPED", duration=9, startup=3))
    assert script == RunScript(outcome="FAILED", duration=0, startup=3)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({}, True),
        ({"displayName": "etl-*"}, True),
        ({"displayName": "ETL-*"}, False),
        ({"displayName": "etl"}, False),
        ({"applicationId": "ocid1.a"}, True),
        ({"applicationId": "ocid1.b"}, False),
        ({"freeformTags": {"team": "sales-*"}}, True),
        ({"freeformTags": {"team": "sales-*", "x": "*"}}, False),
        ({"displayName": "etl-*", "applicationId": "ocid1.b"}, False),
    ],
)
def test_rule_matches_name_application_and_tags(match, expected):
    rule = Rule.from_json(match | {"attempts": [{"outcome": "FAILED"}]})
    assert rule.matches(RUN) is expected
    assert Rule.from_json(rule.as_json()) == rule


def test_rule_does_not_match_a_run_without_name_and_tags():
    bare = {"displayName": None, "freeformTags": None}
    assert not Rule(attempts=[RunScript()], display_name="?*").matches(bare)
    assert not Rule(attempts=[RunScript()], freeform_tags={"a": "*"}).matches(bare)


def test_rule_gives_its_attempts_in_order():
    first, second, other = RunScript(outcome="FAILED"), RunScript(outcome="SUCCEEDED"), RunScript(duration=1)
    rules = Rules()
    rules.set([Rule(attempts=[first, second], display_name="etl-*"), Rule(attempts=[other])])
    assert [rules.next_script(RUN) for _ in range(3)] == [first, second, second]
    assert rules.next_script(RUN | {"displayName": "x"}) == other
    assert [rule["matched"] for rule in rules.as_json()] == [3, 1]
    # The JSON of a rule, with its count, can be read again.
    rules.set(Rule.from_json(rule) for rule in rules.as_json())
    assert rules.next_script(RUN) == first
    rules.set([])
    assert rules.next_script(RUN) is None


def test_added_rule_keeps_the_counts_of_the_others():
    first, second, other = RunScript(outcome="FAILED"), RunScript(outcome="SUCCEEDED"), RunScript(duration=1)
    rules = Rules()
    rules.set([Rule(attempts=[first, second], display_name="etl-*")])
    assert rules.next_script(RUN) == first
    rules.add(Rule(attempts=[other], display_name="x"))
    assert rules.next_script(RUN) == second
    assert rules.next_script(RUN | {"displayName": "x"}) == other
    assert [(rule["displayName"], rule["matched"]) for rule in rules.as_json()] == [("x", 1), ("etl-*", 2)]
    rules.add(Rule(attempts=[other]))
    assert rules.next_script(RUN) == other


def test_number_of_rules_is_limited():
    rules = Rules()
    rules.set([Rule(attempts=[RunScript()])] * 1000)
    with pytest.raises(ValueError, match="at most 1000"):
        rules.add(Rule(attempts=[RunScript()]))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("x", "a rule must be an object"),
        ({}, "needs attempts"),
        ({"attempts": []}, "needs attempts"),
        ({"attempts": "FAILED"}, "attempts must be a list"),
        ({"attempts": ["FAILED"]}, "an attempt must be an object"),
        ({"attempts": [{"outcome": "x"}]}, "outcome"),
        ({"attempts": [{"duration": True}]}, "duration"),
        ({"attempts": [{}], "displayName": 1}, "displayName"),
        ({"attempts": [{}], "freeformTags": ["a"]}, "freeformTags"),
        ({"attempts": [{}], "name": "x"}, "no field 'name'"),
    ],
)
def test_wrong_rule_names_the_field(rule, message):
    with pytest.raises(ValueError, match=message):
        Rule.from_json(rule)


def test_former_name_of_run_script_can_be_imported():
    assert Course is RunScript
