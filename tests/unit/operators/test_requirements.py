from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_provider_dataflow.client import local_service
from airflow_provider_dataflow.exceptions import InvalidArgument
from airflow_provider_dataflow.models.run_request import RunRequest
from airflow_provider_dataflow.operators import requirements as module
from airflow_provider_dataflow.operators.requirements import RequiredPackages
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.staging.files import LocalFiles
from airflow_provider_dataflow.staging.local_code import LocalCode
from airflow_provider_dataflow.staging.stager import Stager
from tests.unit.support import APPLICATION_ID, COMPARTMENT_ID
from tests.wheels import write_wheel

OCI = "https://dataflow.us-ashburn-1.oci.oraclecloud.com"
APPLICATION = SimpleNamespace(
    spark_version="3.2.1", driver_shape="VM.Standard.A1.Flex", executor_shape="VM.Standard.A1.Flex"
)


class FakeObjects:
    """Fake of the client of Object Storage: what is stored, and the requests."""

    def __init__(self):
        self.stored, self.calls = {}, []

    def head(self, uri):
        self.calls.append("head")
        return self.stored.get(str(uri))

    def put(self, uri, content, *, overwrite):
        assert not overwrite
        self.calls.append("put")
        with content.open() as file:
            self.stored[str(uri)] = file.read()
        return True


def hook(endpoint=OCI, application=APPLICATION):
    return SimpleNamespace(
        access=SimpleNamespace(endpoint=endpoint),
        applications=SimpleNamespace(get=lambda application_id: application),
    )


def request(**fields):
    return RunRequest.build({"compartment_id": COMPARTMENT_ID, **fields}, None)


def target(given_request, **of_hook):
    return str(RequiredPackages(["humanize"], hook(**of_hook), given_request)._target())


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = tmp_path / "bundle"
    (bundle / "dags").mkdir(parents=True)
    write_wheel(bundle, "plainlib")
    (bundle / "dags" / "requirements.txt").write_text(f"--no-index\n--find-links {bundle}\nplainlib\n")
    return LocalFiles(bundle / "dags", bundle)


def test_target_is_that_of_the_application_unless_the_run_overrides_it():
    assert target(request(application_id=APPLICATION_ID)) == "Python 3.8 on aarch64-manylinux_2_17"
    shapes = {"driver_shape": "VM.Standard.E4.Flex", "executor_shape": "VM.Standard.E4.Flex"}
    assert target(request(application_id=APPLICATION_ID, **shapes)) == "Python 3.8 on x86_64-manylinux_2_17"


def test_target_of_a_command_line_is_that_of_its_spark_version():
    assert target(request(execute="oci://b@ns/a.py")) == "Python 3.11 on x86_64-manylinux_2_17"
    assert "3.8" in target(request(execute="oci://b@ns/a.py", spark_version="3.2.1"))


def test_target_of_local_data_flow_is_this_machine(monkeypatch):
    monkeypatch.setattr(module, "local_python_version", lambda endpoint: "3.13")
    found = target(request(execute="oci://b@ns/a.py"), endpoint="http://127.0.0.1:8170")
    assert found == "Python 3.13 on this machine"


def test_server_that_tells_no_python_has_that_of_this_process(caplog):
    version = local_service.local_python_version("http://127.0.0.1:1")
    assert version.startswith("3.")
    assert "Cannot ask http://127.0.0.1:1" in caplog.text


def test_archive_is_added_to_those_of_the_author(files):
    objects = FakeObjects()
    stager = Stager(objects, "oci://b@ns/staging")
    given = request(application_id=APPLICATION_ID, archive_uri="oci://b@ns/own.zip")
    code = LocalCode(
        archives=["oci://b@ns/other.zip"], packages=RequiredPackages("requirements.txt", hook(), given)
    )
    uris = code.upload(files, stager, {})
    archives = code.request(given, uris).archive_uri.split(",")
    assert archives[:2] == ["oci://b@ns/own.zip", "oci://b@ns/other.zip"]
    assert archives[2] in objects.stored
    assert archives[2].startswith("oci://b@ns/staging/dependencies/")
    assert archives[2].endswith("/archive.zip")

    # An unchanged archive is not uploaded again, and a repeated submit needs no request at all.
    objects.calls.clear()
    assert code.upload(files, stager, {}) == uris
    assert objects.calls == ["head"]
    assert code.upload(files, stager, uris) == uris
    assert objects.calls == ["head"]


def test_dry_run_uploads_nothing(files):
    objects = FakeObjects()
    given = request(application_id=APPLICATION_ID)
    code = LocalCode(packages=RequiredPackages("requirements.txt", hook(), given))
    uris = code.upload(files, Stager(objects, "oci://b@ns/staging"), {}, dry_run=True)
    assert not objects.calls
    assert uris["requirements"].startswith("oci://b@ns/staging/dependencies/")


@pytest.mark.parametrize(
    "given", ["missing.txt", "../../secret.txt", ["not a requirement at all !"], ["-r x"]]
)
def test_unusable_requirements_upload_nothing(files, tmp_path, given):
    (tmp_path / "secret.txt").write_text("plainlib")
    objects = FakeObjects()
    code = LocalCode(packages=RequiredPackages(given, hook(), request(application_id=APPLICATION_ID)))
    with pytest.raises(InvalidArgument, match=r"^requirements"):
        code.upload(files, Stager(objects, "oci://b@ns/staging"), {})
    assert not objects.calls


def test_requirements_are_refused_with_start_from_trigger():
    with pytest.raises(InvalidArgument, match="start_from_trigger"):
        InvokeRunOperator(
            task_id="task", application_id=APPLICATION_ID, requirements=["humanize"], start_from_trigger=True
        )
