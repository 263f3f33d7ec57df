"""Preparation of a run: check that its files exist, and put them where the application finds them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from airflow_provider_dataflow.local.engines.base import EngineJob
from airflow_provider_dataflow.local.engines.spark.properties import dependencies
from airflow_provider_dataflow.local.engines.spark.workspace import Workspace
from airflow_provider_dataflow.local.http.messages import JSON
from airflow_provider_dataflow.local.state.buckets import Buckets, mentioned_buckets

_PATTERN = re.compile(r"[*?\[{]")


class CannotStart(Exception):
    """Error before the start of Spark. The message becomes the run's ``lifecycleDetails``."""


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Content of the dependency archives: folders for PYTHONPATH, and jars."""

    python_path: list[str] = field(default_factory=list)
    jars: list[str] = field(default_factory=list)


def is_session(run: JSON) -> bool:
    return run.get("type") == "SESSION"


def check_storage(job: EngineJob, buckets: Buckets) -> None:
    """Check that all buckets that the run mentions, its main file and its dependencies exist.

    :raises CannotStart: one of them does not exist.
    """
    run = job.run
    texts = [run["fileUri"], run["archiveUri"], run["logsBucketUri"], run["warehouseBucketUri"]]
    texts += [*job.arguments, *(run["configuration"] or {}).values()]
    needed = dependencies(run, job.internal)
    for uris in needed.values():
        texts += uris
    check_buckets([text for text in texts if text], buckets)
    # A SESSION run has no main file.
    path = None if is_session(run) else buckets.local_path(run["fileUri"])
    if not is_session(run) and (path is None or not path.is_file()):
        raise CannotStart(f"The main application file {run['fileUri']} does not exist.")
    for uris in needed.values():
        for uri in uris:
            _file_of(uri, buckets)


def check_buckets(texts: Iterable[str], buckets: Buckets) -> None:
    """Check that all buckets exist whose URIs occur in the texts.

    :raises CannotStart: one of them does not exist.
    """
    for bucket in mentioned_buckets(texts):
        if not buckets.exists(bucket):
            raise CannotStart(
                f"The bucket {bucket.bucket} in the namespace {bucket.namespace} does not exist. "
                f"Create it with: dataflow-local bucket {bucket.authority}"
            )


def prepare(job: EngineJob, workspace: Workspace, buckets: Buckets) -> Dependencies:
    """Unpack the dependency archives, and place files and archives into the working directory.

    :raises CannotStart: a file does not exist, or an archive cannot be unpacked.
    """
    found = _unpack_archives(job.run["archiveUri"], workspace, buckets)
    _place(job, workspace, buckets)
    if job.run["logsBucketUri"]:
        try:
            workspace.set_logs_target(buckets.folder(job.run["logsBucketUri"]) / job.run_id)
        except ValueError as e:
            raise CannotStart(f"logsBucketUri: {e}.") from None
    return found


def _file_of(uri: str, buckets: Buckets) -> Path | None:
    """Return the local file of a URI; ``None`` for patterns and other schemes, which Spark resolves.

    :raises CannotStart: the file does not exist.
    """
    plain = uri.partition("#")[0]
    if not plain.startswith("oci://") or _PATTERN.search(plain):
        return None
    path = buckets.local_path(plain)
    if path is None:
        raise CannotStart(f"The file {plain} does not exist.")
    return path if path.is_file() else None


def _unpack_archives(uris: str | None, workspace: Workspace, buckets: Buckets) -> Dependencies:
    found = Dependencies()
    for uri in (uris or "").split(","):
        if not uri.strip():
            continue
        path = buckets.local_path(uri.strip())
        if path is None or not path.is_file():
            raise CannotStart(f"The archive {uri.strip()} does not exist.")
        try:
            python_path, jars = workspace.unpack_archive(path)
        except ValueError as e:
            raise CannotStart(f"The archive {uri.strip()} {e}.") from None
        found.python_path.extend(python_path)
        found.jars.extend(jars)
    return found


def _place(job: EngineJob, workspace: Workspace, buckets: Buckets) -> None:
    """Put files and archives into the working directory, as on a cluster."""
    needed = dependencies(job.run, job.internal)
    for name in ("files", "archives"):
        for uri in needed[name]:
            path = _file_of(uri, buckets)
            if path is None:
                continue
            alias = uri.partition("#")[2] or path.name
            if name == "files":
                workspace.place_file(path, alias)
                continue
            try:
                workspace.place_archive(path, alias)
            except ValueError as e:
                raise CannotStart(f"The archive {uri} {e}.") from None
