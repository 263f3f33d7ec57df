from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

from airflow_provider_dataflow.exceptions import DataFlowError, InvalidArgument
from airflow_provider_dataflow.staging import uv
from airflow_provider_dataflow.staging.archive_cache import LOCK_SECONDS, ArchiveCache
from airflow_provider_dataflow.staging.dependencies import DependencyArchive
from airflow_provider_dataflow.staging.python_target import PythonTarget, target_of_run
from airflow_provider_dataflow.staging.requirements import Requirements
from airflow_provider_dataflow.staging.url_passwords import without_passwords
from tests.wheels import write_wheel

SITE_PACKAGES = "python/lib/python3.11/site-packages"
LINUX = target_of_run("3.5.0")


@pytest.fixture
def index(tmp_path):
    folder = tmp_path / "index"
    folder.mkdir()
    write_wheel(folder, "plainlib", "1.0", requires=["helperlib"], scripts=["plain"])
    write_wheel(folder, "helperlib", "2.0")
    return folder


@pytest.fixture
def cache(tmp_path):
    return ArchiveCache(tmp_path / "cache")


def required(index, *items):
    return Requirements.of_list(["--no-index", f"--find-links {index}", *items])


# --- Target ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spark", "shapes", "expected"),
    [
        (None, [], ("3.11", "x86_64-manylinux_2_17")),
        ("3.5.0", ["VM.Standard.E4.Flex", "VM.Standard3.Flex"], ("3.11", "x86_64-manylinux_2_17")),
        ("3.2.1", ["VM.Standard.A1.Flex", None], ("3.8", "aarch64-manylinux_2_17")),
        ("3.0.2", ["VM.Standard2.1"], ("3.6", "x86_64-manylinux_2_17")),
        ("2.4.4", [], ("3.6", "x86_64-manylinux_2_17")),
    ],
)
def test_target_follows_spark_and_shape(spark, shapes, expected):
    target = target_of_run(spark, *shapes)
    assert (target.python, target.platform) == expected


def test_unknown_spark_is_refused_with_the_way_out():
    with pytest.raises(InvalidArgument, match=r"Spark 9\.9\.9 is not known.*package --python.*archive_uri"):
        target_of_run("9.9.9")


def test_shapes_of_different_processors_are_refused():
    with pytest.raises(InvalidArgument, match="different processors"):
        target_of_run("3.5.0", "VM.Standard.A1.Flex", "VM.Standard.E4.Flex")


@pytest.mark.parametrize("arguments", [("2.7",), ("3",), ("3.11; rm",), ("3.11", "--index-url=x y")])
def test_malformed_target_is_refused(arguments):
    with pytest.raises(InvalidArgument):
        PythonTarget(*arguments)


# --- Requirements ---------------------------------------------------------------------------------


@pytest.mark.parametrize("item", ["", "  ", "a\nb", "-r other.txt", "-e .", "--constraint=c.txt", None, 3])
def test_items_that_are_no_requirement_are_refused(item):
    with pytest.raises(InvalidArgument, match=r"requirements\[1\]"):
        Requirements.of_list(["humanize", item])


@pytest.mark.parametrize("items", [[], ["--no-index"]])
def test_requirements_without_a_package_are_refused(items):
    with pytest.raises(InvalidArgument, match="no requirement"):
        Requirements.of_list(items)


def test_file_is_read_with_the_files_that_it_includes(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "requirements.txt").write_text("a==1  # why\n\n# b\n-r more/other.txt\n-cconstraints.txt\n")
    (tmp_path / "more" / "other.txt").write_text("c \\\n  ==2\n-r ../requirements.txt\n")
    (tmp_path / "constraints.txt").write_text("d<3\n")
    found = Requirements.of_file(tmp_path / "requirements.txt", root=tmp_path)
    assert [" ".join(line.split()) for line in found.lines] == [
        *("a==1", "-r more/other.txt", "c ==2", "-r ../requirements.txt", "-cconstraints.txt", "d<3")
    ]
    first = found.fingerprint
    (tmp_path / "constraints.txt").write_text("d<4\n")
    assert Requirements.of_file(tmp_path / "requirements.txt").fingerprint != first


@pytest.mark.parametrize("problem", ["missing", "outside", "large", "binary", "editable"])
def test_file_that_cannot_be_shipped_is_refused(tmp_path, problem):
    file = tmp_path / "dags" / "requirements.txt"
    file.parent.mkdir()
    (tmp_path / "secret.txt").write_text("a\n")
    content = {
        "missing": b"-r other.txt\n",
        "outside": b"-r ../secret.txt\n",
        "large": b"a\n" * 600_000,
        "binary": b"\xff\xfe\x00",
        "editable": b"-e ./package\n",
    }
    file.write_bytes(content[problem])
    with pytest.raises(InvalidArgument, match=r"^requirements: "):
        Requirements.of_file(file, root=file.parent)


def test_requirements_with_local_files_have_no_fingerprint():
    assert Requirements.of_list(["humanize"]).fingerprint
    for item in ("./x.whl", "x @ file:///x.whl", "x @ ./folder", "/tmp/x.tar.gz"):
        assert Requirements.of_list([item]).fingerprint is None


OUTSIDE = (
    "../outside/x-1.0-py3-none-any.whl",
    "sub/../../outside/x-1.0-py3-none-any.whl",
    "{outside}/x-1.0-py3-none-any.whl",
    "x @ file://{outside}/x-1.0-py3-none-any.whl",
    "x[extra] @ ../outside/x-1.0-py3-none-any.whl ; python_version > '3'",
    "file:{outside}/x-1.0-py3-none-any.whl",
    "file://${{PROJECT_ROOT}}/../outside/x-1.0-py3-none-any.whl",
    "--find-links {outside}",
    "-f ../outside",
    "--index-url=file://{outside}",
    "--index own={outside}",
    "link-1.0-py3-none-any.whl",
    "--find-links linked",
)


@pytest.mark.parametrize("kind", ["list", "file"])
@pytest.mark.parametrize("line", OUTSIDE)
def test_local_path_outside_of_the_bundle_is_refused(tmp_path, line, kind):
    bundle, outside = tmp_path / "bundle", tmp_path / "outside"
    (bundle / "linked").mkdir(parents=True)
    outside.mkdir()
    wheel = write_wheel(outside, "x")
    for link in ("link-1.0-py3-none-any.whl", "linked/x-1.0-py3-none-any.whl"):
        (bundle / link).symlink_to(wheel)
    line = line.format(outside=outside)
    file = bundle / "requirements.txt"
    file.write_text(f"humanize\n{line}\n")
    read = {
        "list": lambda: Requirements.of_list(["humanize", line], folder=bundle, root=bundle),
        "file": lambda: Requirements.of_file(file, root=bundle),
    }[kind]
    with pytest.raises(InvalidArgument, match=r"^requirements.* is outside of the DAG's bundle"):
        read()


@pytest.mark.parametrize(
    "line",
    [
        "humanize>=4 ; python_version > '3'",
        "humanize[extra]==4.9.0",
        "x @ https://host/x-1.0-py3-none-any.whl",
        "https://host/x-1.0-py3-none-any.whl",
        "--index-url https://host/simple?a=/b",
        "./x-1.0-py3-none-any.whl",
    ],
)
def test_other_requirements_pass_unchanged(tmp_path, line):
    assert Requirements.of_list(["a", line], folder=tmp_path, root=tmp_path).lines == ("a", line)


def test_list_names_wheels_relative_to_its_folder(cache, tmp_path):
    folder = tmp_path / "dags"
    (folder / "wheels").mkdir(parents=True)
    write_wheel(folder / "wheels", "helperlib", "2.0")
    wheel = write_wheel(folder, "own", "3.0", requires=["helperlib"])
    items = ["--no-index", "--find-links wheels", f"./{wheel.name}"]
    archive = DependencyArchive.resolve(Requirements.of_list(items, folder=folder, root=folder), LINUX, cache)
    with zipfile.ZipFile(archive.build()) as built:
        assert {f"{SITE_PACKAGES}/{name}/__init__.py" for name in ("own", "helperlib")} <= set(
            built.namelist()
        )


# --- Resolve and build ----------------------------------------------------------------------------


def test_archive_has_the_documented_layout_without_scripts(index, cache):
    archive = DependencyArchive.resolve(required(index, "plainlib"), LINUX, cache)
    assert archive.packages == ["helperlib==2.0", "plainlib==1.0"]
    with zipfile.ZipFile(archive.build()) as built:
        names = built.namelist()
        record = built.read(f"{SITE_PACKAGES}/plainlib-1.0.dist-info/RECORD").decode()
        assert {entry.date_time for entry in built.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert names[0] == "version.txt"
    assert {f"{SITE_PACKAGES}/plainlib/__init__.py", f"{SITE_PACKAGES}/helperlib/__init__.py"} <= set(names)
    assert all(name.startswith(f"{SITE_PACKAGES}/") for name in names[1:])
    assert not [name for name in names if "/bin/" in name or "__pycache__" in name]
    assert "bin/" not in record
    assert "plainlib/__init__.py" in record


def test_equal_requirements_give_an_equal_archive_on_every_machine(index, tmp_path):
    digests = set()
    for machine in ("a", "b"):
        archive = DependencyArchive.resolve(
            required(index, "plainlib"), LINUX, ArchiveCache(tmp_path / machine)
        )
        digests.add((archive.key, hashlib.sha256(archive.build().read_bytes()).hexdigest()))
    assert len(digests) == 1


def test_packages_can_be_imported_from_the_archive(index, cache, tmp_path):
    target = PythonTarget(f"{sys.version_info.major}.{sys.version_info.minor}")
    archive = DependencyArchive.resolve(required(index, "plainlib"), target, cache)
    with zipfile.ZipFile(archive.build()) as built:
        built.extractall(tmp_path / "unpacked")
    (folder,) = (tmp_path / "unpacked").glob("python/lib/python3*/site-packages")
    code = "import plainlib, helperlib; print(plainlib.VERSION, helperlib.VERSION)"
    result = subprocess.run(
        [sys.executable, "-S", "-c", code], env={"PYTHONPATH": str(folder)}, capture_output=True, text=True
    )
    assert result.stdout == "1.0 2.0\n", result.stderr


def test_wheel_of_the_target_is_chosen(index, cache):
    for platform in ("manylinux_2_17_x86_64", "manylinux_2_17_aarch64", "manylinux_2_34_x86_64"):
        tag = f"cp311-cp311-{platform}"
        write_wheel(index, "binary", "1.0", tag=tag, files={"binary/__init__.py": f"TAG = {platform!r}\n"})
    for shape, expected in (("VM.Standard.E4.Flex", "x86_64"), ("VM.Standard.A1.Flex", "aarch64")):
        archive = DependencyArchive.resolve(required(index, "binary"), target_of_run("3.5.0", shape), cache)
        with zipfile.ZipFile(archive.build()) as built:
            assert f"2_17_{expected}" in built.read(f"{SITE_PACKAGES}/binary/__init__.py").decode()


@pytest.mark.parametrize("tag", ["cp311-cp311-win_amd64", "cp38-cp38-manylinux_2_17_x86_64", "source"])
def test_package_without_a_wheel_for_the_target_is_refused_by_name(index, cache, tag):
    if tag == "source":
        import tarfile

        with tarfile.open(index / "binary-1.0.tar.gz", "w:gz") as archive:
            info = index / "PKG-INFO"
            info.write_text("Metadata-Version: 2.1\nName: binary\nVersion: 1.0\n")
            archive.add(info, "binary-1.0/PKG-INFO")
    else:
        write_wheel(index, "binary", "1.0", tag=tag)
    write_wheel(index, "needsit", "1.0", requires=["binary"])
    with pytest.raises(
        InvalidArgument, match=r"requirements: no wheel of .*binary.* for Python 3\.11 on x86_64"
    ):
        DependencyArchive.resolve(required(index, "needsit"), LINUX, cache)


def test_requirements_that_contradict_are_refused(index, cache):
    with pytest.raises(InvalidArgument, match="cannot be resolved"):
        DependencyArchive.resolve(required(index, "plainlib==1.0", "plainlib==2.0"), LINUX, cache)


def test_what_spark_has_is_left_out(index, cache):
    write_wheel(index, "sparklib", "1.0", requires=["pyspark>=3", "helperlib"])
    archive = DependencyArchive.resolve(required(index, "sparklib", "py4j"), LINUX, cache)
    assert archive.packages == ["helperlib==2.0", "sparklib==1.0"]


def test_local_wheel_is_found_beside_the_requirements_file(index, cache, tmp_path):
    folder = tmp_path / "dags"
    folder.mkdir()
    wheel = write_wheel(folder, "own", "3.0")
    file = folder / "requirements.txt"
    file.write_text(f"--no-index\n./{wheel.name}\n")
    archive = DependencyArchive.resolve(Requirements.of_file(file), LINUX, cache)
    with zipfile.ZipFile(archive.build()) as built:
        names = built.namelist()
    assert f"{SITE_PACKAGES}/own/__init__.py" in names
    assert not [name for name in names if name.endswith("direct_url.json")]


def test_missing_uv_names_the_extra(index, cache, monkeypatch):
    monkeypatch.setattr(uv, "import_module", lambda name: __import__("no_such_module"))
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(InvalidArgument, match=r"airflow-provider-dataflow\[package\]"):
        DependencyArchive.resolve(required(index, "plainlib"), LINUX, cache)


def test_password_of_an_index_is_not_in_the_error(cache):
    items = ["--index-url http://user:hunter2@127.0.0.1:1/simple", "plainlib"]
    with pytest.raises(DataFlowError) as caught:
        DependencyArchive.resolve(Requirements.of_list(items), LINUX, cache)
    assert "hunter2" not in str(caught.value)


PASSWORDS = (
    "-e git+https://bob:hunter2@host/x/y",
    "-r https://bob:hunter2@host/requirements.txt",
    "-r ../https://bob:hunter2@host/requirements.txt",
    "../../../https://bob:hunter2@host/x",
    "-r 'https://bob:hunter2@host/requirements.txt",
)


@pytest.mark.parametrize("kind", ["list", "file"])
@pytest.mark.parametrize("line", PASSWORDS)
@pytest.mark.parametrize("password", ["hunter2", "p@hunter2", "hunter2@p", "p/hunter2", "hunter2/p", ""])
def test_password_of_a_refused_requirement_is_not_in_the_error(tmp_path, line, kind, password):
    line = line.replace("hunter2", password) if password else line.replace("bob:", "")
    file = tmp_path / "requirements.txt"
    file.write_text(f"humanize\n{line}\n")
    read = {
        "list": lambda: Requirements.of_list(["humanize", line], folder=tmp_path, root=tmp_path),
        "file": lambda: Requirements.of_file(file, root=tmp_path),
    }[kind]
    with pytest.raises(InvalidArgument, match=r"^requirements") as caught:
        read()
    assert "hunter2" not in str(caught.value)
    assert "bob" not in str(caught.value)
    assert "host" in str(caught.value)


def test_password_of_an_item_with_several_lines_is_not_in_the_error():
    for item in ("a\n--index-url https://bob:hunter2@host/", ["https://bob:hunter2@host/"]):
        with pytest.raises(InvalidArgument, match=r"^requirements\[0\]: .*https://\*\*\*@host/"):
            Requirements.of_list([item])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:p@ss@host/x", "https://***@host/x"),
        ("https://host/x@v1 http://host:80/y@v2", "https://host/x@v1 http://host:80/y@v2"),
        ("git+ssh://git@host/x@v1, https://u:p@host/", "git+ssh://***@host/x@v1, https://***@host/"),
        ("x @ file:///packages/x@1.whl", "x @ file:///packages/x@1.whl"),
    ],
)
def test_only_users_and_passwords_of_urls_are_hidden(text, expected):
    assert without_passwords(text) == expected


@pytest.mark.parametrize("line", ["-r 'other.txt", '-c "a b', "-r#other.txt"])
def test_malformed_path_of_an_included_file_is_refused(tmp_path, line):
    file = tmp_path / "requirements.txt"
    file.write_text(f"humanize\n{line}\n")
    with pytest.raises(InvalidArgument, match=r"^requirements: .*: expected the path of a file"):
        Requirements.of_file(file)


# --- Cache ----------------------------------------------------------------------------------------


def test_lock_is_resolved_once_a_day(cache):
    resolved = []

    def resolve():
        resolved.append(1)
        return f"lock {len(resolved)}"

    assert cache.lock("key", resolve) == cache.lock("key", resolve) == "lock 1"
    assert cache.lock(None, resolve) == "lock 2"
    (file,) = cache._folder.glob("locks/*")
    assert file.stat().st_mode & 0o077 == 0
    old = time.time() - LOCK_SECONDS - 1
    os.utime(file, (old, old))
    assert cache.lock("key", resolve) == "lock 3"


def test_archive_is_built_once_by_many_at_once(cache):
    built = []

    def build(file, folder):
        built.append(1)
        time.sleep(0.2)
        file.write_bytes(b"archive")

    found = []
    threads = [threading.Thread(target=lambda: found.append(cache.archive("key", build))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == [1]
    assert {path.read_bytes() for path in found} == {b"archive"}
    assert len(found) == 5


def test_failed_build_leaves_nothing(cache):
    def fail(file, folder):
        file.write_bytes(b"half")
        raise DataFlowError("no network")

    with pytest.raises(DataFlowError, match="no network"):
        cache.archive("key", fail)
    assert not [path for path in cache._folder.glob("*/**/*") if path.name == "archive.zip"]
    assert cache.archive("key", lambda file, folder: file.write_bytes(b"whole")).read_bytes() == b"whole"


def test_cache_is_bounded_and_keeps_what_was_used_last(tmp_path):
    cache = ArchiveCache(tmp_path, max_bytes=25)

    def add(key, age):
        path = cache.archive(key, lambda file, folder: file.write_bytes(b"x" * 10))
        used = time.time() - age
        os.utime(path, (used, used))
        return path

    oldest, older = add("a", 9000), add("b", 8000)
    newest = add("c", 0)
    assert [path.exists() for path in (oldest, older, newest)] == [False, True, True]
    # What may be in use is kept.
    recent = add("d", 10)
    assert [path.exists() for path in (older, newest, recent)] == [False, True, True]


def test_unusable_cache_names_the_variable(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataFlowError, match="XDG_CACHE_HOME"):
        ArchiveCache(tmp_path / "file").lock("key", lambda: "lock")


def test_cache_follows_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ArchiveCache().lock("key", lambda: "lock")
    assert Path(tmp_path, "airflow-provider-dataflow/dependencies/locks/key").read_text() == "lock"
