from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.state.buckets import Buckets, ObjectUri, mentioned_buckets, parse_uri


@pytest.fixture
def buckets(tmp_path) -> Buckets:
    return Buckets(tmp_path / "buckets")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("oci://b@ns/a/b c.csv", ObjectUri("ns", "b", "a/b c.csv")),
        ("oci://b@ns", ObjectUri("ns", "b", "")),
        ("oci://my_bucket.v2-X@ns_1/", ObjectUri("ns_1", "my_bucket.v2-X", "")),
    ],
)
def test_uris_are_parsed(uri, expected):
    assert parse_uri(uri) == expected


@pytest.mark.parametrize(
    "uri",
    ["", "b@ns/x", "s3://b@ns/x", "oci://b/x", "oci://@ns/x", "oci://..@ns/x", "oci://b@../x", "oci://b@n@m/x",
     "oci://.hidden@ns/", "oci://b%2f@ns/x", f"oci://{'b' * 300}@ns/x", "oci://b@ns\n/x"],
)  # fmt: skip
def test_invalid_uris_are_refused(uri):
    with pytest.raises(ValueError):  # noqa: PT011
        parse_uri(uri)


def test_mentioned_buckets_are_found_once():
    texts = ["--in=oci://a@n/x,oci://b@n/y", "see oci://a@n.", "oci://bad/x", "https://a@n/"]
    assert [u.authority for u in mentioned_buckets(texts)] == ["a@n", "b@n"]


def test_buckets_are_created_and_listed(buckets):
    assert buckets.all() == []
    path = buckets.create("ns", "b")
    assert path == buckets.path("ns", "b")
    assert path.is_dir()
    (buckets.root / "ns" / "file").touch()
    assert buckets.all() == [ObjectUri("ns", "b", "")]
    assert buckets.exists(ObjectUri("ns", "b", ""))
    assert not buckets.exists(ObjectUri("ns", "..", ""))
    with pytest.raises(ValueError, match="bucket"):
        buckets.path("ns", "../x")


def test_local_path_stays_within_its_bucket(buckets, tmp_path):
    bucket = buckets.create("ns", "b")
    other = buckets.create("ns", "other")
    for folder in (bucket, other, tmp_path):
        (folder / "x y.txt").touch()
    (bucket / "link").symlink_to(tmp_path)
    assert buckets.local_path("oci://b@ns/x y.txt") == bucket / "x y.txt"
    assert buckets.local_path("oci://b@ns/x%20y.txt") == bucket / "x y.txt"
    for key in (
        "../other/x y.txt",
        "../../../x y.txt",
        "%2e%2e/other/x%20y.txt",
        "link/x y.txt",
        "none",
        "a\0b",
    ):
        assert buckets.local_path(f"oci://b@ns/{key}") is None
    assert buckets.local_path(f"oci://b@ns/{tmp_path}/x y.txt") is None
    (bucket / "loop").symlink_to("loop")
    for key in ("loop", "x" * 5000, "a/../../other/x y.txt", "..%2fother/x y.txt", "//etc/passwd"):
        assert buckets.local_path(f"oci://b@ns/{key}") is None


def test_spark_uri_is_quoted(buckets):
    folder = buckets.create("ns", "b") / "dir ü"
    folder.mkdir()
    for name in ("a b.py", "c#d.py", "100%41.py"):
        (folder / name).touch()
    assert buckets.spark_uri("oci://b@ns/dir ü/a b.py") == "oci://b@ns/dir%20%C3%BC/a%20b.py"
    assert buckets.spark_uri("oci://b@ns/dir%20%C3%BC/a%20b.py") == "oci://b@ns/dir%20%C3%BC/a%20b.py"
    assert buckets.spark_uri("oci://b@ns/dir ü/100%41.py") == "oci://b@ns/dir%20%C3%BC/100%2541.py"
    assert buckets.spark_uri("oci://b@ns/dir ü/a b.py#name") == "oci://b@ns/dir%20%C3%BC/a%20b.py#name"
    for uri in ("oci://b@ns/*.jar", "oci://b@ns/none here", "file:///x y", "oci://../x"):
        assert buckets.spark_uri(uri) == uri


def test_folder_stays_within_its_bucket(buckets, tmp_path):
    bucket = buckets.create("ns", "b")
    assert buckets.folder("oci://b@ns/") == bucket
    assert buckets.folder("oci://b@ns/logs/new/") == bucket / "logs" / "new"
    (bucket / "link").symlink_to(tmp_path)
    for key in ("..", "link", "link/x", "a/../../c", "a\0b"):
        with pytest.raises(ValueError, match="not within its bucket"):
            buckets.folder(f"oci://b@ns/{key}")
