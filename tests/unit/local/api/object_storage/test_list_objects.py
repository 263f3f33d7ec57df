from __future__ import annotations

import contextlib
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_dataflow.local.state.objects.json_files import JsonFiles
from airflow_provider_dataflow.local.state.objects.object_files import ObjectFiles, ObjectMetadata
from airflow_provider_dataflow.local.state.objects.object_listing import NameRange, list_objects
from airflow_provider_dataflow.local.state.objects.object_names import UnusableName

NAMES = ["a", "a-b", "b/c", "b/d/e", "b/d/f", "b0", "c/x", "d+ü/ 1", "z"]


@pytest.fixture
def filled(objects):
    for name in random.Random(1).sample(NAMES, len(NAMES)):
        objects.put(name, name.encode())
    return objects


def test_names_are_sorted_by_code_points(filled):
    """``b/...`` sorts before ``b0`` and after ``a-b``, although the folder ``b`` sorts before both files."""
    filled.put("b-", b"")
    assert filled.names() == sorted([*NAMES, "b-"])


@pytest.mark.parametrize(
    "prefix", ["", "a", "b", "b/", "b/d", "b/d/", "b/d/e", "d+ü/ ", "x", "../", "b//", "z"]
)
def test_prefix_selects_names(filled, prefix):
    assert filled.names(prefix=prefix) == [name for name in sorted(NAMES) if name.startswith(prefix)]


@pytest.mark.parametrize("start", ["", "a-", "b", "b/", "b/d", "b/d/f", "b/z", "zz"])
@pytest.mark.parametrize("end", ["", "a", "b/d/f", "b0", "zz"])
def test_start_and_end_limit_names(filled, start, end):
    expected = [name for name in sorted(NAMES) if name >= start and (not end or name < end)]
    assert filled.names(start=start, end=end) == expected
    assert filled.names(startAfter=start, end=end) == [name for name in expected if name != start]


@pytest.mark.parametrize(
    ("prefix", "names", "prefixes"),
    [
        ("", ["a", "a-b", "b0", "z"], ["b/", "c/", "d+ü/"]),
        ("b", ["b0"], ["b/"]),
        ("b/", ["b/c"], ["b/d/"]),
        ("b/d", [], ["b/d/"]),
        ("x", [], []),
    ],
)
def test_delimiter_groups_names_by_folder(filled, prefix, names, prefixes):
    (filled.folder / "empty").mkdir()
    found = filled.list(prefix=prefix, delimiter="/")
    assert [o["name"] for o in found["objects"]] == names
    assert found["prefixes"] == prefixes
    assert filled.error("GET", f"{filled.path}/o?delimiter=-") == (400, "InvalidParameter")


@pytest.mark.parametrize("delimiter", [{}, {"delimiter": "/"}])
@pytest.mark.parametrize("prefix", ["", "b/"])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_together_are_the_whole_list(filled, limit, prefix, delimiter):
    whole = filled.list(prefix=prefix, **delimiter)
    names, prefixes, start = [], [], {}
    while True:
        page = filled.list(prefix=prefix, limit=limit, **delimiter, **start)
        names += [o["name"] for o in page["objects"]]
        prefixes += page.get("prefixes", [])
        assert len(page["objects"]) + len(page.get("prefixes", [])) <= limit
        if "nextStartWith" not in page:
            break
        start = {"start": page["nextStartWith"]}
    assert names == [o["name"] for o in whole["objects"]]
    assert prefixes == whole.get("prefixes", [])


def test_end_inside_of_folder_keeps_its_prefix(filled):
    assert filled.list(delimiter="/", end="b/d")["prefixes"] == ["b/"]
    assert filled.list(delimiter="/", start="b/d/f")["prefixes"] == ["b/", "c/", "d+ü/"]
    assert filled.list(delimiter="/", start="b/z")["prefixes"] == ["c/", "d+ü/"]


def test_fields_are_returned(filled):
    assert filled.list(prefix="z")["objects"] == [{"name": "z"}]
    fields = "name,size,etag,md5,timeCreated,timeModified,storageTier,archivalState"
    found = filled.list(prefix="z", fields=fields)["objects"][0]
    head = filled.head("z").headers
    assert set(found) == set(fields.split(","))
    assert (found["size"], found["etag"], found["md5"]) == (1, head["etag"], head["content-md5"])
    assert filled.error("GET", f"{filled.path}/o?fields=name,owner") == (400, "InvalidParameter")


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", ""])
def test_invalid_limit_is_refused(filled, limit):
    assert filled.error("GET", f"{filled.path}/o?limit={limit}") == (400, "InvalidLimit")


def test_files_that_are_no_objects_are_not_listed(filled):
    (filled.folder / b"\xff".decode("utf-8", "surrogateescape")).touch()
    (filled.folder / ".dataflow-0123456789abcdef.part").touch()
    assert filled.names() == sorted(NAMES)


_PARTS = st.text("ab-0/", max_size=7)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    names=st.sets(_PARTS, max_size=12),
    prefix=_PARTS,
    start=_PARTS,
    after=_PARTS,
    end=_PARTS,
    limit=st.integers(1, 4),
    by_folder=st.booleans(),
)
def test_list_is_what_sorting_all_names_gives(names, prefix, start, after, end, limit, by_folder):
    with TemporaryDirectory() as folder:
        files = ObjectFiles(Path(folder).resolve() / "b", JsonFiles(Path(folder) / "records"), RLock())
        files.root.mkdir()
        stored = set()
        for name in sorted(names):
            content = Path(folder) / "content"
            content.touch()
            with contextlib.suppress(UnusableName):
                files.put(name, content, ObjectMetadata())
                stored.add(name)
        expected: list[str] = []
        for name in sorted(stored):
            is_in_range = name.startswith(prefix) and name >= start and (not after or name > after)
            if not is_in_range or (end and name >= end):
                continue
            rest = name.removeprefix(prefix)
            shown = prefix + rest.partition("/")[0] + "/" if by_folder and "/" in rest else name
            if shown not in expected:
                expected.append(shown)
        found: list[str] = []
        page_start = start
        while True:
            page = list_objects(files, NameRange(prefix, page_start, after, end), limit, by_folder=by_folder)
            items = sorted([*(o.name for o in page.objects), *page.prefixes])
            assert len(items) <= limit
            found += items
            if page.next_start is None:
                break
            page_start = page.next_start
        assert found == expected


@pytest.mark.parametrize("prefix", ["./", "d/./", "d/../", "../data/", "d//", "/"])
def test_prefix_that_no_name_has_lists_nothing(objects, prefix):
    objects.put("a")
    objects.put("d/b")
    assert objects.list(prefix=prefix) == {"objects": []}
    assert objects.list(prefix=prefix, delimiter="/") == {"objects": [], "prefixes": []}
