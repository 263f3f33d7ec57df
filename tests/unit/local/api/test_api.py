"""Operations of runs and applications, called without a network."""

from __future__ import annotations

import gzip
import json
import re

import oci
import pytest

from airflow_provider_dataflow.local.api import applications, runs
from airflow_provider_dataflow.local.engines.base import RunOutcome
from airflow_provider_dataflow.local.http.keys import KeyRing, new_identity
from airflow_provider_dataflow.local.http.messages import Request
from airflow_provider_dataflow.local.state.options import EndedRunDelete, Options
from tests.unit.local.support import APPLICATION, COMPARTMENT, Local


def wire_names(model: type) -> set[str]:
    return set(model().attribute_map.values())


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        (oci.data_flow.models.Run, runs.FIELDS),
        (oci.data_flow.models.RunSummary, runs.SUMMARY_FIELDS),
        (oci.data_flow.models.Application, applications.FIELDS),
        (oci.data_flow.models.ApplicationSummary, applications.SUMMARY_FIELDS),
    ],
)
def test_run_and_application_have_the_fields_of_the_sdk(model, fields):
    assert set(fields) == wire_names(model)


@pytest.mark.parametrize(
    ("model", "checks"),
    [
        (oci.data_flow.models.CreateRunDetails, runs.CREATE_RUN.checks),
        (oci.data_flow.models.UpdateRunDetails, runs.UPDATE_RUN.checks),
        (oci.data_flow.models.CreateApplicationDetails, applications.CREATE_APPLICATION.checks),
        (oci.data_flow.models.UpdateApplicationDetails, applications.UPDATE_APPLICATION.checks),
    ],
)
def test_accepted_fields_are_those_of_the_sdk(model, checks):
    assert set(checks) == wire_names(model)


def test_create_run_inherits_fields_of_the_application(local):
    application = local.application(
        arguments=["${a}", "${b}"],
        parameters=[{"name": "a", "value": "1"}, {"name": "b", "value": "2"}],
        configuration={"spark.a": "1", "spark.b": "2"},
        freeformTags={"of": "application"},
    )
    response = local.call(
        "POST",
        "/runs",
        {
            "compartmentId": COMPARTMENT,
            "applicationId": application,
            "configuration": {"spark.b": "3"},
            "parameters": [{"name": "b", "value": "x y"}],
            "numExecutors": 3,
            "displayName": None,
        },
        opc_request_id="client",
    )
    run = json.loads(response.content())
    assert response.status == 200
    assert set(run) == set(runs.FIELDS)
    assert run["id"].startswith("ocid1.dataflowrun.oc1.iad.")
    assert run["lifecycleState"] == "ACCEPTED"
    assert run["applicationId"] == application
    assert run["fileUri"] == APPLICATION["fileUri"]
    assert run["displayName"] == APPLICATION["displayName"]
    assert run["configuration"] == {"spark.a": "1", "spark.b": "3"}
    assert run["parameters"] == [{"name": "a", "value": "1"}, {"name": "b", "value": "x y"}]
    assert run["arguments"] == ["${a}", "${b}"]
    assert run["freeformTags"] == {}
    assert run["totalOCpu"] == 4
    assert response.headers["opc-request-id"].startswith("client/")
    assert run["opcRequestId"] == response.headers["opc-request-id"]
    assert response.headers["etag"]
    local.state(run["id"])
    assert local.engine.started[0].arguments == ("1", "x y")


def test_execute_creates_an_application(local):
    run_id = local.submit(
        None,
        applicationId=None,
        execute="--conf spark.x=1 --py-files oci://b@n/p.zip oci://b@n/dir/job.py a b",
    )
    run = local.json("GET", f"/runs/{run_id}")
    assert (run["fileUri"], run["language"]) == ("oci://b@n/dir/job.py", "PYTHON")
    assert (run["arguments"], run["configuration"]) == (["a", "b"], {"spark.x": "1"})
    assert (run["displayName"], run["sparkVersion"]) == ("job.py", "3.5.0")
    application = local.json("GET", f"/applications/{run['applicationId']}")
    assert application["execute"] == run["execute"]
    job = local.engine.started[0]
    assert job.arguments == ("a", "b")
    assert job.internal["submission"] == {"pyFiles": ["oci://b@n/p.zip"]}


@pytest.mark.parametrize("application", ["own", "ocid1.dataflowapplication.oc1..deleted"])
def test_execute_overrides_application_fields(local, application):
    own = local.application(arguments=["x"], parameters=[{"name": "q", "value": "1"}])
    run_id = local.submit(
        own if application == "own" else application,
        execute="--conf spark.x=1 oci://b@n/job.py a",
        arguments=["overridden"],
        configuration={"spark.y": "2"},
        parameters=[{"name": "p", "value": "v"}],
    )
    run = local.json("GET", f"/runs/{run_id}")
    assert run["applicationId"] not in (own, application)
    assert (run["fileUri"], run["arguments"]) == ("oci://b@n/job.py", ["a"])
    assert (run["configuration"], run["parameters"]) == ({"spark.x": "1"}, [])
    made = local.json("GET", f"/applications/{run['applicationId']}")
    assert (made["arguments"], made["configuration"], made["parameters"]) == (["a"], {"spark.x": "1"}, [])


def test_parameters_do_not_replace_placeholders_of_execute(local):
    body = {
        "compartmentId": COMPARTMENT,
        "execute": "oci://b@n/a.py ${p}",
        "parameters": [{"name": "p", "value": "v"}],
    }
    status, _, message = local.error("POST", "/runs", body)
    assert status == 400
    assert "With execute, parameters are ignored" in message


def test_application_with_execute_ignores_parameters(local):
    parameters = [{"name": "p", "value": "v"}]
    id_ = local.application(execute="oci://b@n/a.py ${p}", parameters=parameters)
    path = f"/applications/{id_}"
    assert local.json("GET", path)["parameters"] == []
    assert local.json("PUT", path, {"parameters": parameters})["parameters"] == parameters
    updated = local.json("PUT", path, {"execute": "oci://b@n/b.py ${p}", "parameters": []})
    assert (updated["fileUri"], updated["parameters"]) == ("oci://b@n/b.py", parameters)
    # The run itself has no execute, so its parameters count.
    local.submit(id_, parameters=[{"name": "p", "value": "w"}])
    assert local.engine.started[-1].arguments == ("w",)


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"compartmentId": None}, "MissingParameter", "compartmentId"),
        ({"compartmentId": "x"}, "InvalidParameter", "compartmentId is not a valid OCID"),
        ({"applicationId": None}, "InvalidParameter", "applicationId or execute must be given"),
        ({"sparkVersion": "3.5.0"}, "InvalidParameter", "sparkVersion"),
        ({"numExecutors": "2"}, "InvalidParameter", "numExecutors must be an integer"),
        ({"numExecutors": True}, "InvalidParameter", "numExecutors must be an integer"),
        ({"numExecutors": 0}, "InvalidParameter", "numExecutors must be from"),
        ({"arguments": ["a", 1]}, "InvalidParameter", "arguments must be a list of strings"),
        ({"arguments": ["${none}"]}, "InvalidParameter", r"\$\{none\}"),
        ({"parameters": [{"name": "a-b", "value": "1"}]}, "InvalidParameter", "a-b"),
        ({"parameters": [{"name": "a"}]}, "InvalidParameter", "a name and a value"),
        ({"configuration": {"spark.x": 1}}, "InvalidParameter", "configuration must map strings"),
        ({"configuration": {"spark.master": "local"}}, "InvalidParameter", "spark.master may not be set"),
        ({"type": "OTHER"}, "InvalidParameter", "type must be one of BATCH"),
        ({"logsBucketUri": "file:///tmp"}, "InvalidParameter", "logsBucketUri"),
        ({"logsBucketUri": "oci://..@ns/"}, "InvalidParameter", "logsBucketUri"),
        ({"driverShapeConfig": {"ocpus": -1}}, "InvalidParameter", "driverShapeConfig.ocpus"),
        ({"maxDurationInMinutes": 1.5}, "InvalidParameter", "maxDurationInMinutes must be an integer"),
        ({"displayName": ""}, "InvalidParameter", "displayName"),
        ({"definedTags": {"a": "b"}}, "InvalidParameter", "definedTags"),
    ],
)
def test_create_run_rejects_invalid_fields(local, fields, code, message):
    body = {"compartmentId": COMPARTMENT, "applicationId": local.application()} | fields
    status, actual_code, text = local.error("POST", "/runs", body)
    assert (status, actual_code) == (400, code)
    assert re.search(message, text)
    assert local.json("GET", f"/runs?compartmentId={COMPARTMENT}") == []


def test_create_run_with_unknown_application_is_404(local):
    body = {"compartmentId": COMPARTMENT, "applicationId": "ocid1.dataflowapplication.oc1.iad.none"}
    assert local.error("POST", "/runs", body)[:2] == (404, "NotAuthorizedOrNotFound")
    deleted = local.application()
    local.call("DELETE", f"/applications/{deleted}")
    assert local.error("POST", "/runs", body | {"applicationId": deleted})[0] == 404


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"NaN", b'{"a":' * 100_000, b'{"a":"\\ud800"}', b"\xff"]
)
def test_body_that_is_not_a_json_object_is_400(local, body):
    request = Request("POST", "/20200129/runs", {"host": "127.0.0.1"}, body)
    response = local.service.handle(request)
    assert response.status == 400
    assert json.loads(response.content())["code"] == "CannotParseRequest"


def test_same_retry_token_returns_the_same_run(local):
    body = {"compartmentId": COMPARTMENT, "applicationId": local.application(), "displayName": "x"}
    first = local.json("POST", "/runs", body, opc_retry_token="t")
    local.succeed(local.submit())
    reordered = dict(reversed(body.items()))
    assert local.json("POST", "/runs", reordered, opc_retry_token="t")["id"] == first["id"]
    other = body | {"displayName": "y"}
    assert local.error("POST", "/runs", other, opc_retry_token="t")[:2] == (409, "InvalidatedRetryToken")
    assert local.json("POST", "/runs", other, opc_retry_token="t2")["id"] != first["id"]
    assert local.error("POST", "/runs", body, opc_retry_token="t" * 65)[0] == 400
    local.clock.advance(24 * 3600)
    assert local.json("POST", "/runs", body, opc_retry_token="t")["id"] != first["id"]


def test_replayed_create_returns_the_current_state(local):
    body = {"compartmentId": COMPARTMENT, "applicationId": local.application()}
    first = local.json("POST", "/runs", body, opc_retry_token="t")
    local.state(first["id"])
    local.succeed(first["id"])
    assert local.json("POST", "/runs", body, opc_retry_token="t")["lifecycleState"] == "SUCCEEDED"
    created = list(local.service.journal.select(operation="CreateRun"))
    assert [(e.resource_id, e.notes) for e in created] == [
        (first["id"], {}),
        (first["id"], {"replayed": True}),
    ]


def test_rejected_request_does_not_consume_its_retry_token(local):
    bad = {"compartmentId": COMPARTMENT}
    assert local.error("POST", "/runs", bad, opc_retry_token="t")[0] == 400
    good = bad | {"applicationId": local.application()}
    assert local.json("POST", "/runs", good, opc_retry_token="t")["id"]


def test_list_runs_filters_sorts_and_pages(local):
    application = local.application()
    runs_ = []
    for name in ("etl-1", "etl-2", "other"):
        runs_.append(local.submit(application, displayName=name))
        local.clock.advance(1)
    local.succeed(runs_[0])
    base = f"/runs?compartmentId={COMPARTMENT}"

    def names(query: str = "") -> list[str]:
        return [r["displayName"] for r in local.json("GET", base + query)]

    assert names() == ["other", "etl-2", "etl-1"]
    assert names("&sortOrder=ASC") == ["etl-1", "etl-2", "other"]
    assert names("&sortBy=displayName&sortOrder=DESC") == ["other", "etl-2", "etl-1"]
    assert names("&displayNameStartsWith=etl") == ["etl-2", "etl-1"]
    assert names("&displayName=etl-1") == ["etl-1"]
    assert names("&lifecycleState=SUCCEEDED&limit=5&sortBy=timeCreated") == ["etl-1"]
    assert names(f"&applicationId={application}&limit=1") == ["other"]
    moment = local.json("GET", f"/runs/{runs_[1]}")["timeCreated"]
    assert names(f"&timeCreatedGreaterThan={moment}") == ["other"]
    other = base.replace("aaaa", "bbbb")
    assert local.json("GET", other) == []
    first = local.call("GET", base + "&limit=2")
    page = first.headers["opc-next-page"]
    second = local.call("GET", f"{base}&limit=2&page={page}")
    assert len(json.loads(first.content())) == 2
    assert len(json.loads(second.content())) == 1
    assert "opc-next-page" not in second.headers
    assert set(json.loads(first.content())[0]) == set(runs.SUMMARY_FIELDS)


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("", "MissingParameter", "compartmentId"),
        ("?compartmentId=c&displayName=a&lifecycleState=FAILED", "InvalidParameter", "Only one filter"),
        ("?compartmentId=c&lifecycleState=DONE", "InvalidParameter", "lifecycleState"),
        ("?compartmentId=c&limit=0", "InvalidParameter", "limit"),
        ("?compartmentId=c&limit=1001", "InvalidParameter", "limit"),
        ("?compartmentId=c&limit=x", "InvalidParameter", "limit"),
        ("?compartmentId=c&page=x", "InvalidParameter", "page token"),
        ("?compartmentId=c&sortBy=fileUri", "InvalidParameter", "sortBy"),
        ("?compartmentId=c&sortOrder=UP", "InvalidParameter", "sortOrder"),
        ("?compartmentId=c&timeCreatedGreaterThan=x", "InvalidParameter", "timeCreatedGreaterThan"),
        ("?compartmentId=c&other=1", "InvalidParameter", "other"),
        ("?compartmentId=c&compartmentId=d", "InvalidParameter", "more than once"),
    ],
)
def test_list_runs_rejects_invalid_queries(local, query, code, message):
    status, actual, text = local.error("GET", f"/runs{query}")
    assert (status, actual) == (400, code)
    assert message in text


def test_if_match_with_an_old_etag_is_412(local):
    run_id = local.submit()
    etag = local.call("GET", f"/runs/{run_id}").headers["etag"]
    tags = {"freeformTags": {"a": "b"}}
    updated = local.call("PUT", f"/runs/{run_id}", tags, if_match=etag)
    assert json.loads(updated.content())["freeformTags"] == {"a": "b"}
    assert updated.headers["etag"] == local.call("GET", f"/runs/{run_id}").headers["etag"] != etag
    assert local.error("PUT", f"/runs/{run_id}", tags, if_match=etag)[:2] == (412, "NoEtagMatch")
    assert local.error("DELETE", f"/runs/{run_id}", if_match=etag)[:2] == (412, "NoEtagMatch")
    assert local.call("DELETE", f"/runs/{run_id}", if_match=f'"{updated.headers["etag"]}"').status == 204


@pytest.mark.parametrize(
    ("answer", "status"),
    [(EndedRunDelete.CONFLICT, 409), (EndedRunDelete.INCORRECT_STATE, 409), (EndedRunDelete.NO_CONTENT, 204)],
)
def test_delete_of_an_ended_run_follows_the_option(tmp_path, answer, status):
    local = Local(tmp_path, options=Options(verify_signatures=False, ended_run_delete=answer))
    run_id = local.submit()
    local.succeed(run_id)
    response = local.call("DELETE", f"/runs/{run_id}")
    assert response.status == status
    if status == 409:
        assert json.loads(response.content())["code"] == answer.value
    assert local.state(run_id) == "SUCCEEDED"


def test_change_run_compartment_needs_an_ended_run(local):
    run_id = local.submit()
    path = f"/runs/{run_id}/actions/changeCompartment"
    body = {"compartmentId": COMPARTMENT.replace("aaaa", "bbbb")}
    assert local.error("POST", path, body)[:2] == (409, "IncorrectState")
    local.succeed(run_id)
    assert local.call("POST", path, body).status == 204
    assert local.json("GET", f"/runs/{run_id}")["compartmentId"] == body["compartmentId"]


def test_application_lifecycle(local):
    application = local.application(description="d", freeformTags={"a": "b"})
    found = local.json("GET", f"/applications/{application}")
    assert set(found) == set(applications.FIELDS)
    assert (found["lifecycleState"], found["type"]) == ("ACTIVE", "BATCH")
    updated = local.json("PUT", f"/applications/{application}", {"fileUri": "oci://data@ns/other.py"})
    assert (updated["fileUri"], updated["description"]) == ("oci://data@ns/other.py", "d")
    listed = local.json("GET", f"/applications?compartmentId={COMPARTMENT}&displayNameStartsWith=an")
    assert [a["id"] for a in listed] == [application]
    assert set(listed[0]) == set(applications.SUMMARY_FIELDS)

    run_id = local.submit(application)
    assert local.error("DELETE", f"/applications/{application}")[:2] == (409, "Conflict")
    assert local.call("POST", f"/applications/{application}/actions/cascadingDeleteApplication").status == 202
    assert local.state(run_id) == "CANCELING"
    assert local.json("GET", f"/applications?compartmentId={COMPARTMENT}") == []
    assert local.error("PUT", f"/applications/{application}", {"description": "x"})[0] == 404


def test_application_with_canceled_runs_is_deleted(local):
    application = local.application()
    active, queued = local.submit(application), local.submit(application)
    path = f"/applications/{application}"
    for run_id in (active, queued):
        message = "The application has runs that have not ended. Cancel them first."
        assert local.error("DELETE", path) == (409, "Conflict", message)
        local.call("DELETE", f"/runs/{run_id}")
    assert local.state(active) == "CANCELING"
    assert local.call("DELETE", path).status == 204
    assert local.json("GET", path)["lifecycleState"] == "DELETED"
    local.engine.finished(active, RunOutcome(False))
    assert local.state(active) == "CANCELED"


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"fileUri": None}, "MissingParameter", "fileUri"),
        ({"fileUri": "app.py"}, "InvalidParameter", "oci://bucket@namespace/path"),
        ({"language": "RUBY"}, "InvalidParameter", "language must be one of"),
        ({"language": "SCALA", "fileUri": "oci://b@n/a.jar"}, "MissingParameter", "className"),
        ({"fileUri": "oci://b@n/a.jar"}, "InvalidParameter", "jar"),
        ({"sparkVersion": "1.6"}, "InvalidParameter", "sparkVersion 1.6 is not supported"),
        ({"numExecutors": None}, "MissingParameter", "numExecutors"),
        ({"execute": "--bad x"}, "InvalidParameter", "--bad"),
        ({"execute": "--conf spark.master=x oci://b@n/a.py"}, "InvalidParameter", "spark.master"),
    ],
)
def test_create_application_rejects_invalid_fields(local, fields, code, message):
    status, actual, text = local.error("POST", "/applications", APPLICATION | fields)
    assert (status, actual) == (400, code)
    assert message in text


def test_run_logs_are_listed_and_served_as_gzip(local, tmp_path):
    run_id = local.submit()
    assert local.json("GET", f"/runs/{run_id}/logs") == []
    folder = tmp_path / "runs" / run_id / "logs"
    folder.mkdir(parents=True)
    (folder / "spark_application_stdout.log").write_text("hello")
    (folder / "spark_driver_stderr_20260101T000000Z.log.gz").write_bytes(gzip.compress(b"driver"))
    (folder / "other.txt").write_text("no log")
    listed = local.json("GET", f"/runs/{run_id}/logs")
    assert [(f["name"], f["source"], f["type"]) for f in listed] == [
        ("spark_application_stdout.log.gz", "APPLICATION", "STDOUT"),
        ("spark_driver_stderr_20260101T000000Z.log.gz", "DRIVER", "STDERR"),
    ]
    for name, text in (
        ("spark_application_stdout", b"hello"),
        ("spark_driver_stderr_20260101T000000Z", b"driver"),
    ):
        response = local.call("GET", f"/runs/{run_id}/logs/{name}.log.gz")
        assert gzip.decompress(response.content()) == text
        assert response.headers["content-encoding"] == "gzip"
        assert response.headers["content-type"] == "application/octet-stream"
    for name in ("nope.log.gz", "other.txt", "..%2f..%2fstate", "spark_application_stdout.log"):
        assert local.error("GET", f"/runs/{run_id}/logs/{name}")[0] == 404
    assert len(local.json("GET", f"/runs/{run_id}/logs?limit=1")) == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "NotFound"),
        ("GET", "/runs/x", 404, "NotAuthorizedOrNotFound"),
        ("GET", "/runs/x/logs", 404, "NotAuthorizedOrNotFound"),
        ("PATCH", "/runs/x", 405, "MethodNotAllowed"),
        ("GET", "/runs/x/y/z", 404, "NotFound"),
    ],
)
def test_unknown_resources_are_404(local, method, path, status, code):
    assert local.error(method, path)[:2] == (status, code)


def test_empty_path_segments_are_ignored(local):
    assert json.loads(local.call("GET", f"//20200129/runs?compartmentId={COMPARTMENT}").content()) == []


def test_unsigned_request_is_401(tmp_path):
    local = Local(tmp_path, options=Options())
    for path in ("/runs", "/nothing"):
        assert local.error("GET", path)[:2] == (401, "NotAuthenticated")
    entry = next(local.service.journal.select(operation="ListRuns"))
    assert (entry.status, entry.code, entry.user) == (401, "NotAuthenticated", None)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8170", "127.0.0.1.evil.example", ""])
def test_foreign_host_header_is_400(local, host):
    response = local.service.handle(Request("GET", "/_local/health", {"host": host}))
    assert response.status == 400


def test_cross_site_requests_are_403(local):
    for headers in ({"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}, {"origin": "null"}):
        assert local.error("DELETE", "/_local/journal", **headers)[0] == 403
    assert local.call("DELETE", "/_local/journal", origin="http://127.0.0.1:8170").status == 204


def test_journal_records_requests(local):
    run_id = local.submit()
    local.call("DELETE", f"/runs/{run_id}", user_agent="a test")
    journal = local.json("GET", "/_local/journal")
    assert journal["counts"] == {"CreateApplication": 1, "CreateRun": 1, "DeleteRun": 1}
    entry = journal["entries"][-1]
    assert (entry["operation"], entry["resource_id"], entry["status"]) == ("DeleteRun", run_id, 204)
    assert entry["user_agent"] == "a test"
    created = local.json("GET", f"/_local/journal?operation=CreateRun&resourceId={run_id}")["entries"]
    assert [e["number"] for e in created] == [2]
    assert local.json("GET", "/_local/journal?after=2")["entries"] == [entry]
    local.call("DELETE", "/_local/journal")
    assert local.json("GET", "/_local/journal")["entries"] == []


def test_unknown_field_is_ignored_and_noted_in_the_journal(local):
    local.submit(numExecutor=3)
    entry = next(local.service.journal.select(operation="CreateRun"))
    assert entry.notes["ignoredFields"] == ["numExecutor"]


def test_internal_error_is_500_without_traceback(local, mocker):
    mocker.patch.object(local.store, "get", side_effect=ZeroDivisionError)
    status, code, message = local.error("GET", "/runs/x")
    assert (status, code, message) == (500, "InternalServerError", "Internal error.")


def test_console_pages_are_served(local, tmp_path):
    run_id = local.submit(displayName="<b>bold</b>", arguments=["<i>"])
    folder = tmp_path / "runs" / run_id / "logs"
    folder.mkdir(parents=True)
    (folder / "spark_application_stdout.log").write_text("<script>")
    for path in ("/console/", f"/console/runs/{run_id}"):
        page = local.call("GET", path).content().decode()
        assert "&lt;b&gt;bold" in page
        assert "<b>bold" not in page
        assert "<script>" not in page
    assert local.call("GET", "/console/runs/none").status == 404


def test_registered_identity_is_found_by_its_key_id(tmp_path):
    identity = new_identity()
    keys = KeyRing()
    keys.register_identity(identity)
    assert keys.find(identity.key_id) is not None
    assert keys.find(identity.key_id + "0") is None
