"""Where the real service's behaviour is not published: what to do there, and other choices of a server."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class Options:
    verify_signatures: bool = True
    ended_run_delete: EndedRunDelete = EndedRunDelete.CONFLICT
    # The largest page, and the one that a client gets which does not ask for a size.
    max_page: int = 1000
    default_page: int = 100
    retry_token_seconds: float = 24 * 3600
    # Hosts by which the server may be called, beside those of loopback.
    allowed_hosts: frozenset[str] = frozenset()
    replay: Replay = Replay.RESOURCE
    forbidden_properties: tuple[str, ...] = FORBIDDEN_PROPERTIES
    # Of one compartment: how many runs may be in progress at a time, the others wait; and how many there may
    # be that have not ended, one more is LimitExceeded.
    max_concurrent_runs_per_compartment: int | None = None
    max_live_runs_per_compartment: int | None = None
    # How long each step takes of a pool, a private endpoint and their work requests.
    transition_seconds: float = 1.0
    # Whether a run that is submitted to a stopped pool starts it, rather than waits for somebody to do so.
    submission_starts_pool: bool = True
    # The documentation wants applications to have a parameter for each placeholder; otherwise a run may bring
    # those that are missing.
    complete_application_parameters: bool = False
    # "Only one run per streaming application": whether another one is refused.
    one_run_per_streaming_application: bool = False
