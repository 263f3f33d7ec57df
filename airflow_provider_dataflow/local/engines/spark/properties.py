"""The Spark properties of a run: the user's, and what makes it run here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.local.state.buckets import Buckets

# An invented scheme for Hadoop's raw local files: unlike file://, it leaves no .crc files beside the data.
_RAW_SCHEME = "rawfile"
# Lists that `execute` may add to, and the properties that they are.
LISTS = {
    "jars": "spark.jars",
    "files": "spark.files",
    "pyFiles": "spark.submit.pyFiles",
    "archives": "spark.archives",
}


def dependencies(run: Mapping[str, Any], internal: Mapping[str, Any]) -> dict[str, list[str]]:
    """The URIs in each of ``LISTS``: of the configuration, then of ``execute``."""
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
    """Makes ``oci://bucket@namespace/`` the bucket's folder, for all buckets that exist now."""
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
    """What goes into the properties file, in the order of precedence."""
    user = {k: v for k, v in (run["configuration"] or {}).items() if k.startswith("spark.")}
    properties = {
        "spark.app.name": run["displayName"] or run["id"],
        "spark.sql.shuffle.partitions": str(max(2, cores)),
        "spark.ui.showConsoleProgress": "false",
    }
    if run["warehouseBucketUri"]:
        properties["spark.sql.warehouse.dir"] = run["warehouseBucketUri"]
    properties |= user
    for name, uris in dependencies(run, internal).items():
        parts = [buckets.spark_uri(uri) for uri in uris]
        if name == "jars":
            parts += extra_jars
        if parts:
            properties[LISTS[name]] = ",".join(parts)
    # A failed task is tried again, as on a cluster; local[n] alone would not.
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
    """As Java reads it."""
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
