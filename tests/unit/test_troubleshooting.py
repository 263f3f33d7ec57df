"""The page on troubleshooting has a section for each error and each hint, and the messages link to it."""

from __future__ import annotations

import linecache
import re
import tomllib
from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from airflow_provider_dataflow import exceptions
from airflow_provider_dataflow.compat import retry_policies
from airflow_provider_dataflow.error_hints import (
    CAUSES,
    NETWORK_CAUSES,
    REDIRECT_HEADING,
    SERVICE_FAILURE_HEADING,
    STATUS_ADVICE,
    hint_for_network,
    hint_for_response,
)
from airflow_provider_dataflow.exceptions import (
    AlreadyRunning,
    AmbiguousName,
    DataFlowError,
    InvalidArgument,
    NotFound,
    PoolLost,
    RunFailed,
    RunLost,
    ServiceError,
    SqlEndpointFailed,
    StatementFailed,
    SubmitRejected,
    UnexpectedResponse,
)
from airflow_provider_dataflow.help_links import anchor_of, see, troubleshooting_page
from tests.unit.models.test_drift import TERRAFORM_ARGUMENTS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "troubleshooting.md"
HEADINGS = re.findall(r"^#+ (.+)$", PAGE.read_text(), re.MULTILINE)
ANCHORS = [anchor_of(heading) for heading in HEADINGS]
HOWTO_PAGES = sorted((ROOT / "docs" / "howto").glob("*.md"))

ERRORS = sorted(
    kind.__name__
    for kind in vars(exceptions).values()
    if isinstance(kind, type) and issubclass(kind, DataFlowError)
)
HINTS = [
    *(cause.heading for cause in (*CAUSES, *NETWORK_CAUSES)),
    *(f"HTTP {status}" for status in (*STATUS_ADVICE, 403, 404)),
    REDIRECT_HEADING,
    SERVICE_FAILURE_HEADING,
]


def linked(message: str) -> list[str]:
    """Return the anchors that a message names."""
    return re.findall(rf"See {re.escape(troubleshooting_page())}#([\w-]+)(?!\S)", message)


def test_every_anchor_is_unique():
    assert len(ANCHORS) == len(set(ANCHORS))


@pytest.mark.parametrize("heading", [*ERRORS, *HINTS])
def test_error_or_hint_has_a_section_that_says_what_to_do(heading: str):
    assert anchor_of(heading) in ANCHORS
    section = PAGE.read_text().split(f"\n### {heading}\n")[1].split("\n#")[0]
    assert len(section.split()) >= 5


@pytest.mark.parametrize(
    "error",
    [
        RunFailed(run_id="run", state="FAILED"),
        RunLost(run_id="run"),
        PoolLost(pool_id="pool"),
        SqlEndpointFailed(sql_endpoint_id="sql"),
        StatementFailed(run_id="run", statement_id=1),
        AlreadyRunning(application_id="app", run_id="run", state="IN_PROGRESS"),
        AmbiguousName(kind="pool", display_name="warm", compartment_id="c", ids=["a", "b"]),
        NotFound(kind="pool", display_name="warm", compartment_id="c"),
        UnexpectedResponse(operation="GetRun", message="not JSON"),
        ServiceError(operation="SignIn", message="no token"),
        ServiceError(operation="GetRun", message="odd", status=418),
    ],
    ids=lambda error: type(error).__name__,
)
def test_message_links_to_the_section_of_its_class(error: DataFlowError):
    assert linked(str(error)) == [type(error).__name__.lower()]


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 412, 413, 422, 429, 500, 503])
def test_message_links_to_the_section_of_its_status(status: int):
    [anchor] = linked(str(SubmitRejected(operation="CreateRun", message="no", status=status)))
    assert anchor in ANCHORS
    assert anchor.startswith("http-")


def test_message_links_to_the_section_of_its_cause():
    assert linked(hint_for_response("CreateRun", 400, "LimitExceeded", "")) == ["limit-or-quota-exceeded"]
    assert linked(hint_for_network("Connection refused")) == ["connection-refused"]
    assert linked(str(RunFailed(run_id="run", hint=CAUSES[0].hint("the private endpoint is in use")))) == [
        "private-endpoint-in-use"
    ]


def test_link_is_beside_the_documentation_of_the_package():
    """``pyproject.toml`` has the address. The page is there, so the link leads to it."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    folder, _, index = urls["Documentation"].rpartition("/")
    assert troubleshooting_page() == f"{folder}/{PAGE.name}"
    assert folder == f"{urls['Repository']}/blob/main/docs"
    assert (ROOT / "docs" / index).is_file()
    assert see("HTTP 401") == f"See {folder}/troubleshooting.md#http-401"


def test_link_is_a_path_if_the_package_has_no_metadata(monkeypatch):
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("airflow_provider_dataflow.help_links.metadata", missing)
    assert troubleshooting_page.__wrapped__() == "docs/troubleshooting.md"


def test_link_is_short():
    """A message has at most two of them: of the error, and of the service's error in its note."""
    assert max(len(see(heading)) for heading in [*ERRORS, *HINTS]) < 150


@pytest.mark.parametrize(
    "word", ["Troubleshoot", "401", "OutOfMemory", "BashOperator", "RunLost", "deferred"]
)
def test_word_that_people_search_for_is_found(word: str):
    pages = [page for page in (ROOT / "docs").rglob("*.md") if word.lower() in page.read_text().lower()]
    assert any(page == PAGE or page.parent.name == "howto" for page in pages)


def test_status_can_be_searched_for():
    """Sphinx leaves numbers out of the words of its search, but finds entries of the index."""
    section = PAGE.read_text().split("\n## Responses of the service\n")[1].split("\n## ")[0]
    statuses = re.findall(r"{index}`(\d+)`", section)
    assert {str(status) for status in (*STATUS_ADVICE, 403, 404, 500, 503)} <= set(statuses)


def test_howto_index_lists_every_page():
    index = (ROOT / "docs" / "howto" / "index.md").read_text()
    listed = set(re.findall(r"^([a-z-]+)$", index, re.MULTILINE))
    assert listed == {page.stem for page in HOWTO_PAGES} - {"index"}
    # The table says for which task each page is.
    linked_pages = set(re.findall(r"\]\(([a-z-]+)\.md", index))
    assert linked_pages == listed
    assert len(re.findall(r"^\| .* \| \[", index, re.MULTILINE)) >= 20


@pytest.mark.parametrize("page", HOWTO_PAGES, ids=lambda page: page.name)
def test_snippet_of_howto_page_is_complete(page: Path, tmp_path):
    """It runs as a file of its own, without a name that the page does not import."""
    file = tmp_path / "snippet.py"
    for snippet in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        is_too_new = "DataFlowRetryPolicy(" in snippet and retry_policies() is None
        refused = pytest.raises(InvalidArgument, match=r"needs Airflow 3\.3") if is_too_new else nullcontext()
        # Functions that run in Spark are shipped as the source in their file.
        file.write_text(snippet)
        linecache.checkcache(str(file))
        with refused:
            exec(compile(snippet, str(file), "exec"), {})


def test_migration_page_has_every_argument_of_terraform():
    rows = (ROOT / "docs" / "howto" / "from-terraform.md").read_text()
    assert set(re.findall(r"^\| `(\w+)", rows, re.MULTILINE)) >= TERRAFORM_ARGUMENTS


def included_snippets() -> list[tuple[str, str]]:
    """Return the parts of example DAGs that pages include, except those of a DAG in several parts."""
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for name, start, end in re.findall(
            r"```\{literalinclude\} \S*/(example_\w+\.py)\n:language: python\n"
            r':start-after: "(\[START \w+\])"\n:end-before: "(\[END \w+\])"\n```',
            page.read_text(),
        ):
            source = (ROOT / "example_dags" / name).read_text()
            found.append((f"{page.name}-{start}", source.split(start)[1].split(f"# {end}")[0]))
    return found


@pytest.mark.parametrize("snippet", [text for _, text in included_snippets()], ids=dict(included_snippets()))
def test_included_snippet_defines_its_names(snippet: str):
    exec(compile(snippet, "<snippet>", "exec"), {"__doc__": ""})
