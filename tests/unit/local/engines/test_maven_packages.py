"""Settings of Ivy, and the parts of Maven's settings that they contain."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from airflow_provider_dataflow.local.engines.spark import maven_packages
from airflow_provider_dataflow.local.engines.spark.failure_details import failure_details
from airflow_provider_dataflow.local.engines.spark.maven_packages import (
    MavenSettings,
    MavenSettingsError,
    ivy_properties,
    ivy_settings,
    read_maven_settings,
)

NAMESPACE = 'xmlns="http://maven.apache.org/SETTINGS/1.2.0"'
UNRESOLVED = """\
\t\tmodule not found: demo#demo;2.0
:::: ERRORS
\tCLIENT ERROR: Not Found url=https://mirror.test/demo-2.0.pom
\tHttpClientHandler: Connect to mirror.test:443 failed: refused url=https://user:password@mirror.test/demo-2.0.pom
Exception in thread "main" java.lang.RuntimeException: [unresolved dependency: demo#demo;2.0: not found]
\tat org.apache.spark.deploy.SparkSubmitUtils$.resolveMavenCoordinates(SparkSubmit.scala:1612)
"""


def mirror(mirror_of: str, url: str) -> str:
    return f"<mirror><id>m</id><mirrorOf>{mirror_of}</mirrorOf><url>{url}</url></mirror>"


def settings(tmp_path: Path, content: str, namespace: str = "") -> Path:
    file = tmp_path / ".m2/settings.xml"
    file.parent.mkdir()
    file.write_text(f"<settings {namespace}>{content}</settings>")
    return file


@pytest.mark.parametrize(
    ("mirrors", "found"),
    [
        (mirror("central", "http://a.test"), "http://a.test"),
        (mirror("*", "http://a.test"), "http://a.test"),
        (mirror("external:*, !internal", "http://a.test"), "http://a.test"),
        (mirror("*,!central", "http://a.test"), None),
        (mirror("other", "http://a.test"), None),
        (mirror("*", "http://a.test") + mirror("central", "http://b.test"), "http://b.test"),
        (mirror("*", "http://a.test/${env.TEAM}/maven"), "http://a.test/data/maven"),
        ("", None),
    ],
)
@pytest.mark.parametrize("namespace", ["", NAMESPACE])
def test_mirror_of_central_is_the_one_that_maven_uses(tmp_path, mirrors, found, namespace):
    file = settings(tmp_path, f"<mirrors>{mirrors}</mirrors>", namespace)
    assert read_maven_settings(file, {"TEAM": "data"}).mirror == found


def test_local_repository_is_that_of_maven(tmp_path):
    file = settings(tmp_path, "<localRepository>${user.home}/jars</localRepository>")
    assert read_maven_settings(file, {}).local_repository == tmp_path / "jars"
    file.unlink()
    assert read_maven_settings(file, {}) == MavenSettings(None, tmp_path / ".m2/repository")


def test_unreadable_maven_settings_are_named(tmp_path):
    file = settings(tmp_path, "<mirrors>")
    with pytest.raises(MavenSettingsError, match=r"settings\.xml cannot be read: mismatched"):
        read_maven_settings(file, {})


def test_ivy_settings_contain_mirror_and_cache_as_they_are(tmp_path):
    cache = tmp_path / 'a "cache" & more'
    text = ivy_settings(cache, MavenSettings("http://mirror.test/maven?a&b", tmp_path / "repository"))
    root = ElementTree.fromstring(text)
    assert root.find("caches/cache").attrib["basedir"] == str(cache)
    central, local = root.iterfind("resolvers/chain/ibiblio")
    assert central.attrib["root"] == "http://mirror.test/maven?a&b/"
    assert local.attrib["root"] == (tmp_path / "repository").as_uri()


def test_without_a_mirror_ivy_uses_its_own_default(tmp_path):
    central = ElementTree.fromstring(ivy_settings(tmp_path, MavenSettings(None, tmp_path))).find(".//ibiblio")
    assert central.attrib == {"name": "central", "m2compatible": "true"}


def test_only_runs_with_packages_get_ivy_settings(tmp_path, monkeypatch):
    monkeypatch.setattr(maven_packages, "settings_file", lambda: tmp_path / ".m2/settings.xml")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert ivy_properties({"spark.app.name": "a", "spark.jars.packages": " "}, tmp_path) == {}
    users = {"spark.jars.packages": "g:a:1", "spark.jars.ivySettings": "/users.xml"}
    assert ivy_properties(users, tmp_path) == {}
    found = ivy_properties({"spark.jars.packages": "g:a:1"}, tmp_path)
    assert found["spark.jars.ivy"] == str(tmp_path / "ivy")
    assert (
        f'"{tmp_path}/cache/airflow-provider-dataflow/ivy/cache"'
        in Path(found["spark.jars.ivySettings"]).read_text()
    )
    found = ivy_properties({"spark.jars.packages": "g:a:1", "spark.jars.ivy": "/users"}, tmp_path)
    assert '"/users/cache"' in Path(found["spark.jars.ivySettings"]).read_text()


def test_unresolved_packages_are_named_with_the_cause():
    details = failure_details(1, "", UNRESOLVED, packages="demo:demo:2.0,g:a:1")
    assert details == (
        "Spark could not resolve the packages demo:demo:2.0,g:a:1: "
        "unresolved dependency: demo#demo;2.0: not found. "
        "Access to https://mirror.test/demo-2.0.pom failed: Connect to mirror.test:443 failed: refused"
    )
    # A JAR application has the same text in its own stderr.
    assert failure_details(1, UNRESOLVED, "", packages="demo:demo:2.0").startswith("Spark could not resolve")
    assert failure_details(1, "KeyError: 1", "", packages="g:a:1").endswith("exit code 1: KeyError: 1")
