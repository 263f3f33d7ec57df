"""Spark properties of a run: those of the user, and those of Local Data Flow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.local.state.buckets import Buckets

# Our own scheme for Hadoop's raw local file system, which unlike file:// writes no .crc files.
_RAW_SCHEME = "rawfile"
# Property of each list of URIs, by the key under which those of `execute` are stored.
LISTS = {
    "jars": "spark.jars",
    "files": "spark.files",
    "pyFiles": "spark.submit.pyFiles",
    "archives": "spark.archives",
}


def dependencies(run: Mapping[str, Any], internal: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the URIs of each of ``LISTS``: those of the configuration, then those of ``execute``."""
    configuration = run["configuration"] or {}
    submission = internal.get("submission", {})
    return {
        name: [
            *(uri.strip() for uri in configuration.get(key, "").split(",") if uri.strip()),
            *submission.get(name, ()),
        ]
        for name, key in LISTS.items()
    }


def bucket_properties(buckets: Buckets) -> dict[str, str]:
    """Return the properties that map ``oci://bucket@namespace/`` to folders, for all existing buckets."""
    properties = {
        "spark.hadoop.fs.oci.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        f"spark.hadoop.fs.{_RAW_SCHEME}.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    }
    for bucket in buckets.all():
        folder = buckets.path(bucket.namespace, bucket.bucket)
        target = f"{_RAW_SCHEME}://{folder.as_uri().removeprefix('file://')}/"
        properties[f"spark.hadoop.fs.viewfs.mounttable.{bucket.authority}.linkFallback"] = target
    return properties


def run_properties(
    run: Mapping[str, Any],
    internal: Mapping[str, Any],
    *,
    buckets: Buckets,
    temporary: Path,
    events: Path,
    cores: int,
    heap: int,
    extra_jars: Iterable[str] = (),
) -> dict[str, str]:
    """Return all properties of a run: defaults, then the user's, then those that cannot be changed.

    :param heap: size of the heap in MiB.
    """
    user = {k: v for k, v in (run["configuration"] or {}).items() if k.startswith("spark.")}
    properties = {
        "spark.app.name": run["displayName"] or run["id"],
        "spark.sql.shuffle.partitions": str(max(2, cores)),
        # Delta Lake's VACUUM would start the default of 10,000 tasks.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": str(max(2, cores)),
        "spark.ui.showConsoleProgress": "false",
    }
    if "spark.delta.logStore.class" not in user:
        # Delta Lake's default for unknown schemes needs a FileContext, which there is none of for oci://.
        properties["spark.delta.logStore.oci.impl"] = "io.delta.storage.LocalLogStore"
    if run["warehouseBucketUri"]:
        properties["spark.sql.warehouse.dir"] = run["warehouseBucketUri"]
    properties |= user
    for name, uris in dependencies(run, internal).items():
        parts = [buckets.spark_uri(uri) for uri in uris]
        if name == "jars":
            parts += extra_jars
        if parts:
            properties[LISTS[name]] = ",".join(parts)
    # With local[n] alone, Spark would not retry a failed task, as a cluster does.
    properties |= {
        "spark.master": f"local[{cores},{user.get('spark.task.maxFailures', '4')}]",
        "spark.driver.memory": f"{heap}m",
        "spark.driver.host": "localhost",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.local.dir": str(temporary),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.compress": "false",
    }
    return properties | bucket_properties(buckets)


def format_properties(properties: Mapping[str, str]) -> str:
    """Return the text of a properties file as Java reads it."""
    return "".join(f"{_escape(k, key=True)} = {_escape(v)}\n" for k, v in properties.items())


def _escape(text: str, key: bool = False) -> str:
    special = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}
    if key:
        special |= {" ": "\\ ", "=": "\\=", ":": "\\:", "#": "\\#", "!": "\\!"}
    escaped = []
    for character in text:
        if character in special:
            escaped.append(special[character])
        elif " " <= character <= "~":
            escaped.append(character)
        else:
            units = character.encode("utf-16-be")
            escaped += [f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)]
    value = "".join(escaped)
    return value if key or not value.startswith(" ") else "\\" + value
