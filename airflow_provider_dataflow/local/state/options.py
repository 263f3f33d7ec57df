"""Options of a server, among them choices where the behaviour of the real service is not published."""

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
    """Each field is an option of ``dataflow-local serve``; see ``server_options``."""

    verify_signatures: bool = _option(True, "accept requests that are not signed", "--no-verify")
    ended_run_delete: EndedRunDelete = _option(
        EndedRunDelete.CONFLICT,
        "response to the cancel of a run that SUCCEEDED or FAILED: 409 with this code, or 204",
    )
    max_page: int = _option(1000, "largest page of a list that a client may ask for")
    default_page: int = _option(100, "size of a page of a list, unless the client asks for another")
    retry_token_seconds: float = _option(24 * 3600.0, "how long a retry token is kept")
    replay: Replay = _option(
        Replay.RESOURCE,
        "response to a create whose retry token was used before: the resource that it created, or 409",
    )
    allowed_hosts: tuple[str, ...] = _option(
        (), "hosts that a request may name in its Host header, in addition to loopback", metavar="HOST"
    )
    forbidden_properties: tuple[str, ...] = _option(
        FORBIDDEN_PROPERTIES,
        "patterns of Spark properties that a run must not set; they replace the default ones",
    )
    max_concurrent_runs_per_compartment: int | None = _option(
        None, "most runs of one compartment that are in progress at the same time; others wait"
    )
    max_live_runs_per_compartment: int | None = _option(
        None, "most runs of one compartment that have not ended; one more is refused with LimitExceeded"
    )
    transition_seconds: float = _option(
        1.0, "how long a change of a pool or private endpoint, and its work request, takes"
    )
    submission_starts_pool: bool = _option(
        True, "do not start a stopped pool when a run is submitted to it; the run waits"
    )
    # The documentation wants that; a run may otherwise bring those that are missing.
    complete_application_parameters: bool = _option(
        False, "refuse an application that has a placeholder without a parameter"
    )
    one_run_per_streaming_application: bool = _option(
        False, "refuse a second run of a streaming application while the first has not ended"
    )
