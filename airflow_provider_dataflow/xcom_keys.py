"""XComs that the tasks of this provider push. Part of the public interface."""

from __future__ import annotations

#: OCID of the run that a task waits for. Pushed right after the submit, and read before any cancel.
RUN_ID = "run_id"

#: OCIDs of a STREAMING run and of its successors after maintenance, oldest first. The last one is ``run_id``.
RUN_IDS = "run_ids"

#: URL of the run's page in OCI's console, or in that of Local Data Flow. Pushed with ``run_id``.
RUN_PAGE_URL = "run_page_url"

#: URL of the bucket that gets the run's logs. Pushed with ``run_id``, if there is one.
LOGS_BUCKET_URL = "logs_bucket_url"

#: The run's ``lifecycleState`` when its task ended.
LIFECYCLE_STATE = "lifecycle_state"

#: Times, OCPU hours, GB hours, estimated cost and bytes of the run. Pushed when its task ends.
USAGE = "usage"

#: Class path and arguments (ids only) of the trigger that a deferred task waits with. If the task is killed
#: and its trigger does not hear of it, the triggerer's sweep cancels the run. Removed after the task's end.
DEFERRED_TRIGGER = "deferred_trigger"

#: Number of triggers of the task that have crashed, by the OCID of the run that they waited for.
TRIGGER_FAILURES = "trigger_failures"

#: Number of a try that failed after a deferral. For a mapped task, the key ends with its map index.
#: Airflow 3.0 resumes the next try with the event of this one.
FAILED_TRY = "failed_try"

#: Position up to which each driver log was copied into the task's log. Another triggerer continues there.
LOG_CURSOR = "log_cursor"
