from __future__ import annotations

import inspect
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote

import pytest
from airflow.sdk import DAG, task

from airflow_provider_dataflow.arguments.masking import without_secrets
from airflow_provider_dataflow.decorators import data_flow
from airflow_provider_dataflow.decorators.data_flow import (
    SHIPPED_CONTEXT,
    SUPERSEDED,
    DataFlowDecoratedOperator,
    data_flow_task,
)
from airflow_provider_dataflow.exceptions import (
    DataFlowError,
    FunctionFailed,
    InvalidArgument,
    ObjectStorageError,
    RunFailed,
    ServiceError,
)
from airflow_provider_dataflow.hooks.data_flow import DataFlowHook
from airflow_provider_dataflow.models.run import Run
from airflow_provider_dataflow.models.spark_submit import command_line
from airflow_provider_dataflow.operators.run import InvokeRunOperator
from airflow_provider_dataflow.staging.function_code import encoded_arguments
from airflow_provider_dataflow.staging.function_result import read_result, result_uri_of
from airflow_provider_dataflow.staging.function_runner import decode
from tests.unit.support import COMPARTMENT_ID, RUN_ID, FakeTaskInstance, run_body

TOKEN = "a" * 64
RESULT = f"oci://b@ns/staging/results/{TOKEN}.json"
EXECUTE = f"oci://b@ns/staging/functions/1/f.py --result {RESULT} --arguments %5B%5D"


def monthly(spark, month, *, limit=3, ds=None):
    return {"month": month, "limit": limit}


def without_spark(month):
    return month


def operator(function=monthly, **arguments) -> DataFlowDecoratedOperator:
    with DAG("dag"):
        return DataFlowDecoratedOperator(
            **{
                "task_id": "function",
                "python_callable": function,
                "op_args": ["2013-01"],
                "staging_uri": "oci://b@ns/staging",
                "compartment_id": COMPARTMENT_ID,
                **arguments,
            }
        )


class FakeObjects:
    """Fake of the client of Object Storage: objects by URI."""

    def __init__(self, objects=None, error=None):
        self.objects, self.error = dict(objects or {}), error
        self.errors, self.reads = [], 0

    def get(self, uri, *, max_bytes):
        self.reads += 1
        if self.errors:
            raise self.errors.pop(0)
        if self.error:
            raise self.error
        if uri not in self.objects:
            error = ServiceError(operation="GetObject", message="no", status=404, code="ObjectNotFound")
            raise ObjectStorageError(uri=uri, error=error)
        return self.objects[uri]


@pytest.fixture
def objects(mocker):
    fake = FakeObjects()
    mocker.patch.object(DataFlowHook, "object_storage", fake)
    mocker.patch.multiple(data_flow, ERROR_PAUSE_SECONDS=0.0, MISSING_PAUSE_SECONDS=0.0)
    mocker.patch.object(DataFlowHook, "list_run_logs", return_value=[])
    mocker.patch.object(DataFlowHook, "run_page_url", return_value="https://page")
    return fake


# --- Decorator ------------------------------------------------------------------------------------------


def test_airflow_finds_the_decorator():
    with DAG("dag"):

        @task.oci_data_flow(staging_uri="oci://b@ns/staging", retries=2)
        def function(spark, month):
            return month

        function("2013-01")
        function.override(task_id="other")(month="2013-02")
        mapped = function.override(task_id="mapped").expand(month=["2013-01", "2013-02"])

    first = mapped.operator.dag.get_task("function")
    assert isinstance(first, DataFlowDecoratedOperator)
    assert isinstance(first, InvokeRunOperator)
    assert (first.op_args, first.retries, first.operator_name) == (("2013-01",), 2, "@task.oci_data_flow")
    assert mapped.operator.dag.get_task("other").op_kwargs == {"month": "2013-02"}
    assert mapped.operator.operator_class is DataFlowDecoratedOperator


def test_decorator_without_arguments():
    with DAG("dag"):

        @data_flow_task
        def function(spark):
            return 1

        assert isinstance(function().operator, DataFlowDecoratedOperator)
    assert function.function(None) == 1


def test_callers_pass_no_spark():
    assert str(inspect.signature(operator().python_callable)) == "(month, *, limit=3, ds=None)"
    with pytest.raises(TypeError, match="missing a required argument: 'month'"):
        operator(op_args=[])
    with pytest.raises(TypeError, match="too many"):
        operator(op_args=[1, 2])


def test_function_that_cannot_be_shipped_is_refused_when_it_is_decorated():
    limit = 3
    with pytest.raises(InvalidArgument, match=r"^@task\.oci_data_flow: function uses limit from outside"):

        @data_flow_task(staging_uri="oci://b@ns/staging")
        def function(spark):
            return limit


@pytest.mark.parametrize("name", ["ti", "task", "dag_run", "var", "macros"])
def test_context_that_cannot_be_shipped_is_refused(name):
    namespace = {}
    source = f"def function(spark, {name}=None):\n    return 1\n"
    exec(source, namespace)
    function = namespace["function"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "getsource", lambda _: source)
        with pytest.raises(InvalidArgument, match=f"function has the parameter {name}, which Airflow fills"):
            data_flow_task(function)


@pytest.mark.parametrize("name", SUPERSEDED)
def test_arguments_that_say_what_to_run_are_refused(name):
    with pytest.raises(InvalidArgument, match=f"^{name}: not allowed in @task.oci_data_flow"):
        operator(**{name: "oci://b@ns/app.py" if name != "start_from_trigger" else True})


def test_raw_body_that_says_what_to_run_is_refused():
    with pytest.raises(InvalidArgument, match="execute"):
        operator(json={"execute": "oci://b@ns/app.py"})


def test_all_other_arguments_of_the_operator_are_taken():
    names = set(inspect.signature(InvokeRunOperator.__init__).parameters) - {"self", "kwargs", *SUPERSEDED}
    assert set(InvokeRunOperator.template_fields) < set(DataFlowDecoratedOperator.template_fields)
    made = operator(num_executors=2, requirements=["humanize"], py_files=["lib.py"], deferrable=True)
    assert names <= set(dir(made))
    assert (made.num_executors, made.requirements, made.deferrable) == (2, ["humanize"], True)


# --- Submit ---------------------------------------------------------------------------------------------


def request_of(made, context=None):
    made.read_settings()
    request, upload = made._with_local_code(made._request(), context)
    assert upload is not None
    return request


def words_of(request):
    """Return the options of the command line, behind the main file."""
    words = request.for_submission(TOKEN).execute.split()
    start = next(index for index, word in enumerate(words) if word.startswith("oci://"))
    return dict(zip(words[start + 1 :: 2], words[start + 2 :: 2], strict=True))


def test_arguments_and_result_are_in_the_command_line(objects):
    context = {"ds": "2013-01-31", "ti": FakeTaskInstance()}
    request = request_of(operator(op_kwargs={"limit": 5}, configuration={"spark.a": "b"}), context)
    options = words_of(request)
    assert options["--result"] == RESULT
    arguments = json.loads(unquote(options["--arguments"]))
    assert decode(arguments) == [["2013-01"], {"ds": "2013-01-31", "limit": 5}]
    assert "--conf spark.a=b" in request.execute


def test_each_submit_has_a_result_of_its_own(objects):
    request = request_of(operator())
    assert request.for_submission("1" * 64).execute != request.for_submission("2" * 64).execute
    assert "AIRFLOW_SUBMISSION" not in request.for_submission("1" * 64).execute


def test_argument_that_cannot_be_shipped_is_refused_by_name(objects):
    with pytest.raises(InvalidArgument, match=r"argument month: builtins\.object cannot be passed"):
        request_of(operator(op_args=[], op_kwargs={"month": object()}))


def test_missing_staging_uri_is_refused(objects, mocker):
    mocker.patch.object(DataFlowHook, "staging_uri", None)
    with pytest.raises(InvalidArgument, match="staging_uri"):
        request_of(operator(staging_uri=None))


def test_context_of_shipped_keys_can_be_encoded(objects):
    now = datetime(2013, 1, 1, tzinfo=UTC)
    assert {"logical_date", "ds", "params"} <= SHIPPED_CONTEXT

    def dated(spark, logical_date=None, params=None):
        return logical_date

    request = request_of(operator(dated, op_args=[]), {"logical_date": now, "params": {"a": 1}})
    arguments = decode(json.loads(unquote(words_of(request)["--arguments"])))
    assert arguments == [[], {"logical_date": now, "params": {"a": 1}}]


# --- Result ---------------------------------------------------------------------------------------------


def run_in(state, **fields):
    return Run.from_api(run_body(state, execute=EXECUTE, **fields))


def finish(run, made=None):
    made = made or operator(fetch_logs="never")
    made.read_settings()
    return made._finish(run, {"ti": FakeTaskInstance()})


def stored(**content):
    return {RESULT: json.dumps(content).encode()}


def test_value_is_returned(objects):
    objects.objects = stored(value={"a": [1]})
    assert finish(run_in("SUCCEEDED")) == {"a": [1]}


def test_exception_is_raised_with_its_traceback(objects):
    error = {"type": "KeyError", "message": "'x'", "traceback": "Traceback:\n  line 3\nKeyError: 'x'\n"}
    objects.objects = stored(error=error)
    with pytest.raises(FunctionFailed, match=r"failed: KeyError: 'x'") as caught:
        finish(run_in("FAILED", lifecycleDetails="exit code 1"))
    assert (caught.value.run_id, caught.value.error_type) == (RUN_ID, "KeyError")
    assert "line 3" in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_secrets_of_arguments_are_not_in_the_error(objects):
    error = {"type": "E", "message": "no hunter2hunter2", "traceback": "E: no hunter2hunter2"}
    objects.objects = stored(error=error)

    def login(spark, password):
        return password

    made = operator(login, op_args=[], op_kwargs={"password": "hunter2hunter2"}, fetch_logs="never")
    with pytest.raises(FunctionFailed) as caught:
        finish(run_in("FAILED"), made)
    assert "hunter2" not in str(caught.value) + caught.value.traceback + caught.value.error_message


@pytest.mark.parametrize(
    "error", [None, ServiceError(operation="GetObject", message="down", status=503), DataFlowError("broken")]
)
def test_failed_run_without_a_readable_exception_is_a_failed_run(objects, error):
    objects.error = error
    with pytest.raises(RunFailed) as caught:
        finish(run_in("FAILED"), operator(fetch_logs="never", error_budget=0.001))
    assert type(caught.value) is RunFailed


def test_missing_or_malformed_result_is_an_error(objects):
    with pytest.raises(DataFlowError, match="stored no result"):
        finish(run_in("SUCCEEDED"))
    for content in (
        b"not JSON",
        b"[" * 100_000,
        b'{"value": {"__type__": "Decimal", "value": "abc"}}',
        b'{"value": {"__type__": "datetime", "value": [[100000000000000000000, 1, 1], false]}}',
    ):
        objects.objects = {RESULT: content}
        with pytest.raises(DataFlowError, match="not the result of a function"):
            finish(run_in("SUCCEEDED"))


def test_run_that_goes_on_has_no_value(objects):
    made = operator(target_states=["IN_PROGRESS"], fetch_logs="never")
    assert finish(run_in("IN_PROGRESS"), made) == RUN_ID


def test_result_is_found_in_either_form_of_the_arguments():
    words = ["--result", RESULT, "--arguments", "%5B%5D"]
    for fields in ({"execute": EXECUTE}, {"arguments": words}, {"execute": None, "arguments": words}):
        assert result_uri_of(Run.from_api(run_body(**fields))) == RESULT
    assert result_uri_of(Run.from_api(run_body(execute="oci://b@ns/app.py"))) is None
    assert read_result(FakeObjects(), Run.from_api(run_body())) is None


def test_superseded_and_context_names_exist():
    parameters = inspect.signature(InvokeRunOperator.__init__).parameters
    assert set(SUPERSEDED) <= set(parameters)
    assert data_flow.context_keys() >= data_flow.SHIPPED_CONTEXT


def test_secrets_are_masked_in_the_command_line(objects, mocker):
    def login(spark, password):
        return password

    mask = mocker.patch.object(data_flow, "mask_secret")
    word = words_of(request_of(operator(login, op_args=[], op_kwargs={"password": 'hunter2 "ü" & more'})))
    masked = without_secrets(word["--arguments"], [call.args[0] for call in mask.call_args_list])
    assert "hunter2" in word["--arguments"]
    assert "hunter2" not in masked


def object_error(status, code="Other"):
    error = ServiceError(operation="GetObject", message="down", status=status, code=code)
    return ObjectStorageError(uri=RESULT, error=error)


def test_errors_are_retried_until_the_result_is_read(objects):
    objects.objects = stored(value=1)
    objects.errors = [object_error(status) for status in (503, None, 429, 403, 404, 404, 500)]
    assert finish(run_in("SUCCEEDED")) == 1
    assert (objects.errors, objects.reads) == ([], 8)


def test_exception_is_read_after_errors_too(objects):
    objects.objects = stored(error={"type": "E", "message": "no", "traceback": "E: no"})
    objects.errors = [object_error(503)]
    with pytest.raises(FunctionFailed):
        finish(run_in("FAILED"))


def test_errors_are_retried_within_the_error_budget_only(objects):
    objects.error = object_error(503)
    with pytest.raises(ServiceError, match="down"):
        finish(run_in("SUCCEEDED"), operator(fetch_logs="never", error_budget=0.001))
    objects.error, objects.reads = object_error(400), 0
    with pytest.raises(ServiceError):
        finish(run_in("SUCCEEDED"))
    assert objects.reads == 1


def test_missing_result_is_read_three_times(objects):
    with pytest.raises(DataFlowError, match="stored no result"):
        finish(run_in("SUCCEEDED"))
    assert objects.reads == 3


@pytest.mark.parametrize("prefix", ["my prefix", "it's", 'a"b', ""])
def test_result_is_the_option_of_the_command_line(prefix):
    result = f"oci://b@ns/{prefix}/results/{TOKEN}.json".replace("ns//", "ns/")
    other = f"oci://o@ns/results/{'b' * 64}.json"
    words = ["--result", result, "--arguments", "%5B%5D"]
    line = command_line("oci://b@ns/f.py", configuration={"spark.x": other}, application_args=words)
    assert result_uri_of(Run.from_api(run_body(execute=line))) == result
    assert result_uri_of(Run.from_api(run_body(execute=f"oci://b@ns/f.py {other}"))) is None
    assert result_uri_of(Run.from_api(run_body(execute="oci://b@ns/f.py 'open"))) is None
    assert result_uri_of(Run.from_api(run_body(execute="oci://b@ns/f.py --result"))) is None


# --- Checks ---------------------------------------------------------------------------------------------


def test_function_of_any_name_is_shipped(objects):
    def día(spark):
        return 1

    request = request_of(operator(día, op_args=[]))
    assert "oci://pending@upload/function.py" in request.execute


@pytest.mark.parametrize("value", [False, "false"])
def test_function_is_waited_for(value):
    with pytest.raises(InvalidArgument, match=r"^wait_for_completion: must be true in @task.oci_data_flow"):
        operator(wait_for_completion=value)


def test_default_arguments_and_templates_are_checked_too(objects):
    with (
        pytest.raises(InvalidArgument, match=r"^wait_for_completion"),
        DAG("dag", default_args={"wait_for_completion": False}),
    ):
        data_flow_task(without_spark)("2013-01")
    made = operator(wait_for_completion="{{ params.wait }}")
    made.wait_for_completion = "False"  # as rendered
    with pytest.raises(InvalidArgument, match=r"^wait_for_completion"):
        request_of(made)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("execute", "oci://b@ns/app.py"),
        ("java_class", "a.B"),
        ("nonsense", 1),
        ("op_args", [1]),
        ("wait_for_completion", False),
    ],
)
def test_arguments_of_the_decorator_are_checked_when_it_is_called(name, value):
    with pytest.raises(InvalidArgument, match=f"^{name}: "):
        data_flow_task(**{name: value})


def test_arguments_of_all_operators_are_taken():
    mapped = {
        "retries": 1,
        "pool": "p",
        "num_executors": 2,
        "oci_conn_id": "x",
        "trigger_rule": "all_done",
        "map_index_template": "x",
    }
    with DAG("dag"):
        task = data_flow_task(task_id="x", staging_uri="oci://b@ns/s", **mapped)(without_spark)
        assert task.expand(month=["2013-01"]).operator.task_id == "x"


def test_arguments_are_hidden_as_a_whole(objects, mocker):
    mask = mocker.patch.object(data_flow, "mask_secret")
    word = words_of(request_of(operator(op_args=["of a connection, masked"])))["--arguments"]
    assert without_secrets(word, [call.args[0] for call in mask.call_args_list]) == "***"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("inf"), "argument 1: inf cannot be passed"),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))), "argument 1: 9999-12-31 .* in UTC"),
    ],
)
def test_argument_that_cannot_be_encoded_is_refused(value, problem):
    with pytest.raises(InvalidArgument, match=rf"^@task\.oci_data_flow: {problem}"):
        encoded_arguments([value], {})


def test_argument_that_contains_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(InvalidArgument, match="nested too deeply, or contains itself"):
        encoded_arguments([value], {})
