from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_dataflow.client.retry import RetryPolicy
from airflow_provider_dataflow.client.sdk_requests import SdkRequests
from airflow_provider_dataflow.compat import triggers_have_on_kill
from airflow_provider_dataflow.exceptions import (
    InvalidArgument,
    ObjectStorageError,
    ServiceError,
    SubmitRejected,
)
from airflow_provider_dataflow.operators.local_code import (
    CODE_ARGUMENTS,
    LOCAL_CODE_ARGUMENTS,
    OF_COMMAND_LINE,
)
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.ownership.record_store import RECORD_KEY
from tests.unit.client.object_storage.storage_service import StorageService
from tests.unit.support import APPLICATION_ID, RUN_ID, FakeStateStore, FakeTaskInstance

STAGING = "oci://bucket@namespace/staging"


@pytest.fixture
def storage(connection, monkeypatch):
    monkeypatch.setattr(SdkRequests, "retry_policy", RetryPolicy(sleep=lambda seconds: None))
    service = StorageService()
    connection(service.url, staging_uri=STAGING)
    yield service
    service.close()


@pytest.fixture
def bundle(tmp_path) -> Path:
    bundle = tmp_path / "bundle"
    (bundle / "dags" / "helpers").mkdir(parents=True)
    (bundle / "dags" / "app.py").write_text("print(1)")
    (bundle / "dags" / "helpers" / "__init__.py").write_text("")
    (bundle / "dags" / "lookup.json").write_text("{}")
    (bundle / "lib.jar").write_bytes(b"jar")
    (bundle / "archive.zip").write_bytes(b"zip")
    return bundle


def new_context(bundle: Path) -> dict[str, Any]:
    ti = FakeTaskInstance(bundle_instance=SimpleNamespace(path=bundle))
    return {"ti": ti, "task_state_store": FakeStateStore()}


@pytest.fixture
def context(bundle):
    return new_context(bundle)


@pytest.fixture
def task(bundle):
    def make(**arguments):
        with DAG("dag", schedule=None) as dag:
            dag.fileloc = str(bundle / "dags" / "dag.py")
            return InvokeRunOperator(task_id="task", poll_interval=0.001, **arguments)

    return make


def staged(name: str, content: bytes) -> str:
    return f"{STAGING}/files/{hashlib.sha256(content).hexdigest()}/{name}"


APP = staged("app.py", b"print(1)")


def sent(client) -> list[str]:
    return [body["execute"] for body, _ in client.submitted]


def test_files_are_uploaded_and_named_in_the_command_line(client, storage, task, context):
    task(
        application="app.py",
        application_args=["--day", "2026-01-01", "a b"],
        py_files="helpers, oci://code@ns/other.py",
        files=["lookup.json#names.json"],
        jars=Path("lib.jar"),
        configuration={"spark.app.note": "x y"},
        archives=["archive.zip", "oci://code@ns/more.zip"],
        archive_uri="oci://code@ns/first.zip",
        spark_version="3.5.0",
    ).execute(context)
    ((body, _),) = client.submitted
    words = shlex.split(body["execute"])
    package = next(name for name in storage.objects if name.endswith("helpers.zip"))
    assert words == [
        *("--py-files", f"oci://bucket@namespace/{package},oci://code@ns/other.py"),
        *("--files", f"{staged('lookup.json', b'{}')}#names.json"),
        *("--jars", staged("lib.jar", b"jar")),
        *("--conf", "spark.app.note=x y", APP, "--day", "2026-01-01", "a b"),
    ]
    archive = staged("archive.zip", b"zip")
    assert body["archiveUri"] == f"oci://code@ns/first.zip,{archive},oci://code@ns/more.zip"
    assert "configuration" not in body
    assert body["sparkVersion"] == "3.5.0"
    assert len(storage.objects) == 5


def test_uris_alone_need_no_staging_uri(client, connection, task, context):
    task(application="oci://code@ns/app.jar", java_class="demo.Main", jars="https://x/y.jar").execute(context)
    assert sent(client) == ["--class demo.Main --jars https://x/y.jar oci://code@ns/app.jar"]


def test_archives_go_with_an_application_of_the_service(client, storage, task, bundle):
    task(application_id=APPLICATION_ID, archives="archive.zip").execute(new_context(bundle))
    assert client.submitted[0][0]["archiveUri"] == staged("archive.zip", b"zip")
    task(execute="oci://code@ns/app.py", archives="archive.zip").execute(new_context(bundle))
    assert client.submitted[1][0]["execute"] == "oci://code@ns/app.py"


def test_staging_uri_of_the_argument_wins_over_connection_and_configuration(
    client, storage, connection, task, bundle, monkeypatch
):
    monkeypatch.setenv("AIRFLOW__OCI_DATA_FLOW__STAGING_URI", "oci://bucket@namespace/configured")
    task(application="app.py", staging_uri="oci://bucket@namespace/own/").execute(new_context(bundle))
    task(application="app.py").execute(new_context(bundle))
    connection(storage.url)
    task(application="app.py").execute(new_context(bundle))
    places = [command.split("/files/")[0] for command in sent(client)]
    assert places == [f"oci://bucket@namespace/{name}" for name in ("own", "staging", "configured")]
    monkeypatch.delenv("AIRFLOW__OCI_DATA_FLOW__STAGING_URI")
    with pytest.raises(InvalidArgument, match="staging_uri: missing"):
        task(application="app.py").execute(new_context(bundle))


def test_second_task_uploads_nothing(client, storage, task, bundle):
    for _ in range(2):
        task(application="app.py", py_files=["helpers"]).execute(new_context(bundle))
    assert len(storage.operations("PutObject")) == 2
    assert len(set(sent(client))) == 1


@pytest.mark.parametrize("name", ["application", "py_files", "files", "jars", "archives"])
def test_all_files_are_checked_before_the_first_upload(client, storage, task, context, name):
    arguments = {"application": "app.py", "py_files": "helpers", name: "gone.zip"}
    with pytest.raises(InvalidArgument, match=rf"^{name}: gone\.zip does not exist"):
        task(**arguments).execute(context)
    assert storage.requests == client.submitted == []


def test_retry_of_a_submit_without_response_sends_the_same_body(client, storage, task, context, bundle):
    """The file has changed meanwhile. Another body would invalidate the token, and the run would be lost."""
    accept, submitted = client.create_run, []

    def lose_response(request, retry_token):
        submitted.append((request.body(), retry_token))
        raise ServiceError(operation="CreateRun", message="no response")

    client.create_run = lose_response
    with pytest.raises(ServiceError, match="no response"):
        task(application="app.py", error_budget=0.001).execute(context)
    client.create_run = accept
    (bundle / "dags" / "app.py").write_text("print(2)")
    context["ti"].try_number = 2
    task(application="app.py").execute(context)
    assert all(each == client.submitted[0] for each in submitted)
    assert sent(client) == [APP]


def test_refused_submit_is_repeated_with_the_current_file(client, storage, task, context, bundle, mocker):
    create = client.create_run
    client.create_run = mocker.Mock(
        side_effect=SubmitRejected(operation="CreateRun", message="no", status=400)
    )
    with pytest.raises(SubmitRejected):
        task(application="app.py").execute(context)
    client.create_run = create
    (bundle / "dags" / "app.py").write_text("print(2)")
    context["ti"].try_number = 2
    task(application="app.py").execute(context)
    assert sent(client) == [staged("app.py", b"print(2)")]


def test_reattaching_needs_neither_the_files_nor_the_bucket(client, storage, task, context, bundle):
    client.states = ["IN_PROGRESS", "SUCCEEDED"]
    task(application="app.py", wait_for_completion=False).execute(context)
    requests = len(storage.requests)
    (bundle / "dags" / "app.py").unlink()
    context["ti"].try_number = 2
    assert task(application="app.py").execute(context) == RUN_ID
    assert (len(client.submitted), len(storage.requests)) == (1, requests)


def test_record_of_a_run_without_uploads_is_unchanged(client, task, context):
    task(application_id=APPLICATION_ID).execute(context)
    assert "uploads" not in context["task_state_store"].values[RECORD_KEY]


def test_missing_bucket_fails_before_the_submit(client, storage, task, context):
    with pytest.raises(
        ObjectStorageError, match=r"PutObject of oci://other@namespace/files/.*BucketNotFound"
    ):
        task(application="app.py", staging_uri="oci://other@namespace").execute(context)
    assert client.submitted == []


def test_outage_of_object_storage_is_waited_for(client, storage, task, context, mocker):
    sleep = mocker.patch("airflow_provider_dataflow.client.wait.sleep")
    storage.faults["HeadObject"] = [(503, "ServiceUnavailable")] * RetryPolicy().max_attempts
    task(application="app.py").execute(context)
    assert sent(client) == [APP]
    assert sleep.call_count == 1


def test_templates_in_all_arguments(client, storage, task, context):
    operator = task(
        application="{{ x }}.py",
        application_args=["{{ day }}"],
        py_files=["{{ y }}"],
        files="{{ z }}.json",
        staging_uri="{{ staging }}",
    )
    values = {"x": "app", "day": "1", "y": "helpers", "z": "lookup", "staging": f"{STAGING}/templated"}
    operator.render_template_fields({**context, **values})
    operator.execute(context)
    words = shlex.split(sent(client)[0])
    assert words[-2:] == [APP.replace("/staging/", "/staging/templated/"), "1"]
    assert {name.rsplit("/", 1)[1] for name in storage.objects} == {"app.py", "helpers.zip", "lookup.json"}


def test_rendered_path_outside_of_the_bundle_is_refused(client, storage, task, context):
    operator = task(application="{{ x }}")
    operator.render_template_fields({**context, "x": "/etc/hostname"})
    with pytest.raises(InvalidArgument, match="application: /etc/hostname is outside of the DAG's bundle"):
        operator.execute(context)
    assert storage.requests == []


def test_dag_outside_of_the_bundles_has_its_own_folder(client, storage, task, bundle, tmp_path):
    """As with dag.test(), for which Airflow names the DAGs folder as bundle."""
    ti = FakeTaskInstance(bundle_instance=SimpleNamespace(path=tmp_path / "dags-folder"))
    task(application="app.py").execute({"ti": ti})
    with pytest.raises(InvalidArgument, match="outside"):
        task(application="../lib.jar", java_class="X").execute({"ti": ti})


def test_dry_run_shows_the_uris_and_uploads_nothing(client, storage, task, capsys, mocker):
    operator = task(application="app.py", application_args=["--password", "hunter2"])
    info = mocker.patch.object(operator.log, "info")
    operator.dry_run()
    shown = info.call_args.args[1]
    assert APP in shown
    assert "hunter2" not in shown
    assert storage.requests == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"application_id": APPLICATION_ID}, "application: cannot be given together with application_id"),
        ({"execute": "oci://b@n/x.py"}, "application: cannot be given together with execute"),
        ({"arguments": ["a"]}, "application: cannot be given together with arguments"),
        ({"parameters": {"a": 1}}, "application: cannot be given together with parameters"),
        ({"json": {"execute": "x"}}, r"application: cannot be given together with json\.execute"),
        ({"application": "app.jar"}, r"java_class: missing: the main class of app\.jar"),
        ({"java_class": "demo.Main"}, "java_class: only for a jar"),
        ({"application": "s3://x/app.py"}, "application: expected a local path or oci://"),
        ({"application": ""}, "application: expected a path or a URI"),
        ({"application": ["app.py"]}, "application: expected a string"),
        ({"py_files": 5}, "py_files: expected a list"),
        ({"staging_uri": "s3://x"}, "staging_uri: expected oci://bucket@namespace/path"),
        ({"start_from_trigger": True}, "application: cannot be given together with start_from_trigger"),
    ],
)
def test_contradictions_are_refused_at_parse(task, arguments, problem):
    with pytest.raises(InvalidArgument, match=f"^{problem}"):
        task(**{"application": "app.py"} | arguments)


@pytest.mark.parametrize("name", OF_COMMAND_LINE)
def test_files_without_an_application_are_refused_at_parse(task, name):
    value = ["x"] if name != "java_class" else "x"
    with pytest.raises(InvalidArgument, match=f"^{name}: allowed only together with application"):
        task(application_id=APPLICATION_ID, **{name: value})


def test_archives_cannot_start_from_the_triggerer(task):
    with pytest.raises(InvalidArgument, match="archives: cannot be given together with start_from_trigger"):
        task(application_id=APPLICATION_ID, archives="a.zip", start_from_trigger=True)


def test_existing_run_takes_no_code(client, task, context):
    with pytest.raises(InvalidArgument, match="so application cannot be given"):
        task(run_id=RUN_ID, application="app.py").execute(context)


def test_contradictions_are_found_after_rendering(client, storage, task, context):
    operator = task(application="app.py", execute="{{ x }}")
    operator.render_template_fields({**context, "x": "oci://b@n/x.py"})
    with pytest.raises(InvalidArgument, match="application: cannot be given together with execute"):
        operator.execute(context)
    operator = task(application="app.py", execute="{{ x }}")
    operator.render_template_fields({**context, "x": None})
    operator.execute(context)
    assert sent(client) == [APP]


def test_mapped_task_is_checked_at_parse(task):
    with DAG("dag", schedule=None):
        with pytest.raises(InvalidArgument, match="java_class: missing"):
            InvokeRunOperator.partial(task_id="a", application="a.jar").expand(application_args=[["1"]])
        InvokeRunOperator.partial(task_id="b", application="app.py").expand(application_args=[["1"], ["2"]])


def test_all_arguments_are_templated():
    assert set(LOCAL_CODE_ARGUMENTS) <= set(InvokeRunOperator.template_fields)
    assert set(CODE_ARGUMENTS) < set(LOCAL_CODE_ARGUMENTS)


def test_record_is_json(client, storage, task, context):
    task(application="app.py").execute(context)
    record = context["task_state_store"].values[RECORD_KEY]
    assert json.loads(json.dumps(record))["uploads"] == {"application:app.py": APP}


@pytest.mark.skipif(not triggers_have_on_kill(), reason="start_from_trigger needs Airflow 3.3")
@pytest.mark.parametrize("empty", [[], ()])
def test_empty_lists_are_not_given(empty):
    from tests.unit.support import APPLICATION_ID

    names = ("application_args", "py_files", "files", "jars", "archives", "requirements")
    operator = InvokeRunOperator(
        task_id="task",
        application_id=APPLICATION_ID,
        start_from_trigger=True,
        **dict.fromkeys(names, empty),
    )
    assert operator._code_given() == []


def test_staging_prefix_is_checked_at_parse():
    with pytest.raises(InvalidArgument, match="staging_uri"):
        InvokeRunOperator(task_id="task", application="a.py", staging_uri="oci://b@n/my prefix")


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"files": ["p/c.json", "q/c.json"]}, "files: p/c.json and q/c.json"),
        ({"files": ["p/c.json", "oci://b@n/d.json#c.json"]}, "files: p/c.json and oci://b@n/d.json#c.json"),
        ({"py_files": ["x/util", "y/util.zip"]}, "py_files: x/util and y/util.zip"),
        ({"jars": ["x/a.jar", "oci://b@n/a.jar"]}, "jars: x/a.jar and oci://b@n/a.jar"),
        ({"files": ["d.json#x,y"]}, "files: the file name 'x,y'"),
    ],
)
def test_files_that_would_overwrite_each_other_are_refused(lists, message):
    from airflow_provider_dataflow.staging.local_code import LocalCode

    with pytest.raises(InvalidArgument) as caught:
        LocalCode(application="oci://b@n/a.py", **lists).check_names()
    assert message in str(caught.value)
