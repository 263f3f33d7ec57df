"""Packages of ``spark.jars.packages``, from Maven repositories on this machine."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from airflow_provider_dataflow.local.engines.spark.failure_details import failure_details
from airflow_provider_dataflow.local.engines.spark.installation import find_java, find_spark
from airflow_provider_dataflow.local.engines.spark.maven_packages import MavenSettings, ivy_settings

pytestmark = pytest.mark.spark

STDOUT, STDERR = "spark_application_stdout.log.gz", "spark_application_stderr.log.gz"
POM = (
    "<project><modelVersion>4.0.0</modelVersion><groupId>demo</groupId><artifactId>demo</artifactId>"
    "<version>1.0</version></project>"
)


@dataclass
class Mirror:
    """Maven repository on a port of this machine with the package ``demo:demo:1.0``.

    :param status: status of all responses, if not 200.
    :param requested: paths of the requests.
    """

    url: str
    status: int | None = None
    requested: list[str] = field(default_factory=list)


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.requested.append(self.path)
            content = {"/maven/demo/demo/1.0/demo-1.0.pom": POM, "/maven/demo/demo/1.0/demo-1.0.jar": "jar"}
            body = content.get(self.path, "").encode()
            self.send_response(found.status or (200 if body else 404))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Mirror(f"http://127.0.0.1:{server.server_port}/maven")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def resolve(folder: Path, maven: MavenSettings, version: str) -> subprocess.CompletedProcess[str]:
    """Run the Ivy of Spark with our settings."""
    spark = find_spark()
    settings = folder / "ivysettings.xml"
    settings.write_text(ivy_settings(folder / "cache", maven))
    arguments = [
        "-settings",
        str(settings),
        "-dependency",
        "demo",
        "demo",
        version,
        "-cache",
        str(folder / "own"),
    ]
    return subprocess.run(
        [find_java(spark).executable, "-cp", f"{spark.jars}/*", "org.apache.ivy.Main", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def as_spark_reports(done: subprocess.CompletedProcess[str]) -> str:
    """Return Ivy's output with the exception that Spark raises after it."""
    error = "java.lang.RuntimeException: [unresolved dependency: d: not found]"
    return f'{done.stdout}\nException in thread "main" {error}'


def test_packages_come_from_the_mirror_once(mirror, tmp_path):
    maven = MavenSettings(mirror.url, tmp_path / "repository")
    done = resolve(tmp_path, maven, "1.0")
    assert done.returncode == 0, done.stdout
    assert "/maven/demo/demo/1.0/demo-1.0.jar" in mirror.requested
    assert (tmp_path / "cache/demo/demo/jars/demo-1.0.jar").read_text() == "jar"
    mirror.requested.clear()
    assert resolve(tmp_path, maven, "1.0").returncode == 0
    assert mirror.requested == []


def test_packages_that_only_mvn_install_has_built_are_found(mirror, tmp_path):
    built = tmp_path / "repository/demo/demo/2.0"
    built.mkdir(parents=True)
    (built / "demo-2.0.pom").write_text(POM.replace("1.0", "2.0"))
    (built / "demo-2.0.jar").write_text("built")
    done = resolve(tmp_path, MavenSettings(mirror.url, tmp_path / "repository"), "2.0")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "cache/demo/demo/jars/demo-2.0.jar").read_text() == "built"


def test_pom_without_its_jar_in_the_local_repository_does_not_hide_the_mirror(mirror, tmp_path):
    folder = tmp_path / "repository/demo/demo/1.0"
    folder.mkdir(parents=True)
    (folder / "demo-1.0.pom").write_text(POM)
    done = resolve(tmp_path, MavenSettings(mirror.url, tmp_path / "repository"), "1.0")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "cache/demo/demo/jars/demo-1.0.jar").read_text() == "jar"


def test_details_tell_a_missing_package_from_a_mirror_that_fails(mirror, tmp_path):
    maven = MavenSettings(mirror.url, tmp_path / "repository")
    text = as_spark_reports(resolve(tmp_path, maven, "3.0"))
    lost = "Spark could not resolve the packages demo:demo:3.0: unresolved dependency: d: not found"
    assert failure_details(1, "", text, packages="demo:demo:3.0") == lost
    mirror.status = 503
    text = as_spark_reports(resolve(tmp_path, maven, "3.0"))
    url = f"{mirror.url}/demo/demo/3.0/demo-3.0.pom"
    details = failure_details(1, "", text, packages="demo:demo:3.0")
    assert details == f"{lost}. Access to {url} failed: Service Unavailable"
    maven = MavenSettings("http://127.0.0.1:9", tmp_path / "repository")
    text = as_spark_reports(resolve(tmp_path, maven, "3.0"))
    details = failure_details(1, "", text, packages="demo:demo:3.0")
    url = f"{maven.mirror}/demo/demo/3.0/demo-3.0.pom"
    assert details.startswith(f"{lost}. Access to {url} failed: Connect to")


def test_parallel_runs_share_downloads(target, demo_jar, tmp_path):
    """The repository is a local folder, so that the test needs no network."""
    folder = tmp_path / "repository/demo/demo/1.0"
    folder.mkdir(parents=True)
    (folder / "demo-1.0.jar").write_bytes(demo_jar)
    (folder / "demo-1.0.pom").write_text(POM)
    where = f"--conf spark.jars.repositories={(tmp_path / 'repository').as_uri()}"
    cache = f"--conf spark.jars.ivy={tmp_path / 'ivy'}"
    main = f"{target.bucket_uri}twice.py"
    found = [target.submit(execute=f"--packages demo:demo:1.0 {where} {cache} {main}") for _ in range(2)]
    lost = target.submit(execute=f"--packages demo:demo:2.0 {where} {cache} {main}")
    for run in found:
        run = target.wait(run.id)
        assert run.lifecycle_state == "SUCCEEDED", target.log(run.id, STDERR)
        assert target.log(run.id, STDOUT).splitlines()[-1] == "42"
    lost = target.wait(lost.id)
    assert lost.lifecycle_state == "FAILED"
    assert lost.lifecycle_details.startswith(
        "Spark could not resolve the packages demo:demo:2.0: unresolved dependency: demo#demo;2.0: not found"
    )
    assert (tmp_path / "ivy/cache/demo/demo/jars/demo-1.0.jar").read_bytes() == demo_jar
