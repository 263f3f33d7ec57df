"""Where the real service's behaviour is not published: what to do there, and other choices of a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EndedRunDelete(StrEnum):
    """The answer to DELETE of a run that SUCCEEDED or FAILED."""

    CONFLICT = "Conflict"  # 409, not retried by the SDK
    INCORRECT_STATE = "IncorrectState"  # 409, which the SDK may retry for a minute and a half
    NO_CONTENT = "NoContent"  # 204, nothing happens


class Replay(StrEnum):
    """The answer to a create whose retry token, and body, was used before."""

    RESOURCE = "run"  # what that created, as it is now
    CONFLICT = "conflict"  # 409 InvalidatedRetryToken, as for a token that was invalidated


# Patterns of the Spark properties that may not be set: what would take a run out of the service's hands.
FORBIDDEN_PROPERTIES = (
    "spark.master",
    "spark.submit.deployMode",
    "spark.driver.host",
    "spark.driver.port",
    "spark.driver.bindAddress",
    "spark.eventLog.*",
    "spark.kubernetes.*",
    "spark.yarn.*",
    "spark.ui.port",
    "spark.ui.enabled",
    "spark.hadoop.fs.oci.*",
    "spark.hadoop.fs.rawfile.*",
    "spark.hadoop.fs.viewfs.*",
)


class EngineName(StrEnum):
    SPARK = "spark"
    SCRIPTED = "scripted"


class ClockName(StrEnum):
    SYSTEM = "system"
    MANUAL = "manual"


def _option(default: Any, help: str, flag: str | None = None, metavar: str | None = None) -> Any:
    """:param flag: on the command line, where that is not the name of the field"""
    return field(default=default, metadata={"help": help, "flag": flag, "metavar": metavar})


@dataclass(frozen=True, slots=True)
class Options:
    """Each is an option of ``dataflow-local serve``, too; see ``flags``."""

    verify_signatures: bool = _option(True, "accept requests that are not signed", "--no-verify")
    ended_run_delete: EndedRunDelete = _option(
        EndedRunDelete.CONFLICT,
        "the answer to a cancel of a run that SUCCEEDED or FAILED: 409 with this code, or 204",
    )
    max_page: int = _option(1000, "the largest page of a list")
    default_page: int = _option(100, "the page of a client that does not ask for a size")
    retry_token_seconds: float = _option(24 * 3600.0, "how long a retry token is kept")
    replay: Replay = _option(
        Replay.RESOURCE,
        "the answer to a create that was answered before, by its retry token: what that created, or 409",
    )
    allowed_hosts: tuple[str, ...] = _option(
        (), "by which the server may be called, beside those of loopback", metavar="HOST"
    )
    forbidden_properties: tuple[str, ...] = _option(
        FORBIDDEN_PROPERTIES, "patterns of Spark properties that a run may not set, instead of the usual ones"
    )
    max_concurrent_runs_per_compartment: int | None = _option(
        None, "how many runs of one compartment may be in progress; others wait"
    )
    max_live_runs_per_compartment: int | None = _option(
        None, "how many there may be that have not ended; one more is LimitExceeded"
    )
    transition_seconds: float = _option(
        1.0, "how long a pool or a private endpoint takes for a change, and its work request"
    )
    submission_starts_pool: bool = _option(
        True, "a run that is submitted to a stopped pool waits until somebody starts it"
    )
    # The documentation wants that; a run may otherwise bring those that are missing.
    complete_application_parameters: bool = _option(
        False, "refuse applications that lack a parameter for one of their placeholders"
    )
    one_run_per_streaming_application: bool = _option(
        False, "refuse a second run of a streaming application while the first has not ended"
    )
