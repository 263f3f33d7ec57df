"""Acquire the run of a try: submit it, or re-attach to, adopt or replace the run of an earlier try."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from logging import Logger
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_dataflow.client.cancel import CancelResult, cancel_run
from airflow_provider_dataflow.compat import deployment_id, sensitive_names
from airflow_provider_dataflow.exceptions import (
    AlreadyRunning,
    DataFlowError,
    RunLost,
    ServiceError,
    SubmitRejected,
    sentences,
)
from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.ownership.acquire_settings import AcquirePauses, AcquireSettings
from airflow_provider_dataflow.ownership.capacity import is_capacity_error, seconds_until_next_submit
from airflow_provider_dataflow.ownership.long_runs import long_run_warnings
from airflow_provider_dataflow.ownership.private_endpoint_guard import PrivateEndpointGuard
from airflow_provider_dataflow.ownership.record import RunDecision, SubmissionRecord, decide, retry_token
from airflow_provider_dataflow.ownership.request import check_placeholders
from airflow_provider_dataflow.ownership.streaming_guard import StreamingGuard, awaits_successor
from airflow_provider_dataflow.ownership.successor import STREAMING, may_have_successor, seconds_left
from airflow_provider_dataflow.ownership.successor_search import find_successors
from airflow_provider_dataflow.ownership.tags import TaskTags, token_of
from airflow_provider_dataflow.polling import ErrorBudget, jittered
from airflow_provider_dataflow.retries.failed_run import after_failure
from airflow_provider_dataflow.retries.on_cause import with_settings

if TYPE_CHECKING:
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run import Run
    from airflow_provider_dataflow.models.run_request import RunRequest
    from airflow_provider_dataflow.ownership.record_store import RecordStore
    from airflow_provider_dataflow.ownership.task_attempt import TaskAttempt

#: Uploads what a submit needs, and returns its request and the URIs by what was uploaded. It takes the URIs
#: of an earlier submit that is repeated.
Upload = Callable[[Mapping[str, str]], tuple["RunRequest", dict[str, str]]]

#: Adds Spark properties for lineage to the request of a submit. It takes and returns what is recorded.
AddLineage = Callable[
    ["RunRequest", Mapping[str, str | None] | None],
    tuple["RunRequest", Mapping[str, str | None] | None],
]

#: Runs of the compartment that are searched, newest first, for one whose OCID is not recorded.
MAX_RUNS_SEARCHED = 1000


class SubmitLater(Exception):
    """The submit must wait. Caught by the operator and the trigger, never seen by a user.

    :param reason: for the log.
    :param seconds: pause before the next submit; with ``run_id``, at most.
    :param run_id: OCID of the conflicting run whose end is waited for, if that is the reason.
    :param failing_since: first of the service errors in a row, in seconds since the epoch, for the next
        :class:`RunAcquirer`; ``None`` if the service works.
    :param awaits_successor: wait for the successor of that run, not for its end.
    """

    def __init__(
        self,
        reason: str,
        seconds: float,
        *,
        run_id: str | None = None,
        failing_since: float | None = None,
        awaits_successor: bool = False,
    ) -> None:
        super().__init__(reason)
        self.seconds = seconds
        self.run_id = run_id
        self.failing_since = failing_since
        self.awaits_successor = awaits_successor


class RunAcquirer:
    """Acquires the run of one try of a task.

    :param hook: of the task's connection.
    :param attempt: the try.
    :param records: keeps the submission record; ``None`` where Airflow has no place for it (before 3.3).
    :param request: the run that the task wants.
    :param upload: called before a submit, if the run needs uploads. ``request`` has other URIs then.
    :param add_lineage: called before a submit, after the upload.
    :param settings: arguments of the operator.
    :param log: the task's logger.
    :param raise_if_killed: called before each request; raises if the task was killed.
    :param failing_since: of the :class:`SubmitLater` that an earlier acquirer of this try raised.
    """

    pauses: ClassVar[AcquirePauses] = AcquirePauses()

    def __init__(
        self,
        *,
        hook: DataFlowHook,
        attempt: TaskAttempt,
        records: RecordStore | None,
        request: RunRequest,
        settings: AcquireSettings,
        log: Logger | Any,
        raise_if_killed: Callable[[], None],
        failing_since: float | None = None,
        upload: Upload | None = None,
        add_lineage: AddLineage | None = None,
    ) -> None:
        self._hook = hook
        self._attempt = attempt
        self._records = records
        self._request = request
        self._upload = upload
        self._add_lineage = add_lineage
        self._settings = settings
        self._log = log
        self._raise_if_killed = raise_if_killed
        self._failing_since = failing_since
        self._guard: PrivateEndpointGuard | None = None
        self._streaming: StreamingGuard | None = None
        self._stored_token: str | None = "" if records is not None else None
        self._prepared = False
        self._submitted: Run | None = None
        self.run_ids: list[str] = []
        """OCIDs of the acquired run and of those that it followed after maintenance, oldest first."""

    def acquire(self) -> Run:
        """Return the run of this try, submitting it unless it exists already.

        :raises SubmitLater: the submit must wait; call this again afterwards.
        :raises InvalidArgument: a placeholder has no value.
        :raises SubmitRejected: the service refused; no run exists.
        :raises ServiceError: it is unknown whether a run exists; the next try finds it if it does.
        :raises RunLost: an earlier try's run cannot be read, and may still be running.
        :raises AlreadyRunning: the streaming application has a live run that is not the task's.
        :raises DataFlowError: nothing was submitted within ``submit_timeout``.
        """
        try:
            self._prepare()
            while True:
                run = self._submit_or_reuse()
                if not self._gives_way(run):
                    return run
        except ServiceError as error:
            now = time.time()
            # A refusal for lack of capacity shows that the service works.
            self._failing_since = None if is_capacity_error(error) else self._failing_since or now
            seconds = seconds_until_next_submit(
                error,
                now - self._attempt.started,
                failing=now - (self._failing_since or now),
                submit_timeout=self._settings.submit_timeout,
                error_budget=self._settings.error_budget,
                pause_bounds=(self.pauses.capacity_min, self.pauses.capacity_max),
            )
            if seconds is None:
                raise
            raise SubmitLater(str(error), seconds, failing_since=self._failing_since) from None

    def find_unconfirmed_run(self) -> Run | None:
        """Return the run of the last submit, whose response may be lost, if it exists.

        :raises ServiceError: the runs cannot be read.
        """
        if self._submitted is not None:
            return self._submitted
        record = self._records.load() if self._records is not None else None
        if record is None or self._is_before_clear(record):
            return None
        return self._hook.get_run(record.run_id) if record.run_id else self._find(record.token)

    def _prepare(self) -> None:
        if self._prepared:
            return
        check_placeholders(self._request, self._hook)
        self._guard = self._private_endpoint_guard()
        self._streaming = StreamingGuard(self._hook, self._request, self._settings.successor_timeout)
        for warning in self._request.warnings():
            self._log.warning("%s", warning)
        self._prepared = True

    # --- Submit, re-attach, adopt or replace --------------------------------------------------------------

    def _submit_or_reuse(self) -> Run:
        record = self._record_of_epoch()
        while True:
            record, run = self._run_of(record)
            from_earlier_try = self._is_from_earlier_try(record, run)
            record, run = self._current_run(record, run)
            decision = decide(
                run.state,
                from_earlier_try=from_earlier_try,
                first_try_after_clear=self._attempt.first_after_clear,
                awaits_successor=awaits_successor(run, self._settings.successor_timeout),
            )
            if decision is RunDecision.REPLACE:
                self._log.info("Run %s of an earlier try is %s: submitting another run", run.id, run.state)
                record = self._record_after_failure(record, run)
                self._submitted = None
                continue
            if decision is RunDecision.ADOPT:
                self._log.info("Run %s of an earlier try has SUCCEEDED: adopting it", run.id)
            elif from_earlier_try:
                self._log.info("Run %s of an earlier try is %s: re-attaching to it", run.id, run.state)
            record = replace(record, run_id=run.id, clear_number=self._attempt.clear_number)
            self.run_ids = record.run_ids
            self._save(record)
            return run

    def _current_run(self, record: SubmissionRecord, run: Run) -> tuple[SubmissionRecord, Run]:
        """Return the newest successor of a run that was stopped for maintenance, or else the run itself."""
        if not may_have_successor(run) or not (found := find_successors(self._hook, run)):
            return record, run
        self._log.info("Run %s was stopped for maintenance; its successor is %s", run.id, found[-1].id)
        return record.followed_by(run.id, *(each.id for each in found)), self._hook.get_run(found[-1].id)

    def _run_of(self, record: SubmissionRecord) -> tuple[SubmissionRecord, Run]:
        """Return the run of a record, which may turn out to need another generation."""
        if record.run_id is not None:
            return record, self._read_with_retries(record.run_id)
        if record.has_live_token(time.time()):
            return self._submit(record)
        # The service has forgotten the token, and would start another run for it.
        return self._find_or_submit_next(record)

    def _submit(self, record: SubmissionRecord) -> tuple[SubmissionRecord, Run]:
        if adopted := self._run_instead_of_submit(record):
            return record, adopted
        # False if all submits with the token were refused, so that no run can have the URIs and properties.
        may_exist = record.has_fixed_body
        request = self._request
        if self._upload is not None:
            self._raise_if_killed()
            # A repeated submit has the URIs of the first one: another body would invalidate the token.
            request, uploads = self._upload(record.uploads)
            # Another run may have started meanwhile: an upload may take many minutes.
            if adopted := self._run_instead_of_submit(record):
                return record, adopted
            record = replace(record, uploads=uploads)
        request, record = self._with_lineage(request, record)
        self._raise_if_killed()
        self._save(record)
        request = with_settings(request, record.settings)
        request = self._tagged(request.for_submission(record.token), record)
        self._log.info("Submitting a run (CreateRun)\n%s", request.redacted_text(sensitive_names()))
        refusals = 0
        while True:
            self._raise_if_killed()
            try:
                run = self._submitted = self._hook.create_run(request, record.token)
                for warning in long_run_warnings(run):
                    self._log.warning("%s", warning)
                return record, run
            except SubmitRejected as error:
                refusals += 1
                if not error.may_be_stray or refusals > self.pauses.refusal_retries:
                    if record.has_fixed_body and not may_exist:
                        # No run exists, so that the next submit may have other files and properties.
                        self._save(replace(record, uploads={}, lineage=None))
                    raise
                self._log.warning("Retrying the submit in %.0f s: %s", self.pauses.refusal, error)
                time.sleep(self.pauses.refusal)
            except ServiceError as error:
                if error.code != "InvalidatedRetryToken":
                    raise
                self._log.info("The service knows this submit, but returned no run: %s", error)
                return self._find_or_submit_next(record, exists=self._settings.airflow_tags)

    def _run_instead_of_submit(self, record: SubmissionRecord) -> Run | None:
        """Return the live run to adopt instead of a submit; ``None`` to submit.

        :raises SubmitLater: the submit must wait.
        :raises AlreadyRunning: there is a live run, and it must not be adopted.
        """
        self._wait_for_conflicting_run()
        return self._live_run_of_application(record)

    def _find_or_submit_next(
        self, record: SubmissionRecord, *, exists: bool = False
    ) -> tuple[SubmissionRecord, Run]:
        """Find the run of a submit that cannot be repeated by its tags, or submit the next generation.

        :param exists: the service has just reported that the run exists, so wait until it is listed.
        """
        until = time.monotonic() + self.pauses.list_lag
        while True:
            # Before the check for a kill: the caller cancels what is found here.
            if found := self._find(record.token):
                return record, found
            self._raise_if_killed()
            if not exists or time.monotonic() >= until:
                break
            time.sleep(self.pauses.list)
        self._log.warning("Found no run of the earlier submit: submitting another run")
        return self._submit(self._next_record(record))

    def _with_lineage(
        self, request: RunRequest, record: SubmissionRecord
    ) -> tuple[RunRequest, SubmissionRecord]:
        """Return the request with the properties for lineage, and the record that has them."""
        if self._add_lineage is None:
            return request, replace(record, lineage=record.lineage or {})
        extended, lineage = self._add_lineage(request, record.lineage)
        if not lineage or self._can_repeat_other_body(record):
            return extended, replace(record, lineage=lineage)
        self._log.warning(
            "The run is submitted without OpenLineage's properties: they differ in each try, and before "
            "Airflow 3.3 only the tags of the run tell the next try of this submit"
        )
        return request, replace(record, lineage={})

    def _can_repeat_other_body(self, record: SubmissionRecord) -> bool:
        """Return whether the run is found again if the next try repeats this submit with another body."""
        if self._records is not None:
            return True
        return TaskTags.of(self._tagged(self._request, record).freeform_tags) is not None

    def _tagged(self, request: RunRequest, record: SubmissionRecord) -> RunRequest:
        if not self._settings.airflow_tags:
            return request
        tags = TaskTags(
            self._attempt.identity,
            record.try_number,
            record.token,
            deployment_id(),
            outlives_task=self._settings.outlives_task,
            causes=record.causes,
        )
        return replace(request, freeform_tags=tags.added_to(request.freeform_tags))

    # --- Runs of earlier tries ----------------------------------------------------------------------------

    def _record_of_epoch(self) -> SubmissionRecord:
        """Return the record of the last try since the last clear, or a new one.

        Cancel the run from before the clear.
        """
        if self._records is None:
            if self._attempt.try_number > 1:
                self._cancel_unrecorded_runs_of_earlier_epochs()
                return self._last_unrecorded_submit()
            return self._new_record(generation=0)
        record = self._records.load()
        if record is None or not self._is_before_clear(record):
            self._stored_token = record.token if record else ""
            return record or self._new_record(generation=0)
        record = self._cancel_run_of_earlier_epoch(record)
        if record.is_cancelled and self._streaming is not None:
            self._streaming.cancelled_run_id = record.run_id
        # A clear that left the epoch unchanged needs another token than the submits before it.
        is_same_epoch = record.clear_epoch == self._attempt.clear_epoch
        return self._new_record(record.generation + 1 if is_same_epoch else 0)

    def _is_before_clear(self, record: SubmissionRecord) -> bool:
        attempt = self._attempt
        return record.is_before_clear(
            clear_epoch=attempt.clear_epoch,
            try_number=attempt.try_number,
            clear_number=attempt.clear_number,
        )

    def _cancel_run_of_earlier_epoch(self, record: SubmissionRecord) -> SubmissionRecord:
        """Cancel the recorded run or its live successor. Return the record of what was cancelled.

        :raises ServiceError: it is unknown whether there is a run, or its cancel is not confirmed.
        :raises SubmitLater: it is a STREAMING run that has not ended, or whose successor may still start.
        """
        run_id = record.run_id
        try:
            if run_id is None:
                # The task was killed before the response to its submit arrived.
                lost = self._find(record.token)
                if lost is None:
                    return record
                run_id = lost.id
            record, run = self._current_run(replace(record, run_id=run_id), self._hook.get_run(run_id))
            run_id = run.id
        except ServiceError as error:
            if run_id is None:
                # Whether there is a run decides whether one may be submitted.
                raise
            self._log.warning("Cannot read the run from before the task was cleared: %s", error)
        else:
            if run.is_ending:
                if self._settings.cancel_on_kill and not (run.is_terminal and record.is_cancelled):
                    self._wait_for_end_of_stream(run)
                return record
            self._log.info("Run %s from before the clear is %s: cancelling it", run_id, run.state)
        if (cancelled := self._cancel_if_wanted(run_id)) is not None:
            # A STREAMING run then ends STOPPED, which must not be taken for maintenance.
            record = replace(record, run_id=run_id, is_cancelled=True)
            self._save(record)
            if not cancelled.is_terminal:
                self._wait_for_end_of_stream(cancelled)
        return record

    def _wait_for_end_of_stream(self, run: Run) -> None:
        """Put the submit off while a STREAMING run from before a clear, or its successor, may be live."""
        if run.type != STREAMING:
            return
        if not run.is_terminal:
            raise self._submit_after(run.id, f"run {run.id} from before the clear is {run.state}")
        if awaits_successor(run, self._settings.successor_timeout):
            raise self._submit_after_successor(run, f"run {run.id} from before the clear was stopped")

    def _cancel_unrecorded_runs_of_earlier_epochs(self) -> None:
        """Without a record, tags identify the runs of the task, and their tokens the clear epoch.

        :raises SubmitLater: a STREAMING run has not ended, or its successor may still start.
        """
        tokens = {self._token(generation) for generation in range(self._attempt.try_number)}
        owner = (self._attempt.identity, deployment_id())
        for state in (LifecycleState.IN_PROGRESS, LifecycleState.ACCEPTED):
            for run in self._recent_runs(lifecycle_state=state.value):
                tags = TaskTags.of(run.freeform_tags)
                if tags and (tags.identity, tags.deployment) == owner and tags.token not in tokens:
                    self._log.info("Run %s is from before the clear: cancelling it", run.id)
                    self._cancel_if_wanted(run.id)
        if self._request.type != STREAMING:
            return
        for run in self._recent_runs(lifecycle_state=LifecycleState.STOPPED.value):
            tags = TaskTags.of(run.freeform_tags)
            if tags and (tags.identity, tags.deployment) == owner:
                if tags.token not in tokens:
                    stopped = replace(self._new_record(0), token=tags.token, run_id=run.id)
                    self._cancel_run_of_earlier_epoch(stopped)
                # The newest one only: a run before it has its successor.
                return

    def _last_unrecorded_submit(self) -> SubmissionRecord:
        """Return the record of the newest run since the last clear, found by its tags, or a new record.

        Its token may be older than a day, when the service has forgotten it, so it must not be used again.
        """
        generations = {self._token(number): number for number in range(self._attempt.try_number)}
        for run in self._recent_runs():
            tags = TaskTags.of(run.freeform_tags)
            if tags and tags.token in generations:
                record = replace(self._new_record(generations[tags.token]), causes=tags.causes)
                return replace(record, run_id=run.id)
        return self._new_record(generation=0)

    def _is_from_earlier_try(self, record: SubmissionRecord, run: Run) -> bool:
        attempt = self._attempt
        if self._records is not None:
            return record.try_number != attempt.try_number
        if tags := TaskTags.of(run.freeform_tags):
            return tags.try_number != attempt.try_number
        if run.time_created is None or attempt.start_time is None:
            return False
        return run.time_created < attempt.start_time

    def _read_with_retries(self, run_id: str) -> Run:
        """Read the run of an earlier try, retrying errors within the error budget."""
        budget = ErrorBudget(self._settings.error_budget)
        while True:
            self._raise_if_killed()
            try:
                return self._hook.get_run(run_id)
            except ServiceError as error:
                if budget.failure(error, time.monotonic()):
                    raise RunLost(
                        run_id=run_id,
                        opc_request_id=error.opc_request_id,
                        note=sentences(error, "An earlier try submitted it", "Clear the task to start over"),
                    ) from None
                self._log.warning("Run %s of an earlier try: cannot read it, retrying: %s", run_id, error)
                time.sleep(jittered(self.pauses.read))

    def _find(self, token: str) -> Run | None:
        """Find a run by the retry token in its tags, among the recent runs of the compartment."""
        for run in self._recent_runs():
            if token_of(run.freeform_tags) == token:
                return self._hook.get_run(run.id)
        return None

    def _recent_runs(self, **one_filter: str) -> Iterator[Run]:
        return islice(self._hook.list_runs(self._request.compartment_id, **one_filter), MAX_RUNS_SEARCHED)

    # --- Conflicting runs with private endpoints ----------------------------------------------------------

    def _private_endpoint_guard(self) -> PrivateEndpointGuard | None:
        guard, request = self._settings.private_endpoint_guard, self._request
        if not guard or request.effective_application_id is None:
            return None
        compartments = self._hook.visible_compartments() if isinstance(guard, bool) else list(guard)
        unique = dict.fromkeys([request.compartment_id or "", *compartments])
        return PrivateEndpointGuard(self._hook, request.effective_application_id, list(unique))

    def _wait_for_conflicting_run(self) -> None:
        """Put the submit off while another application's run with a private endpoint is active."""
        if self._guard is None or (other := self._guard.conflicting_run()) is None:
            return
        reason = (
            f"run {other.id} of application {other.application_id} has a private endpoint, too, and is "
            f"{other.state}"
        )
        raise self._submit_after(other.id, reason)

    def _submit_after(self, run_id: str, reason: str) -> SubmitLater:
        """Return the exception that puts the submit off until a run has ended.

        :raises DataFlowError: ``submit_timeout`` has passed.
        """
        left = self._attempt.started + self._settings.submit_timeout - time.time()
        if left <= 0:
            raise DataFlowError(
                f"Nothing was submitted within {self._settings.submit_timeout:g} seconds (submit_timeout, or "
                f"a shorter limit of the task): {reason}"
            )
        self._failing_since = None
        return SubmitLater(reason, left, run_id=run_id)

    def _find_live_run(self, guard: StreamingGuard, token: str) -> tuple[Run, str] | None:
        """Return what the guard finds. Retry refusals that may come from IAM's delayed consistency.

        :raises ServiceError: the runs of an application that is known to be streaming cannot be listed.
        """
        for refusals_left in range(self.pauses.refusal_retries, -1, -1):
            self._raise_if_killed()
            try:
                return guard.find(token)
            except ServiceError as error:
                if not error.may_be_stray:
                    raise
                if refusals_left:
                    self._log.warning("Retrying in %.0f s: %s", self.pauses.refusal, error)
                    time.sleep(self.pauses.refusal)
                elif guard.is_known_to_stream:
                    raise
                else:
                    self._log.warning("Cannot check for a live run of the application: %s", error)
        return None

    def _submit_after_successor(self, stopped: Run, reason: str) -> SubmitLater:
        """Return the exception that puts the submit off until the successor of a run has appeared."""
        left = seconds_left(stopped, self._settings.successor_timeout, time.time())
        return SubmitLater(
            f"{reason}, and the service may start its successor",
            max(left, 0.0),
            run_id=stopped.id,
            awaits_successor=True,
        )

    # --- Live runs of a streaming application -------------------------------------------------------------

    def _live_run_of_application(self, record: SubmissionRecord) -> Run | None:
        """Return the live run to adopt instead of a submit; ``None`` to submit.

        :raises AlreadyRunning: there is one, and it must not be adopted.
        :raises SubmitLater: one is ending, or the service is about to start one.
        """
        if not self._settings.airflow_tags and self._stored_token in (record.token, None):
            # A live run may be that of an earlier submit without a response, and has no tags that tell.
            return None
        if self._streaming is None or (found := self._find_live_run(self._streaming, record.token)) is None:
            return None
        run, reason = found
        if run.is_terminal:
            raise self._submit_after_successor(run, reason)
        if run.is_ending:
            raise self._submit_after(run.id, reason)
        if self._settings.if_already_running != "adopt":
            raise AlreadyRunning(application_id=str(run.application_id), run_id=run.id, state=run.state)
        self._log.info("%s: adopting it (if_already_running)", reason)
        return self._hook.get_run(run.id)

    def _gives_way(self, run: Run) -> bool:
        """Cancel the run if another task submitted a conflicting one just before it."""
        if self._guard is None or run.state != LifecycleState.ACCEPTED:
            return False
        other = self._guard.conflicting_run(own=run)
        if other is None:
            return False
        self._log.info("Run %s conflicts with the older run %s: cancelling it", run.id, other.id)
        self._cancel(run.id).confirmed_run()
        if self._records is not None and (record := self._records.load()):
            self._save(self._next_record(record))
        return True

    # --- Helpers ------------------------------------------------------------------------------------------

    def _cancel_if_wanted(self, run_id: str) -> Run | None:
        """Cancel a run from before a clear, and return it, ending or ended.

        :return: ``None`` if it is not to be cancelled, or if the connection's region has no such run.
        :raises ServiceError: the cancel is not confirmed, so another run could be the second live one.
        """
        if not self._settings.cancel_on_kill:
            return None
        result = self._cancel(run_id)
        (self._log.info if result.confirmed else self._log.error)("%s", result)
        if isinstance(result.error, ServiceError) and result.error.status == 404:
            return None
        return result.confirmed_run()

    def _cancel(self, run_id: str) -> CancelResult:
        return cancel_run(lambda: self._hook.client, run_id, timeout=self._settings.cancel_timeout)

    def _token(self, generation: int) -> str:
        return retry_token(
            self._attempt.identity,
            clear_epoch=self._attempt.clear_epoch,
            generation=generation,
            dag_run_start=self._attempt.dag_run_start,
        )

    def _new_record(self, generation: int) -> SubmissionRecord:
        return SubmissionRecord(
            token=self._token(generation),
            generation=generation,
            clear_epoch=self._attempt.clear_epoch,
            try_number=self._attempt.try_number,
            time=time.time(),
            clear_number=self._attempt.clear_number,
            lineage=None,
        )

    def _next_record(self, record: SubmissionRecord) -> SubmissionRecord:
        """Return the record of the next submit with the same settings."""
        following = self._new_record(record.generation + 1)
        return replace(following, causes=record.causes, settings=record.settings)

    def _record_after_failure(self, record: SubmissionRecord, failed: Run) -> SubmissionRecord:
        """Return the record of the run that replaces a failed one, with the settings for its cause."""
        following = self._next_record(record)
        if self._attempt.first_after_clear:
            # The author's settings, although the clear epoch seems to be the same.
            return replace(following, causes=(), settings={})
        causes, settings = after_failure(
            self._settings.on_cause, record.causes, failed, self._request, self._hook, self._log
        )
        return replace(following, causes=causes, settings=settings)

    def _save(self, record: SubmissionRecord) -> None:
        if self._records is not None:
            self._records.save(record)
