"""Files that tools outside this repository read: workflows, forms, registries. Each agrees with the code."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from airflow_provider_dataflow import __version__
from airflow_provider_dataflow.provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
REGISTRY = yaml.safe_load((ROOT / ".airflow-registry.yaml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
YAML_FILES = sorted(
    [
        *ROOT.glob(".github/**/*.yml"),
        *ROOT.glob("examples/project/.git*/**/*.yml"),
        *ROOT.glob("examples/project/.gitlab-ci.yml"),
        *ROOT.glob("*.yml"),
        *ROOT.glob(".*.yaml"),
    ]
)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", YAML_FILES, ids=relative)
def test_yaml_file_can_be_read(path: Path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_devcontainer_is_json():
    assert json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())["postCreateCommand"]


def test_version_is_the_same_everywhere():
    assert PROJECT["version"] == __version__


@pytest.mark.parametrize("path", WORKFLOWS, ids=relative)
def test_workflow_calls_existing_targets(path: Path):
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"\bmake ([a-z-]+)", path.read_text())
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("path", WORKFLOWS, ids=relative)
def test_workflow_has_least_permissions_and_time_limits(path: Path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def steps_of(path: Path) -> list[dict[str, Any]]:
    return [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=relative)
def test_actions_are_pinned_by_commit_with_their_version(path: Path):
    """A tag can be moved to other code, which would get the identity of the release."""
    used = re.findall(r"^ *(?:- )?uses: (.*)$", path.read_text(), re.MULTILINE)
    assert len(used) == sum("uses" in step for step in steps_of(path))
    for action in used:
        assert action == "./" or re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action)


def test_each_action_has_one_version():
    text = "".join(path.read_text() for path in WORKFLOWS)
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"uses: ([\w-]+/[\w-]+)@(.*)", text):
        versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize("path", WORKFLOWS, ids=relative)
def test_workflow_keeps_no_credentials_and_expands_nothing_in_scripts(path: Path):
    """What is expanded in a script is executed, whoever has written it. Variables are only values."""
    assert "secrets." not in path.read_text()
    for step in steps_of(path):
        assert "${{" not in step.get("run", "")
        if "/checkout@" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_only_a_tag_is_released_and_only_after_all_checks():
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    # YAML 1.1 reads the key "on" as true.
    [pattern] = workflow[True]["push"]["tags"]
    assert workflow[True].keys() == {"push"}
    # Not by the tag of a major version, which the workflow itself moves.
    assert re.fullmatch(pattern.replace(".", r"\.").replace("*", ".*"), f"v{__version__}")
    assert not re.fullmatch(pattern.replace(".", r"\.").replace("*", ".*"), "v1")
    jobs = workflow["jobs"]
    assert [jobs[name].get("needs") for name in ("build", "attest", "publish", "release")] == [
        None,
        "build",
        "attest",
        "publish",
    ]
    assert any("make package" in step.get("run", "") for step in jobs["build"]["steps"])


def test_release_is_attested_and_published_without_a_password():
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    used = {
        name: [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
        for name, job in jobs.items()
    }
    assert {"actions/attest-build-provenance", "actions/attest-sbom"} <= set(used["attest"])
    assert jobs["attest"]["permissions"] == {"id-token": "write", "attestations": "write"}
    [publish] = [step for step in jobs["publish"]["steps"] if "pypi-publish" in step["uses"]]
    assert "with" not in publish
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["environment"] == "release"
    # Code of the project runs in a job that can neither sign nor publish.
    assert "permissions" not in jobs["build"]
    for name in ("attest", "publish"):
        assert not any("run" in step for step in jobs[name]["steps"])


def test_changelog_has_the_notes_of_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    script = "awk -v version=\"$version\" '/^## /{found = $2 == version} found' CHANGELOG.md"
    assert script in (ROOT / ".github/workflows/release.yml").read_text()
    notes = subprocess.run(
        ["sh", "-c", script],
        env={"version": __version__},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.match(rf"## {re.escape(__version__)} - 20\d\d-\d\d-\d\d\n", notes)
    assert notes in changelog
    assert notes.count("\n## ") == 0


def test_package_is_checked_on_the_newest_and_the_oldest_airflow():
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    oldest = min(p.stem.removeprefix("airflow-") for p in (ROOT / "dev" / "releases").glob("*.txt"))
    assert jobs["package"]["strategy"]["matrix"]["airflow"] == ["newest", oldest]
    for path in (".ci/run", ".github/workflows/release.yml"):
        assert f'make package AIRFLOW="newest {oldest}" EXAMPLE=1' in (ROOT / path).read_text()
    [minimum] = [d for d in PROJECT["dependencies"] if d.startswith("apache-airflow>")]
    assert oldest.startswith(f"{minimum.partition('>=')[2]}.")


def test_every_python_of_the_classifiers_is_tested():
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    tested = {"3.11", *jobs["pythons"]["strategy"]["matrix"]["python"]}
    claimed = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    assert claimed == tested


def test_every_pinned_release_of_airflow_is_tested():
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())["jobs"]
    pinned = {p.stem.removeprefix("airflow-") for p in (ROOT / "dev" / "releases").glob("*.txt")}
    assert set(jobs["releases"]["strategy"]["matrix"]["airflow"]) == pinned


def test_all_files_name_the_same_repository():
    """Whoever moves the repository has to change all of them."""
    name = REPOSITORY.removeprefix("https://github.com/")
    assert REGISTRY["source-url"] == REPOSITORY
    assert REGISTRY["docs-url"] == PROJECT["urls"]["Documentation"]
    logo = REGISTRY["logo-url"].removeprefix(f"{REPOSITORY}/raw/main/")
    assert (ROOT / logo).is_file()
    assert all(url.startswith(REPOSITORY) for url in PROJECT["urls"].values())
    [link] = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/config.yml").read_text())["contact_links"]
    assert link["url"].startswith(f"{REPOSITORY}/")
    assert f"uses: {name}@v" in (ROOT / "docs" / "ci.md").read_text()


def test_registry_agrees_with_the_metadata():
    assert REGISTRY["license"] == PROJECT["license"]
    assert REGISTRY["python"] == PROJECT["requires-python"]
    assert f"apache-airflow{REGISTRY['airflow']}" in PROJECT["dependencies"]
    is_stable = "Development Status :: 5 - Production/Stable" in PROJECT["classifiers"]
    assert is_stable == (REGISTRY["lifecycle"] == "production")


def test_registry_lists_all_public_classes():
    info = get_provider_info()
    assert REGISTRY["package-name"] == info["package-name"]
    decorators = [entry["module"] for entry in REGISTRY["decorators"]]
    assert decorators == [entry["class-name"] for entry in info["task-decorators"]]
    kinds = ("operators", "sensors", "hooks")
    modules = {module for kind in kinds for entry in info[kind] for module in entry["python-modules"]}
    sections = (*kinds, "triggers", "decorators", "other")
    listed = [entry["module"] for section in sections for entry in REGISTRY[section]]
    for name in listed:
        module, _, class_name = name.rpartition(".")
        assert hasattr(importlib.import_module(module), class_name), name
    for module in modules:
        public = {
            f"{module}.{name}"
            for name, value in vars(importlib.import_module(module)).items()
            if re.search(r"(Operator|Sensor|Hook|Session)$", name)
            and not name.startswith("_")
            and getattr(value, "__module__", None) == module
        }
        assert public, module
        assert public <= set(listed)


@pytest.fixture
def readme(monkeypatch) -> str:
    """Return the readme as the build writes it into the metadata; hatchling itself is not needed."""
    plugin = SimpleNamespace(MetadataHookInterface=object)
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", plugin)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    hook = module.ReadmeHook()
    hook.root = str(ROOT)
    metadata = {"urls": PROJECT["urls"], "version": "1.2.3"}
    hook.update(metadata)
    return metadata["readme"]["text"]


def test_readme_of_the_package_has_absolute_links(readme: str):
    targets = re.findall(r"\]\(([^)\s]+)\)", readme)
    assert f"{REPOSITORY}/blob/v1.2.3/docs/connection.md" in targets
    assert [t for t in targets if not t.startswith(("https://", "#"))] == []
