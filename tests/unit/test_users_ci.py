"""What others' CI uses: the Dockerfile, the action, the sample project, and the snippets of docs/ci.md."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_dataflow import __version__
from airflow_provider_dataflow.local.cli.command_line import make_parser
from airflow_provider_dataflow.local.http.server_settings import DEFAULT_PORT

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PAGE = (ROOT / "docs" / "ci.md").read_text()
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
SAMPLE = ROOT / "examples" / "project"
PYTHONS = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}


# --- Dockerfile -----------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return name and arguments of each instruction, with continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.split("\n")) if name
    ]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Return the instructions of each stage, after those of the stage that it is built on."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, arguments in instructions():
        if name == "FROM":
            base, _, stage = arguments.partition(" AS ")
            found[stage] = [*found.get(base, [])]
        found[stage].append((name, arguments))
    return found


def test_base_image_is_pinned_to_a_tested_python():
    images = [arguments.partition(" AS ")[0] for name, arguments in instructions() if name == "FROM"]
    foreign = [image for image in images if image not in stages()]
    assert len(foreign) == 1
    match = re.fullmatch(r"python:(3\.\d+)-slim-[a-z]+", foreign[0])
    assert match
    assert match[1] in PYTHONS


@pytest.mark.parametrize("stage", ["demo", "server"])
def test_container_runs_without_root(stage):
    users = [arguments for name, arguments in stages()[stage] if name == "USER"]
    # A number, which Kubernetes can check for runAsNonRoot.
    assert users == ["1000"]
    commands = [arguments for name, arguments in stages()[stage] if name == "RUN"]
    assert any("useradd --uid 1000" in command for command in commands)
    assert not any("sudo" in command for command in commands)


def test_the_default_image_is_the_server():
    assert list(stages())[-1] == "server"
    last = dict(stages()["server"])
    [program] = json.loads(last["ENTRYPOINT"])
    assert program in PROJECT["scripts"]
    make_parser().parse_args(json.loads(last["CMD"]))
    assert f"127.0.0.1:{DEFAULT_PORT}/_local/health" in last["HEALTHCHECK"]
    assert dict(stages()["demo"])["CMD"] == '["python", "-m", "dev.demo"]'


def test_packages_of_the_image_are_pinned():
    installs = [a for name, a in instructions() if name == "RUN" and "pip install" in a]
    assert installs
    for command in installs:
        assert "--constraint constraints.txt" in command
        assert "--no-cache-dir" in command


def test_nothing_is_downloaded_or_secret():
    names = {name for name, _ in instructions()}
    assert names.isdisjoint({"ADD", "ARG"})
    text = (ROOT / "Dockerfile").read_text().lower()
    assert not re.search(r"curl|wget|https?://(?!127\.0\.0\.1)|token|password|secret", text)


def test_all_that_is_copied_exists_and_is_sent_to_the_builder():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sent = {line[1:] for line in ignored if line.startswith("!")}
    copied = set()
    for name, arguments in instructions():
        if name == "COPY":
            copied |= {word for word in arguments.split()[:-1] if not word.startswith("--")}
    assert all((ROOT / path).exists() for path in copied)
    assert copied == sent
    # Nothing but that: first everything is excluded.
    assert next(line for line in ignored if not line.startswith("#")) == "*"


def test_build_files_are_copied():
    """Without one of them, the package cannot be built in the image."""
    copied = " ".join(arguments for name, arguments in instructions() if name == "COPY")
    for path in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "airflow_provider_dataflow"):
        assert path in copied.split()


def test_devcontainer_is_that_of_the_tests():
    settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    match = re.search(r"python:(3\.\d+)-[a-z]+$", settings["image"])
    assert match
    assert match[1] in PYTHONS
    assert DEFAULT_PORT in settings["forwardPorts"]


# --- Snippets -------------------------------------------------------------------------------------------


def section(heading: str) -> str:
    [text] = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return text


def snippet(heading: str) -> str:
    """Return the only YAML of a section of the page."""
    [text] = re.findall(r"```yaml\n(.*?)```", section(heading), re.DOTALL)
    return text


def test_github_needs_five_lines():
    text = snippet("GitHub")
    assert len(text.splitlines()) == 5
    steps = yaml.safe_load(text)
    for step in steps:
        assert len(step.keys() & {"uses", "run"}) == 1
    name = PROJECT["urls"]["Repository"].removeprefix("https://github.com/")
    [own] = [step for step in steps if step.get("uses", "").startswith(f"{name}@")]
    assert own["uses"].endswith(f"@v{__version__.partition('.')[0]}")
    assert own.get("with", {}).keys() <= ACTION["inputs"].keys()
    [python] = [step for step in steps if step.get("uses", "").startswith("actions/setup-python@")]
    assert python["with"]["python-version"] in PYTHONS
    assert steps.index(python) < steps.index(own)


def test_page_describes_each_input_of_the_action():
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", section("GitHub"), re.MULTILINE)
    assert dict(rows) == {name: str(entry["default"]) for name, entry in ACTION["inputs"].items()}
    for name in ACTION["outputs"]:
        assert f"`{name}`" in section("GitHub")


def test_action_is_a_composite_of_known_steps():
    assert ACTION["runs"]["using"] == "composite"
    for step in ACTION["runs"]["steps"]:
        assert step["shell"] == "bash"
        # An input that is expanded in a script would be executed.
        assert "${{" not in step["run"]
        used = re.findall(r"inputs\.(\w+)", str(step.get("env", {})))
        assert set(used) <= ACTION["inputs"].keys()
    ids = {step.get("id") for step in ACTION["runs"]["steps"]}
    for output in ACTION["outputs"].values():
        match = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.\w+ \}\}", output["value"])
        assert match
        assert match[1] in ids


def check_gitlab(jobs: dict[str, Any]) -> None:
    known = {"image", "variables", "cache", "script", "artifacts"}
    for job in jobs.values():
        assert job.keys() <= known
        match = re.fullmatch(r"python:(3\.\d+)-slim", job["image"])
        assert match
        assert match[1] in PYTHONS
        assert all(isinstance(line, str) for line in job["script"])
        assert job["artifacts"]["when"] in ("always", "on_failure")


def test_gitlab_job_waits_for_the_server_before_it_uses_it():
    jobs = yaml.safe_load(snippet("GitLab"))
    check_gitlab(jobs)
    [job] = jobs.values()
    steps = ["pip install", "serve", "status", "connection", "bucket", "db migrate", "dags test"]
    places = [next(i for i, line in enumerate(job["script"]) if step in line) for step in steps]
    assert all(earlier < later for earlier, later in pairwise(places))
    assert job["script"][places[1]].endswith("&")


def test_container_of_the_server_shares_the_network_of_its_client():
    compose = yaml.safe_load(snippet("Container"))
    server = compose["services"]["data-flow"]
    kind, _, client = server["network_mode"].partition(":")
    assert kind == "service"
    [pinned] = re.findall(r"^apache-airflow==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    image, install = compose["services"][client]["build"]["dockerfile_inline"].splitlines()
    assert image == f"FROM apache/airflow:{pinned}"
    assert install == f"RUN pip install {PROJECT['name']}"
    [volume] = server["volumes"]
    name, _, folder = volume.partition(":")
    assert name in compose["volumes"]
    assert ("VOLUME", folder) in stages()["server"]


def test_page_builds_the_targets_of_the_dockerfile():
    targets = re.findall(r"docker build .*--target (\w+)", PAGE)
    assert targets == ["demo"]
    assert set(targets) <= stages().keys()


# --- Sample project -------------------------------------------------------------------------------------


def test_sample_project_runs_the_same_on_github_and_gitlab():
    [workflow] = (SAMPLE / ".github" / "workflows").glob("*.yml")
    github = yaml.safe_load(workflow.read_text())
    assert github["permissions"] == {"contents": "read"}
    [job] = github["jobs"].values()
    scripts = [step["run"] for step in job["steps"] if "run" in step]
    gitlab = yaml.safe_load((SAMPLE / ".gitlab-ci.yml").read_text())
    check_gitlab(gitlab)
    [other] = gitlab.values()
    assert [line.partition(" --junitxml")[0] for line in other["script"]] == scripts
    assert {n for n in other["variables"] if n.startswith("AIRFLOW")} == github["env"].keys()


def test_sample_project_needs_only_the_package_and_pytest():
    requirements = (SAMPLE / "requirements.txt").read_text().split()
    assert requirements == [f"{PROJECT['name']}[local]", "pytest"]


def test_sample_project_lists_its_files():
    listed = re.findall(r"^\| `([^`]+)` \|", (SAMPLE / "README.md").read_text(), re.MULTILINE)
    assert listed
    assert all((SAMPLE / path).is_file() for path in listed)
    ignored = [
        *(SAMPLE / ".gitignore").read_text().split(),
        "README.md",
        ".gitignore",
        "*.pyc",
        "__pycache__",
    ]
    for path in SAMPLE.rglob("*"):
        name = str(path.relative_to(SAMPLE))
        if path.is_file() and not any(
            fnmatch(part, p.strip("/")) for part in Path(name).parts for p in ignored
        ):
            assert name in listed
