"""Which run is the task's: submitted now, found again after a crash, or left by an earlier turn.

What is to be done with a run that is found is decided in
:mod:`~airflow_provider_dataflow.ownership.record`; here
it is found, asked for, and recorded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from logging import Logger
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.compat import (
    NEVER_EXPIRE,
    deployment_id,
    incarnation_of,
    sensitive_names,
    task_state_store,
)
from airflow_provider_dataflow.exceptions import RunLost, ServiceError, SubmitRejected
from airflow_provider_dataflow.models.run import LifecycleState
from airflow_provider_dataflow.operators.outcome import as_lines
from airflow_provider_dataflow.ownership.record import Submission, TaskIdentity, Verdict, retry_token, verdict
from airflow_provider_dataflow.ownership.tags import TaskTags
from airflow_provider_dataflow.polling import ErrorBudget, jittered

if TYPE_CHECKING:
    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
    from airflow_provider_dataflow.models.run import Run
    from airflow_provider_dataflow.models.run_request import RunRequest

#: Key of the record in Airflow's task state store.
RECORD = "oci_data_flow_submission"

#: A run that was lost is a recent one: so many are looked through for it.
MAX_LOOKED_THROUGH = 1000

#: A refusal that may be a hiccup of IAM is asked for again so often, after so many seconds.
STRAY_REFUSALS, STRAY_PAUSE = 2, 2.0

#: Seconds between two looks at a run of an earlier try that cannot be read.
LOOK_PAUSE = 10.0

#: Seconds for which a run that exists may be missing from its list, and between two looks for it.
LIST_LAG, LIST_PAUSE = 45.0, 3.0


@dataclass
class RunOwnership:
    """Finds the run of one try of a task, or submits it.

    :param hook: of the task's connection.
    :param context: of the task.
    :param log: the task's.
    :param request: what the task asks for.
    :param cancel: cancels a run by its OCID; does not raise.
    :param check: called before the service is asked; raises when the task was killed.
    :param tagged: whether runs get tags that say whose they are.
    :param outlives_task: whether the run is meant to go on when the task has ended.
    :param error_budget: seconds for which errors of the service are borne.
    """

    hook: DataFlowHook
    context: Context
    log: Logger | Any
    request: RunRequest
    cancel: Callable[[str], object]
    check: Callable[[], None]
    tagged: bool
    outlives_task: bool
    error_budget: float

    def acquire(self, before_submit: Callable[[], None] = lambda: None) -> Run:
        """The run of this task, submitted unless it exists already.

        :param before_submit: called before a run is asked for; raises if it is not to be.
        :raises SubmitRejected: the service refused; no run exists.
        :raises ServiceError: it is open whether a run exists; the next try will find it if it does.
        :raises RunLost: an earlier try's run cannot be seen, and may still be running.
        """
        self._before_submit = before_submit
        submission = self._of_this_turn() or self._new(generation=0)
        while True:
            submission, run = self._answer_to(submission)
            of_earlier_try = self._is_of_earlier_try(submission, run)
            match verdict(run.state, of_earlier_try=of_earlier_try, begins_turn=self._begins_turn):
                case Verdict.REPLACE:
                    self.log.info("Run %s of an earlier try is %s; a new one is asked for", run.id, run.state)
                    submission = self._new(submission.generation + 1)
                    continue
                case Verdict.ADOPT:
                    self.log.info("Run %s of an earlier try has SUCCEEDED: nothing is submitted", run.id)
                case Verdict.OWN if of_earlier_try:
                    self.log.info(
                        "Run %s of an earlier try is still %s: the task goes on with it", run.id, run.state
                    )
            self._record(replace(submission, run_id=run.id))
            return run

    def unanswered(self) -> Run | None:
        """The run of the last submit, of which nothing may have been heard, if it exists.

        :raises ServiceError: that cannot be seen.
        """
        record = Submission.from_json(self._store.get(RECORD)) if self._store is not None else None
        if record is None or not record.is_of_this_turn(self._ti.max_tries):
            return None
        return self.hook.get_run(record.run_id) if record.run_id else self._find(record.token)

    def withdraw(self) -> None:
        """Let the next call of :meth:`acquire` ask for another run: this one was taken back on purpose."""
        if self._store is not None and (record := Submission.from_json(self._store.get(RECORD))):
            self._record(self._new(record.generation + 1))

    # --- Earlier tries, and what there was before the task was cleared -----------------------------------

    def _of_this_turn(self) -> Submission | None:
        """The record that an earlier try has left, unless the task was cleared since."""
        if self._store is None:
            if self._ti.try_number > 1:
                self._end_unrecorded_runs_of_earlier_turns()
            return None
        record = Submission.from_json(self._store.get(RECORD))
        if record is None or record.is_of_this_turn(self._ti.max_tries):
            return record
        self._end_run_of_earlier_turn(record)
        return None

    def _end_run_of_earlier_turn(self, record: Submission) -> None:
        run_id = record.run_id
        try:
            if run_id is None:
                # Killed before the answer to its submit was known.
                lost = self._find(record.token)
                if lost is None:
                    return
                run_id = lost.id
            run = self.hook.get_run(run_id)
        except ServiceError as error:
            self.log.warning("The run from before the task was cleared cannot be seen: %s", error)
            if run_id is None:
                return
        else:
            if run.is_ending:
                return
            self.log.info(
                "Run %s, from before the task was cleared, is still %s: it is cancelled", run_id, run.state
            )
        self.cancel(run_id)

    def _end_unrecorded_runs_of_earlier_turns(self) -> None:
        """Where Airflow keeps no record, tags tell which runs are the task's, and tokens from which turn."""
        tokens = {self._token(generation) for generation in range(self._ti.try_number)}
        owner = (self.identity, deployment_id())
        for state in (LifecycleState.IN_PROGRESS, LifecycleState.ACCEPTED):
            for run in self._recent_runs(lifecycle_state=state.value):
                tags = TaskTags.of(run.freeform_tags)
                if tags and (tags.identity, tags.deployment) == owner and tags.token not in tokens:
                    self.log.info("Run %s, from before the task was cleared, is cancelled", run.id)
                    self.cancel(run.id)

    @property
    def _begins_turn(self) -> bool:
        """Whether this is the first try since the task was cleared, by its number.

        A clear adds the retries that the task has now to the tries that it has had. If the author has lowered
        them meanwhile, ``max_tries`` may be what it was.
        """
        retries = getattr(getattr(self._ti, "task", None), "retries", None)
        first = isinstance(retries, int) and self._ti.max_tries == self._ti.try_number - 1 + retries
        return first and self._ti.try_number > 1

    def _is_of_earlier_try(self, submission: Submission, run: Run) -> bool:
        if self._store is not None:
            return submission.try_number != self._ti.try_number
        if tags := TaskTags.of(run.freeform_tags):
            return tags.try_number != self._ti.try_number
        return run.time_created is not None and run.time_created < self._ti.start_date

    # --- Asking for a run --------------------------------------------------------------------------------

    def _answer_to(self, submission: Submission) -> tuple[Submission, Run]:
        """The run of a submission, which may turn out to need another generation."""
        if submission.run_id is not None:
            return submission, self._look(submission.run_id)
        if submission.has_live_token(time.time()):
            return self._submit(submission)
        # The service has forgotten the token, and would start another run for it.
        return self._found_or_next(submission)

    def _submit(self, submission: Submission) -> tuple[Submission, Run]:
        self._before_submit()
        self._record(submission)
        request = self.request
        if self.tagged:
            tags = TaskTags(
                self.identity,
                submission.try_number,
                submission.token,
                deployment_id(),
                outlives_task=self.outlives_task,
            )
            request = replace(request, freeform_tags=tags.added_to(request.freeform_tags))
        self.log.info("CreateRun is asked for\n%s", as_lines(request.redacted(sensitive_names())))
        refusals = 0
        while True:
            self.check()
            try:
                return submission, self.hook.create_run(request, submission.token)
            except SubmitRejected as error:
                refusals += 1
                if not error.may_be_stray or refusals > STRAY_REFUSALS:
                    raise
                self.log.warning("The submit is tried again: %s", error)
                time.sleep(STRAY_PAUSE)
            except ServiceError as error:
                if error.code != "InvalidatedRetryToken":
                    raise
                self.log.info("The service knows this submit, but does not say its run: %s", error)
                return self._found_or_next(submission, just_used=self.tagged)

    def _found_or_next(self, submission: Submission, *, just_used: bool = False) -> tuple[Submission, Run]:
        """The run of a submit that cannot be repeated, found by its tags; else another one.

        :param just_used: whether the service has said that it knows the submit.
        """
        until = time.monotonic() + LIST_LAG
        while True:
            # First of all, also for a task that was killed: what is found is cancelled then.
            if found := self._find(submission.token):
                return submission, found
            self.check()
            if not just_used or time.monotonic() >= until:
                break
            # It exists: the service has just said so. Its list may be some seconds behind.
            time.sleep(LIST_PAUSE)
        self.log.warning("No run of an earlier submit can be found; a new one is asked for")
        return self._submit(self._new(submission.generation + 1))

    def _look(self, run_id: str) -> Run:
        """Read the run that an earlier try has recorded, with as much patience as a wait has."""
        budget = ErrorBudget(self.error_budget)
        while True:
            self.check()
            try:
                return self.hook.get_run(run_id)
            except ServiceError as error:
                if budget.failure(error, time.monotonic()):
                    raise RunLost(
                        run_id=run_id,
                        opc_request_id=error.opc_request_id,
                        note=f"{error}; an earlier try has submitted it; clear the task to start over",
                    ) from error
                self.log.warning("Run %s of an earlier try is looked for again: %s", run_id, error)
                time.sleep(jittered(LOOK_PAUSE))

    def _find(self, token: str) -> Run | None:
        """The run of a submit whose answer was lost, if it is tagged and among the recent ones."""
        for run in self._recent_runs():
            tags = TaskTags.of(run.freeform_tags)
            if tags and tags.token == token:
                return self.hook.get_run(run.id)
        return None

    def _recent_runs(self, **one_filter: str) -> Iterator[Run]:
        runs = self.hook.list_runs(self.request.compartment_id, **one_filter)
        return islice(runs, MAX_LOOKED_THROUGH)

    # --- What names and records a submit -----------------------------------------------------------------

    @cached_property
    def identity(self) -> TaskIdentity:
        return TaskIdentity.of(self._ti)

    @property
    def _ti(self) -> Any:
        return self.context["ti"]

    @property
    def _store(self) -> Any:
        return task_state_store(self.context)

    def _token(self, generation: int) -> str:
        return retry_token(
            self.identity,
            max_tries=self._ti.max_tries,
            generation=generation,
            incarnation=incarnation_of(self.context),
        )

    def _new(self, generation: int) -> Submission:
        return Submission(
            token=self._token(generation),
            generation=generation,
            max_tries=self._ti.max_tries,
            try_number=self._ti.try_number,
            time=time.time(),
        )

    def _record(self, submission: Submission) -> None:
        if self._store is not None:
            self._store.set(RECORD, submission.as_json(), retention=NEVER_EXPIRE)
