"""Storage of the service's resources in SQLite.

Each resource has its body as in the API, internal fields, a generation that grows with each change (the
etag), and copies of some fields as columns to filter and sort by. The store does not know what they mean.
"""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_dataflow.local.http.messages import JSON, invalid

SCHEMA_VERSION = 1
# Key in a run's internal fields: the state that clients see instead of IN_PROGRESS.
SHOWN_STATE = "shownState"


@dataclass(slots=True)
class Record:
    """Stored resource."""

    body: JSON
    # Fields that clients do not see.
    internal: JSON = field(default_factory=dict)
    generation: int = 1
    seq: int = 0

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def etag(self) -> str:
        return f"{self.id[-12:]}-{self.generation}"


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """Kind of resource: its table, and the fields of the body that are columns, by the column's name."""

    table: str
    columns: Mapping[str, str]
    indexes: Sequence[Sequence[str]] = ()


RUNS = ResourceKind(
    "runs",
    {
        "compartment_id": "compartmentId",
        "state": "lifecycleState",
        "display_name": "displayName",
        "owner": "ownerPrincipalId",
        "application_id": "applicationId",
        "pool_id": "poolId",
        "time_created": "timeCreated",
        "language": "language",
        "duration": "runDurationInMilliseconds",
        "total_ocpu": "totalOCpu",
        "bytes_read": "dataReadInBytes",
        "bytes_written": "dataWrittenInBytes",
    },
    [("compartment_id", "time_created"), ("state",), ("application_id",)],
)
APPLICATIONS = ResourceKind(
    "applications",
    {
        "compartment_id": "compartmentId",
        "state": "lifecycleState",
        "display_name": "displayName",
        "owner": "ownerPrincipalId",
        "time_created": "timeCreated",
        "language": "language",
        "spark_version": "sparkVersion",
    },
    [("compartment_id", "time_created")],
)
_NAMED = {
    "compartment_id": "compartmentId",
    "state": "lifecycleState",
    "display_name": "displayName",
    "owner": "ownerPrincipalId",
    "time_created": "timeCreated",
}
POOLS = ResourceKind("pools", _NAMED)
PRIVATE_ENDPOINTS = ResourceKind("private_endpoints", _NAMED)
SQL_ENDPOINTS = ResourceKind("sql_endpoints", _NAMED)
STATEMENTS = ResourceKind(
    "statements",
    {"run_id": "runId", "state": "lifecycleState", "time_created": "timeCreated"},
    [("run_id",), ("state",)],
)
WORK_REQUESTS = ResourceKind(
    "work_requests", {"compartment_id": "compartmentId", "status": "status", "time_created": "timeAccepted"}
)
KINDS = (RUNS, APPLICATIONS, POOLS, PRIVATE_ENDPOINTS, SQL_ENDPOINTS, STATEMENTS, WORK_REQUESTS)

_OTHER_TABLES = """
CREATE TABLE IF NOT EXISTS run_states (
    run_id TEXT NOT NULL, state TEXT NOT NULL, moment REAL NOT NULL, details TEXT
);
CREATE INDEX IF NOT EXISTS run_states_run ON run_states (run_id);
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY, moment REAL NOT NULL);
CREATE TABLE IF NOT EXISTS retry_tokens (
    scope TEXT NOT NULL, token TEXT NOT NULL, digest TEXT NOT NULL, resource_id TEXT NOT NULL,
    moment REAL NOT NULL, PRIMARY KEY (scope, token)
);
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Condition on a column: ``Filter("display_name", "=", "x")``.

    :param operator: a comparison of SQL; "prefix": starts with; "in": equals one of the values of a tuple.
    """

    column: str
    operator: str
    value: str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RetryToken:
    """Resource that was created with a retry token, and the digest of the request's body."""

    digest: str
    resource_id: str
    moment: float


class Store:
    """Resources, states of runs, the manual clock and retry tokens.

    :param path: database file; ``None`` for memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        # Several threads use it, one at a time: the service has one lock around everything.
        self._db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        # Survives a kill of the process at any moment; only a power failure may lose the last transactions.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._depth = 0
        self._create()

    def _create(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, SCHEMA_VERSION):
            raise ValueError(f"the state was written by another version (schema {version})")
        with self.transaction():
            for kind in KINDS:
                columns = "".join(f", {column}" for column in kind.columns)
                self._db.execute(
                    f"CREATE TABLE IF NOT EXISTS {kind.table} (seq INTEGER PRIMARY KEY AUTOINCREMENT, "
                    f"id TEXT NOT NULL UNIQUE, generation INTEGER NOT NULL, body TEXT NOT NULL, "
                    f"internal TEXT NOT NULL{columns})"
                )
                for index in kind.indexes:
                    name = f"{kind.table}_{'_'.join(index)}"
                    on = f"{kind.table} ({', '.join(index)})"
                    self._db.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {on}")
            for statement in _OTHER_TABLES.split(";"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit all changes or none. A nested transaction is part of the outer one."""
        self._depth += 1
        try:
            if self._depth == 1:
                self._db.execute("BEGIN IMMEDIATE")
            yield
            if self._depth == 1:
                self._db.execute("COMMIT")
        except BaseException:
            if self._depth == 1:
                self._db.execute("ROLLBACK")
            raise
        finally:
            self._depth -= 1

    def clear(self) -> None:
        """Delete everything but the time of the manual clock."""
        rows = self._db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' "
            "AND name NOT LIKE 'sqlite_%' AND name != 'clock'"
        ).fetchall()
        with self.transaction():
            for (table,) in rows:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this module

    # --- Resources ------------------------------------------------------------------------------------------

    def insert(self, kind: ResourceKind, record: Record) -> None:
        names = ["id", "generation", "body", "internal", *kind.columns]
        marks = ", ".join("?" * len(names))
        cursor = self._db.execute(
            f"INSERT INTO {kind.table} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - names of this module
            [record.id, *self._values(kind, record)],
        )
        record.seq = int(cursor.lastrowid or 0)

    def update(self, kind: ResourceKind, record: Record) -> None:
        """Store a changed record with the next generation."""
        record.generation += 1
        names = ["generation", "body", "internal", *kind.columns]
        self._db.execute(
            f"UPDATE {kind.table} SET {', '.join(f'{n} = ?' for n in names)} WHERE id = ?",  # noqa: S608
            [*self._values(kind, record), record.id],
        )

    def update_internal(self, kind: ResourceKind, record: Record) -> None:
        """Store changed internal fields. Nothing that clients see changes, not even the etag."""
        self._db.execute(
            f"UPDATE {kind.table} SET internal = ? WHERE id = ?",  # noqa: S608
            [json.dumps(record.internal), record.id],
        )

    @staticmethod
    def _values(kind: ResourceKind, record: Record) -> list[Any]:
        copies = [record.body.get(name) for name in kind.columns.values()]
        return [record.generation, json.dumps(record.body), json.dumps(record.internal), *copies]

    def get(self, kind: ResourceKind, id_: str) -> Record | None:
        row = self._db.execute(
            f"SELECT body, internal, generation, seq FROM {kind.table} WHERE id = ?",  # noqa: S608
            [id_],
        ).fetchone()
        return None if row is None else self._record(row)

    @staticmethod
    def _record(row: Sequence[Any]) -> Record:
        return Record(json.loads(row[0]), json.loads(row[1]), row[2], row[3])

    def select(self, kind: ResourceKind, filters: Sequence[Filter] = ()) -> list[Record]:
        """Return the records that match all filters, oldest first."""
        where, values = self._where(filters)
        rows = self._db.execute(
            f"SELECT body, internal, generation, seq FROM {kind.table}{where} ORDER BY seq",  # noqa: S608
            values,
        )
        return [self._record(row) for row in rows]

    def count(self, kind: ResourceKind, filters: Sequence[Filter] = ()) -> int:
        where, values = self._where(filters)
        count = self._db.execute(f"SELECT count(*) FROM {kind.table}{where}", values)  # noqa: S608
        return int(count.fetchone()[0])

    def page(
        self,
        kind: ResourceKind,
        filters: Sequence[Filter],
        sort_by: str,
        descending: bool,
        limit: int,
        page: str | None,
    ) -> tuple[list[Record], str | None]:
        """Return one page of records, and the token of the next page.

        The token names the last record of the page, so that records created later are neither skipped nor
        repeated.

        :raises ApiError: the token is invalid.
        """
        where, values = self._where(filters)
        # A missing value sorts first, as NULL would, but can be compared.
        key = f"ifnull({sort_by}, '')" if sort_by in ("display_name", "state", "language") else sort_by
        if sort_by in ("duration", "total_ocpu", "bytes_read", "bytes_written"):
            key = f"ifnull({sort_by}, -1)"
        if page is not None:
            last_key, last_seq = self._parse_page(page)
            where += " AND " if where else " WHERE "
            where += f"({key}, seq) {'<' if descending else '>'} (?, ?)"
            values += [last_key, last_seq]
        order = "DESC" if descending else "ASC"
        rows = self._db.execute(
            f"SELECT body, internal, generation, seq, {key} FROM {kind.table}{where} "  # noqa: S608
            f"ORDER BY {key} {order}, seq {order} LIMIT ?",
            [*values, limit + 1],
        ).fetchall()
        next_page = None
        if len(rows) > limit:
            rows = rows[:limit]
            next_page = base64.urlsafe_b64encode(json.dumps([rows[-1][4], rows[-1][3]]).encode()).decode()
        return [self._record(row) for row in rows], next_page

    @staticmethod
    def _parse_page(page: str) -> tuple[Any, int]:
        try:
            key, seq = json.loads(base64.b64decode(page, altchars=b"-_", validate=True))
            str(key).encode()  # raises on a lone surrogate, which SQLite does not take
        except (binascii.Error, ValueError, TypeError, RecursionError):
            raise invalid("The page token is invalid.") from None
        if not isinstance(key, (str, int, float)) or type(seq) is not int or not -(2**63) <= seq < 2**63:
            raise invalid("The page token is invalid.")
        return str(key) if isinstance(key, int) and abs(key) >= 2**63 else key, seq

    @staticmethod
    def _where(filters: Sequence[Filter]) -> tuple[str, list[Any]]:
        parts: list[str] = []
        values: list[Any] = []
        for f in filters:
            if isinstance(f.value, tuple):
                parts.append(f"{f.column} {f.operator} ({', '.join('?' * len(f.value))})")
                values += f.value
            elif f.operator == "prefix":
                parts.append(f"substr({f.column}, 1, ?) = ?")
                values += [len(f.value), f.value]
            else:
                parts.append(f"{f.column} {f.operator} ?")
                values.append(f.value)
        return (" WHERE " + " AND ".join(parts) if parts else ""), values

    # --- States of runs -------------------------------------------------------------------------------------

    def add_state(self, run_id: str, state: str, moment: float, details: str | None) -> None:
        self._db.execute("INSERT INTO run_states VALUES (?, ?, ?, ?)", [run_id, state, moment, details])

    def states(self, run_id: str) -> list[tuple[str, float, str | None]]:
        rows = self._db.execute(
            "SELECT state, moment, details FROM run_states WHERE run_id = ? ORDER BY rowid", [run_id]
        )
        return list(rows)

    def last_moment(self) -> float | None:
        """Return when a run last changed its state."""
        moment = self._db.execute("SELECT max(moment) FROM run_states").fetchone()[0]
        return None if moment is None else float(moment)

    # --- Time of the manual clock ---------------------------------------------------------------------------

    def save_time(self, moment: float) -> None:
        self._db.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", [moment])

    def saved_time(self) -> float | None:
        row = self._db.execute("SELECT moment FROM clock").fetchone()
        return None if row is None else float(row[0])

    # --- Retry tokens ---------------------------------------------------------------------------------------

    def retry_token(self, scope: str, token: str) -> RetryToken | None:
        row = self._db.execute(
            "SELECT digest, resource_id, moment FROM retry_tokens WHERE scope = ? AND token = ?",
            [scope, token],
        ).fetchone()
        return None if row is None else RetryToken(*row)

    def save_retry_token(self, scope: str, token: str, kept: RetryToken) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO retry_tokens VALUES (?, ?, ?, ?, ?)",
            [scope, token, kept.digest, kept.resource_id, kept.moment],
        )
