"""``@task.oci_data_flow``: a Python function that runs in Spark on OCI Data Flow."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, TypeVar, overload
from urllib.parse import quote

from airflow_provider_dataflow.arguments.masking import mask_secrets_of_run, secrets_among, without_secrets
from airflow_provider_dataflow.compat import (
    DecoratedOperator,
    context_keys,
    mask_secret,
    task_decorator_factory,
)
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    FunctionFailed,
    InvalidArgument,
    RunFailed,
    ServiceError,
)
from airflow_provider_dataflow.lineage.datasets import RunDataSets
from airflow_provider_dataflow.models.argument_values import is_given
from airflow_provider_dataflow.models.run import SUCCESS_STATES
from airflow_provider_dataflow.models.run_request import SAFE_IN_EXECUTE
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.polling import STRAY_ERROR_BUDGET_SECONDS, ErrorBudget, jittered
from airflow_provider_dataflow.staging.function_source import FunctionSource, signature_without_spark

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import Task
    from pyspark.sql import SparkSession

    from airflow_provider_dataflow.compat import Context
    from airflow_provider_dataflow.models.run import Run
    from airflow_provider_dataflow.models.run_request import RunRequest
    from airflow_provider_dataflow.ownership.acquire import Upload
    from airflow_provider_dataflow.staging.function_result import FunctionResult

P = ParamSpec("P")
R = TypeVar("R")

NAME = "@task.oci_data_flow"

#: Attribute in which a function has its source.
_SOURCE = "_oci_data_flow_source"

#: Arguments of the operator that say what to run, which here is the function.
SUPERSEDED = (
    *("application", "application_args", "application_id", "arguments", "execute", "java_class"),
    *("parameters", "run_id", "start_from_trigger"),
)

#: Seconds between two reads of a result, after an error and while there is none.
ERROR_PAUSE_SECONDS, MISSING_PAUSE_SECONDS = 10.0, 1.0
#: A result that is missing so often does not exist.
READS_OF_MISSING = 3

#: Keys of the task's context that a function may have as parameters: those with values that can be shipped.
SHIPPED_CONTEXT = frozenset(
    (
        *("data_interval_end", "data_interval_start", "ds", "ds_nodash", "logical_date", "params", "run_id"),
        *("task_instance_key_str", "ts", "ts_nodash", "ts_nodash_with_tz"),
    )
)


class DataFlowDecoratedOperator(DecoratedOperator, InvokeRunOperator):
    """Ships a Python function to a Spark run and returns its value.

    The script of the function is uploaded to ``staging_uri``, and the run calls the function. Everything else
    is as in ``InvokeRunOperator``, whose arguments it takes, except those that say what to run.

    :param python_callable: the function. Its first parameter ``spark`` gets the ``SparkSession``.
    :param op_args: positional arguments of the function, without ``spark``; templated.
    :param op_kwargs: keyword arguments of the function; templated.
    :raises InvalidArgument: the function cannot be shipped, or an argument is invalid; nothing was submitted.
    :raises FunctionFailed: the function raised an exception.
    """

    custom_operator_name = NAME
    template_fields: Sequence[str] = (
        *DecoratedOperator.template_fields,
        *InvokeRunOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **InvokeRunOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._source = prepared(python_callable)
        _check_superseded(kwargs)
        super().__init__(
            python_callable=python_callable,
            op_args=op_args,
            op_kwargs=op_kwargs,
            # Stands for the script until it is uploaded.
            application=f"{self._source.name}.py",
            **kwargs,
        )
        # Also from default_args.
        _check_waits(self.wait_for_completion)

    # --- Submit -------------------------------------------------------------------------------------------

    def _with_local_code(
        self, request: RunRequest, context: Context | None
    ) -> tuple[RunRequest, Upload | None]:
        """Return the request that is checked before the submit, and the upload of the function."""
        from dataclasses import replace

        from airflow_provider_dataflow.staging.function_code import FunctionCode, encoded_arguments

        _check_waits(self.wait_for_completion)
        self._mask_encoded_secrets()
        code = FunctionCode(
            source=self._source,
            arguments=encoded_arguments(list(self.op_args), self._keyword_arguments(context)),
            stager=self._stager(),
            code=replace(self._local_code(request), application=None),
        )
        # Among the arguments may be any value that Airflow masks, such as a password of a connection, and its
        # masker does not find it in percent-encoding.
        mask_secret(code.inline_arguments)

        def upload(known: Mapping[str, str]) -> tuple[RunRequest, dict[str, str]]:
            uris = code.upload(self._local_files(context), known, dry_run=context is None)
            return code.request(request, uris), uris

        return code.request(request, {}), upload

    def _mask_encoded_secrets(self) -> None:
        """Register the secrets among the arguments in the form that they have in the command line."""
        for secret in secrets_among(self.templated_arguments()):
            mask_secret(quote(secret, safe=SAFE_IN_EXECUTE))

    def _keyword_arguments(self, context: Context | None) -> dict[str, Any]:
        """Return the keyword arguments, with those that Airflow fills from the task's context."""
        signature = signature_without_spark(self.python_callable)
        positional = list(signature.parameters)[: len(self.op_args)]
        wanted = SHIPPED_CONTEXT.intersection(signature.parameters) - {*positional, *self.op_kwargs}
        values: Mapping[str, Any] = context or {}
        return {**{name: values.get(name) for name in sorted(wanted)}, **self.op_kwargs}

    def _data_sets(self) -> RunDataSets:
        """Return the data sets that the arguments of the function name, instead of those of its script."""
        sets = RunDataSets()
        bound = signature_without_spark(self.python_callable).bind_partial(*self.op_args, **self.op_kwargs)
        for name, value in bound.arguments.items():
            sets.add(value, name)
        return sets

    # --- Result -------------------------------------------------------------------------------------------

    def _finish(self, run: Run, context: Context, log_cursor: Mapping[str, int] | None = None) -> Any:
        """Return the function's value, or raise its exception.

        If another state than SUCCEEDED was waited for, there is no value; return the OCID of the run.
        """
        try:
            run_id = super()._finish(run, context, log_cursor)
        except RunFailed as failed:
            raise self._with_exception(failed, run) from None
        if run.state not in SUCCESS_STATES:
            return run_id
        result = self._result(run, self.error_budget)
        if result is None:
            raise DataFlowError(
                f"Run {run.id} has SUCCEEDED, but stored no result: was the object deleted from the bucket? "
                "Clear the task to run it again"
            )
        return result.value

    def _result(self, run: Run, error_budget: float) -> FunctionResult | None:
        """Read the result, retrying errors within the error budget, in seconds."""
        from airflow_provider_dataflow.client.wait import sleep
        from airflow_provider_dataflow.staging.function_result import read_result

        budget = ErrorBudget(error_budget)
        missing = 0
        while True:
            self._raise_if_killed()
            try:
                result = read_result(self.hook.object_storage, run)
            except ServiceError as error:
                if budget.failure(error, time.monotonic()):
                    raise
                self.log.warning("Run %s: cannot read its result, retrying: %s", run.id, error)
                sleep(jittered(ERROR_PAUSE_SECONDS), self._raise_if_killed)
                continue
            budget.success()
            missing += 1
            if result is not None or missing == READS_OF_MISSING:
                return result
            sleep(jittered(MISSING_PAUSE_SECONDS), self._raise_if_killed)

    def _with_exception(self, failed: RunFailed, run: Run) -> RunFailed:
        """Return the error of a failed run with the exception of the function, if it raised one."""
        try:
            # Not for long: the run has failed with or without its exception.
            result = self._result(run, min(self.error_budget, STRAY_ERROR_BUDGET_SECONDS))
        except DataFlowError as error:
            self.log.warning("Run %s: cannot read the exception of the function: %s", run.id, error)
            return failed
        if result is None or result.error is None:
            return failed
        secrets = mask_secrets_of_run(run) | secrets_among(self.templated_arguments())
        return FunctionFailed(
            error_type=result.error["type"],
            error_message=without_secrets(result.error["message"], secrets),
            traceback=without_secrets(result.error["traceback"], secrets),
            run_id=failed.run_id,
            state=failed.state,
            lifecycle_details=failed.lifecycle_details,
            opc_request_id=failed.opc_request_id,
            url=failed.url,
            log_tail=failed.log_tail,
            note=failed.note,
        )


def prepared(function: Callable[..., Any]) -> FunctionSource:
    """Return the source of a function, and hide its parameter ``spark`` from its callers.

    :raises InvalidArgument: the function cannot be shipped.
    """
    # Kept with the function, since its file may change after it was imported.
    source: FunctionSource | None = vars(function).get(_SOURCE) if inspect.isfunction(function) else None
    if source is not None:
        return source
    source = FunctionSource.of(function, NAME)
    # Of these, Airflow passes values that exist only in a worker.
    parameters = signature_without_spark(function).parameters
    if refused := sorted(context_keys().intersection(parameters) - SHIPPED_CONTEXT):
        raise InvalidArgument(
            NAME,
            f"{source.name} has the parameter {', '.join(refused)}, which Airflow fills and which cannot be "
            "shipped",
        )
    # Where Airflow, as inspect, looks for the signature.
    function.__signature__ = signature_without_spark(function)  # type: ignore[attr-defined]
    setattr(function, _SOURCE, source)
    return source


def _check_superseded(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that say what to run.

    :raises InvalidArgument: there is one.
    """
    for name in SUPERSEDED:
        if is_given(arguments.get(name)) and arguments[name] is not False:
            raise InvalidArgument(name, f"not allowed in {NAME}: the function is the application")


def _check_waits(wait_for_completion: Any) -> None:
    if wait_for_completion is False:
        raise InvalidArgument(
            "wait_for_completion",
            f"must be true in {NAME}: the value of the function is there when the run has ended",
        )


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    """Check the arguments of the decorator. Airflow makes no operator of a mapped task when it parses it.

    :raises InvalidArgument: an argument is not allowed or unknown.
    """
    _check_superseded(arguments)
    _check_waits(arguments.get("wait_for_completion"))
    # Those of the operator are given by Airflow.
    known = {
        name
        for kind in DataFlowDecoratedOperator.__mro__
        if "__init__" in vars(kind)
        for name in inspect.signature(vars(kind)["__init__"]).parameters
    } - {"self", "args", "kwargs", "python_callable", "op_args", "op_kwargs"}
    for name in arguments:
        if name not in known:
            raise InvalidArgument(name, f"{NAME} has no such argument")


@overload
def data_flow_task(python_callable: Callable[Concatenate[SparkSession, P], R]) -> Task[P, R]: ...


@overload
def data_flow_task(
    python_callable: None = None, multiple_outputs: bool | None = None, **kwargs: Any
) -> Callable[[Callable[Concatenate[SparkSession, P], R]], Task[P, R]]: ...


def data_flow_task(
    python_callable: Callable[..., Any] | None = None,
    multiple_outputs: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Make a task of a function that runs in Spark. Airflow has it as ``@task.oci_data_flow``.

    Import it from here for type checks: the task takes the arguments of the function without ``spark``.

    :param python_callable: the function, if the decorator has no arguments.
    :param multiple_outputs: push each value of a returned dict as an XCom of its own, too.
    :param kwargs: arguments of :class:`~airflow_provider_dataflow.operators.run.InvokeRunOperator`, except
        those that say what to run, and of all operators.
    :raises InvalidArgument: the function cannot be shipped, or an argument is not allowed or unknown.
    """
    _check_arguments(kwargs)

    def decorate(function: Callable[..., Any]) -> Any:
        prepared(function)
        return task_decorator_factory(
            function,
            multiple_outputs=multiple_outputs,
            decorated_operator_class=DataFlowDecoratedOperator,
            **kwargs,
        )

    if python_callable is None:
        return decorate
    if not callable(python_callable):
        raise InvalidArgument(NAME, "takes only named arguments")
    return decorate(python_callable)
