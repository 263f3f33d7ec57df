from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.engines.rules import PREFIX, Course, Rule, Rules

RUN = {"displayName": "etl-orders", "applicationId": "ocid1.a", "freeformTags": {"team": "sales-eu"}}


def test_a_course_from_a_configuration():
    configuration = {
        "spark.other": "x",
        f"{PREFIX}outcome": "FAILED",
        f"{PREFIX}duration": "90.5",
        f"{PREFIX}bytesRead": "10",
        f"{PREFIX}details": " ",
    }
    course = Course.from_configuration(configuration)
    assert course == Course(outcome="FAILED", duration=90.5, bytes_read=10)
    assert Course.from_json(course.as_json()) == course
    assert Course.from_configuration({"spark.other": "x"}) == Course()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("outcome", "succeeded", "outcome must be one of SUCCEEDED"),
        ("outcome", "ACCEPTED", "outcome must be one of"),
        ("state", "pausing", "state must be of capitals"),
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
def test_a_wrong_configuration(key, value, message):
    with pytest.raises(ValueError, match=message):
        Course.from_configuration({PREFIX + key: value})


def test_field_by_field():
    course = Course(outcome="FAILED", duration=0).over(Course(outcome="STOPPED", duration=9, startup=3))
    assert course == Course(outcome="FAILED", duration=0, startup=3)


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
def test_what_a_rule_matches(match, expected):
    rule = Rule.from_json(match | {"attempts": [{"outcome": "FAILED"}]})
    assert rule.matches(RUN) is expected
    assert Rule.from_json(rule.as_json()) == rule


def test_a_run_without_name_and_tags():
    bare = {"displayName": None, "freeformTags": None}
    assert not Rule(attempts=[Course()], display_name="?*").matches(bare)
    assert not Rule(attempts=[Course()], freeform_tags={"a": "*"}).matches(bare)


def test_attempts_in_turn():
    first, second, other = Course(outcome="FAILED"), Course(outcome="SUCCEEDED"), Course(duration=1)
    rules = Rules()
    rules.set([Rule(attempts=[first, second], display_name="etl-*"), Rule(attempts=[other])])
    assert [rules.take(RUN) for _ in range(3)] == [first, second, second]
    assert rules.take(RUN | {"displayName": "x"}) == other
    assert [rule["matched"] for rule in rules.as_json()] == [3, 1]
    # What was read can be set again.
    rules.set(Rule.from_json(rule) for rule in rules.as_json())
    assert rules.take(RUN) == first
    rules.set([])
    assert rules.take(RUN) is None


def test_one_more_rule_leaves_the_counts_of_the_others():
    first, second, other = Course(outcome="FAILED"), Course(outcome="SUCCEEDED"), Course(duration=1)
    rules = Rules()
    rules.set([Rule(attempts=[first, second], display_name="etl-*")])
    assert rules.take(RUN) == first
    rules.add(Rule(attempts=[other], display_name="x"))
    assert rules.take(RUN) == second
    assert rules.take(RUN | {"displayName": "x"}) == other
    assert [(rule["displayName"], rule["matched"]) for rule in rules.as_json()] == [("x", 1), ("etl-*", 2)]
    rules.add(Rule(attempts=[other]))
    assert rules.take(RUN) == other


def test_too_many_rules():
    rules = Rules()
    rules.set([Rule(attempts=[Course()])] * 1000)
    with pytest.raises(ValueError, match="at most 1000"):
        rules.add(Rule(attempts=[Course()]))


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
def test_a_wrong_rule(rule, message):
    with pytest.raises(ValueError, match=message):
        Rule.from_json(rule)
