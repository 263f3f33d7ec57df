"""Runs a function of ``@task.oci_data_flow`` in a Spark driver, and stores its result in Object Storage.

The text of this module is part of the shipped script: it imports nothing of this package, and runs on all
Pythons of the service, from 3.6 on. The worker uses ``encode`` and ``decode``, too.
"""

import argparse
import builtins
import collections.abc
import datetime
import decimal
import json
import linecache
import math
import traceback
import urllib.parse
from typing import Any

#: Largest result, as JSON. It becomes an XCom, which is a row of Airflow's database by default.
MAX_RESULT_BYTES = 1024 * 1024
MAX_TRACEBACK_CHARACTERS = 20_000
MAX_MESSAGE_CHARACTERS = 2_000

#: Key that marks a value that JSON does not have.
TYPE = "__type__"

TOO_DEEP = "it is nested too deeply, or contains itself"

_ADVICE = "write it to Object Storage and return its path"


def encode(value: Any, path: str) -> Any:
    """Return a value as JSON has it.

    :param path: name of the value, for error messages.
    :raises TypeError: it cannot be encoded.
    """
    if isinstance(value, str):
        return _encode_text(value, path)
    if value is None:
        return value
    for plain in _PLAIN:
        if isinstance(value, plain):  # also of a subclass, such as numpy's float64 or an IntEnum
            return _finite(plain(value), path) if plain is float else plain(value)
    if callable(getattr(value, "asDict", None)):  # a Row of Spark, which is a tuple
        return encode(value.asDict(), path)
    if isinstance(value, dict):
        return _encode_dict(value, path)
    if isinstance(value, list):
        return _encode_items(value, path)
    for name, (kind, to_json, _) in _TYPES.items():
        if isinstance(value, kind):
            return {TYPE: name, "value": to_json(value, path)}
    if isinstance(value, collections.abc.Mapping):
        return _encode_dict(dict(value), path)
    if isinstance(value, collections.abc.Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return _encode_items(value, path)  # such as the results of a mapped task
    kind = type(value)
    is_numpy = kind.__module__.partition(".")[0] == "numpy" and callable(getattr(value, "tolist", None))
    # numpy makes numbers of times with nanoseconds.
    if is_numpy and value.dtype.kind not in "mM":
        return encode(value.tolist(), path)
    name = f"{kind.__module__}.{kind.__qualname__}"
    raise TypeError(f"{path}: {name} cannot be passed between Airflow and Spark; {_ADVICE}")


def decode(value: Any) -> Any:
    """Return the value that ``encode`` has encoded."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if TYPE not in value:
        return {key: decode(item) for key, item in value.items()}
    if value[TYPE] == "dict":
        return {decode(key): decode(item) for key, item in value["value"]}
    return _TYPES[value[TYPE]][2](value["value"])


def _finite(value: Any, path: str) -> Any:
    # Airflow cannot store NaN and Infinity as an XCom: the task would fail after a run that has succeeded.
    is_finite = value.is_finite() if isinstance(value, decimal.Decimal) else math.isfinite(value)
    if not is_finite:
        raise TypeError(f"{path}: {value} cannot be passed between Airflow and Spark; use None")
    return value


def _encode_text(value: str, path: str) -> str:
    text = str.__str__(value)  # also of a subclass, such as an Enum with str
    if text != _without_surrogates(text):
        raise TypeError(f"{path}: the text has lone surrogates, which are no characters")
    return text


def _without_surrogates(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def _encode_dict(value: Any, path: str) -> Any:
    if all(type(key) is str for key in value) and TYPE not in value:
        return {
            _encode_text(key, f"{path}: key {key!r}"): encode(item, f"{path}[{key!r}]")
            for key, item in value.items()
        }
    items = [
        [encode(key, f"{path}: key {key!r}"), encode(item, f"{path}[{key!r}]")] for key, item in value.items()
    ]
    return {TYPE: "dict", "value": items}


def _encode_items(value: Any, path: str) -> Any:
    return [encode(item, f"{path}[{index}]") for index, item in enumerate(value)]


def _encode_set(value: Any, path: str) -> Any:
    # In an order of its own: that of a set differs between processes, and a submit is repeated as it was.
    return sorted((encode(item, f"{path}: an item") for item in value), key=json.dumps)


def _encode_datetime(value: Any, path: str) -> Any:
    if value != value:
        raise TypeError(f"{path}: NaT of pandas cannot be passed between Airflow and Spark; use None")
    # In UTC, since Airflow cannot store every time zone.
    is_aware = value.utcoffset() is not None
    if is_aware:
        try:
            value = value.astimezone(datetime.timezone.utc)
        except (OverflowError, ValueError):
            raise TypeError(f"{path}: {value} is outside of the years 1 to 9999 in UTC") from None
    parts = [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond]
    return [parts, is_aware]


def _decode_datetime(value: Any) -> Any:
    parts, is_aware = value
    return datetime.datetime(*parts).replace(tzinfo=datetime.timezone.utc if is_aware else None)


_PLAIN: Any = (bool, int, float)
# Type, to JSON, from JSON. A datetime is also a date.
_TYPES: Any = {
    "datetime": (datetime.datetime, _encode_datetime, _decode_datetime),
    "date": (
        datetime.date,
        lambda value, path: [value.year, value.month, value.day],
        lambda value: datetime.date(*value),
    ),
    "timedelta": (
        datetime.timedelta,
        lambda value, path: [value.days, value.seconds, value.microseconds],
        lambda value: datetime.timedelta(*value),
    ),
    "Decimal": (decimal.Decimal, lambda value, path: str(_finite(value, path)), decimal.Decimal),
    "tuple": (tuple, _encode_items, lambda value: tuple(decode(value))),
    "set": (set, _encode_set, lambda value: set(decode(value))),
    "frozenset": (frozenset, _encode_set, lambda value: frozenset(decode(value))),
}


class _Storage:
    """Objects, through Spark's own file systems: no SDK and no credentials are needed."""

    def __init__(self, spark: Any) -> None:
        # Kept: they work even after the function has stopped Spark.
        self._jvm = spark._jvm
        self._configuration = spark._jsc.hadoopConfiguration()

    def _path(self, uri: str) -> Any:
        path = self._jvm.org.apache.hadoop.fs.Path(uri)
        return path.getFileSystem(self._configuration), path

    def read(self, uri: str) -> bytes:
        file_system, path = self._path(uri)
        stream = file_system.open(path)
        try:
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream))
        finally:
            stream.close()

    def write(self, uri: str, content: bytes) -> None:
        file_system, path = self._path(uri)
        stream = file_system.create(path, True)
        try:
            stream.write(bytearray(content))
        finally:
            stream.close()


def _load(source: str, name: str, file_name: str, line: int) -> Any:
    """Return the function. Its traceback shows the file and the lines of the DAG."""
    text = "\n" * (line - 1) + source
    # Python ends lines only there, unlike splitlines.
    lines = [f"{each}\n" for each in text.split("\n")]
    linecache.cache[file_name] = (len(text), None, lines, file_name)
    # Annotations are not evaluated: they may name what only Airflow has.
    flags = getattr(__import__("__future__"), "annotations", None)
    # Not this module's, whose names the function must not replace. As a part of __main__, the function and
    # what it defines travel to executors by value.
    namespace: Any = {"__name__": "__main__", "__builtins__": builtins}
    exec(compile(text, file_name, "exec", flags.compiler_flag if flags else 0), namespace)  # noqa: S102
    return namespace[name]


def _content_of_value(value: Any) -> bytes:
    try:
        content = json.dumps({"value": encode(value, "return value")}).encode()
    except RecursionError:
        raise ValueError(f"return value: {TOO_DEEP}") from None
    if len(content) > MAX_RESULT_BYTES:
        raise ValueError(
            f"return value: {len(content)} bytes of JSON, more than {MAX_RESULT_BYTES}; {_ADVICE}"
        )
    return content


def _content_of_error(error: BaseException) -> bytes:
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_globals is globals():
        frames = frames.tb_next
    lines = traceback.format_exception(type(error), error, frames or error.__traceback__)
    content = {
        "type": type(error).__qualname__,
        "message": _text(error)[:MAX_MESSAGE_CHARACTERS],
        "traceback": "".join(lines)[-MAX_TRACEBACK_CHARACTERS:],
    }
    texts = {name: _without_surrogates(text) for name, text in content.items()}
    return json.dumps({"error": texts}).encode()


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - of a class with a broken __str__
        return "(its message cannot be read)"


def run(source: str, name: str, file_name: str, line: int, takes_spark: bool) -> None:
    """Call the function with the arguments of the command line, and store its value or its exception."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--result", required=True)
    parser.add_argument("--arguments", default="")
    parser.add_argument("--arguments-uri")
    options = parser.parse_args()

    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    storage = _Storage(spark)
    try:
        text = urllib.parse.unquote(options.arguments)
        if options.arguments_uri:
            text = storage.read(options.arguments_uri).decode()
        args, kwargs = decode(json.loads(text))
        function = _load(source, name, file_name, line)
        content = _content_of_value(function(*([spark] if takes_spark else []), *args, **kwargs))
    except BaseException as error:
        storage.write(options.result, _content_of_error(error))
        if isinstance(error, SystemExit):
            raise RuntimeError(f"the function called sys.exit({error.code!r})") from error
        raise
    storage.write(options.result, content)
