"""Log lines and error messages of the provider that the matrix looks for."""

REATTACHED = "of an earlier try is IN_PROGRESS: re-attaching to it"
ADOPTED = "of an earlier try has SUCCEEDED: adopting it"
REPLACED = "of an earlier try is {state}: submitting another run"
LEFT_FOR_NEXT_TRY = (
    "Run {run_id}: the worker is shutting down, but the task continues; the next try re-attaches to it"
)
RUN_PUBLISHED = "is ACCEPTED: http"
KILLED_IN_WORKER = "The task was killed while it waited for run"
REPLAY_REFUSED = "The service knows this submit, but returned no run"
CAPACITY_WAIT = "Submitting again in"
#: Of the wait in a worker, and of the poller in the triggerer.
OUTAGE = ("retrying for up to",)
NOT_CANCELLED = "could not be cancelled and may still be running"
DEFERRAL_TIMED_OUT = "The trigger sent no event in time"
TRIGGER_REPLACED = "its trigger failed; another trigger waits for the run"
TRIGGER_FAILED_TOO_OFTEN = "The trigger has failed 4 times"
STILL_AWAITED = "is not cancelled: another trigger of the task waits for it"
ONE_ORPHAN_CANCELLED = "1 orphans, 1 of them cancelled"
FOLLOWED = "is the successor of run"
SUCCESSOR_FOUND = "Run {run_id} was stopped for maintenance; its successor is"
