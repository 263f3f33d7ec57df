"""Behaviour that all request bodies share."""

from __future__ import annotations

import pytest

from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.application import ApplicationDetails
from airflow_provider_dataflow.models.pool import PoolDetails
from airflow_provider_dataflow.models.run_request import RunRequest, RunUpdate
from airflow_provider_dataflow.models.statement import StatementDetails

BODIES = [ApplicationDetails, PoolDetails, RunRequest, RunUpdate, StatementDetails]
TAGGED_BODIES = [ApplicationDetails, PoolDetails, RunRequest, RunUpdate]


@pytest.mark.parametrize("body_class", BODIES)
def test_nothing_given_gives_an_empty_body(body_class):
    request = body_class.build(dict.fromkeys(body_class.argument_names()), json={})
    assert request.body() == {}
    assert request == body_class()
    assert request.differences({"displayName": "existing"}) == {}


@pytest.mark.parametrize("body_class", TAGGED_BODIES)
def test_arguments_override_json_and_unknown_fields_are_kept(body_class):
    json = {"freeformTags": {"a": "json"}, "definedTags": {"Ops.Cost": 1}, "addedLater": None, "other": 1}
    request = body_class.build({"freeform_tags": {"a": "argument"}, "defined_tags": "None"}, json)
    assert request.body() == {
        "freeformTags": {"a": "argument"},
        "definedTags": {"Ops": {"Cost": 1}},
        "other": 1,
    }
    assert body_class.given({"freeform_tags": {}}, json) == ["freeform_tags", "json"]


@pytest.mark.parametrize("body_class", TAGGED_BODIES)
def test_error_names_the_field_of_json(body_class):
    with pytest.raises(InvalidArgument, match=r"^json\.freeformTags: expected a dict"):
        body_class.build({}, {"freeformTags": 1})


@pytest.mark.parametrize("body_class", TAGGED_BODIES)
def test_check_at_parse_skips_templates(body_class):
    body_class.check_at_parse({"freeform_tags": "{{ x }}", "defined_tags": {"{{ x }}": 1}}, "{{ x }}")
    with pytest.raises(InvalidArgument, match=r"^freeform_tags: "):
        body_class.check_at_parse({"freeform_tags": 1, "defined_tags": "{{ x }}"})


@pytest.mark.parametrize("body_class", TAGGED_BODIES)
def test_repr_hides_secrets(body_class):
    assert "MARKED" not in repr(body_class.build({"freeform_tags": {"password": "MARKED"}}))


def test_verbatim_argument_keeps_the_text_none():
    assert StatementDetails.build({"code": "None"}).body() == {"code": "None"}
