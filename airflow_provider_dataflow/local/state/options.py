"""Options of a server, some of which choose a behaviour that is not documented for the real service."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class EndedRunDelete(StrEnum):
    """Response to the cancel of a run that SUCCEEDED or FAILED."""

    CONFLICT = "Conflict"  # 409, not retried by the SDK
    INCORRECT_STATE = "IncorrectState"  # 409, which the SDK may retry for 90 seconds
    NO_CONTENT = "NoContent"  # 204, without effect


class Replay(StrEnum):
    """Response to a create whose retry token and body were used before."""

    RESOURCE = "run"  # the resource that the first request created, in its current state
    CONFLICT = "conflict"  # 409 InvalidatedRetryToken


# Patterns of the Spark properties that a run must not set, because the service needs control over them.
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
    """Return a dataclass field with its command line option.

    :param help: help text of the option.
    :param flag: name of the option. Default: the name of the field.
    :param metavar: placeholder of the value in the help.
    """
    return field(default=default, metadata={"help": help, "flag": flag, "metavar": metavar})


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a server. Each field is an option of ``dataflow-local serve``; see ``server_options``."""

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
        None, "maximum number of concurrent runs of one compartment; others wait"
    )
    max_live_runs_per_compartment: int | None = _option(
        None, "maximum number of live runs of one compartment; more are refused with LimitExceeded"
    )
    transition_seconds: float = _option(
        1.0,
        "how long a change of a pool, private endpoint or SQL endpoint, and its work request, takes",
    )
    startup_seconds: float = _option(
        0.0, "how long a run is ACCEPTED before it starts, unless its script says otherwise"
    )
    submission_starts_pool: bool = _option(
        True, "do not start a stopped pool when a run is submitted to it; the run waits"
    )
    # The API reference requires this. By default, runs may supply the missing parameters.
    complete_application_parameters: bool = _option(
        False, "refuse an application that has a placeholder without a parameter"
    )
    one_run_per_streaming_application: bool = _option(
        True, "accept a second run of a streaming application while the first has not ended"
    )
