from __future__ import annotations

import gzip
import tracemalloc

import pytest

from airflow_provider_dataflow.client.logs import read as logs_module
from airflow_provider_dataflow.client.logs.read import Gunzip, gunzipped, lines, logs_of_type, tail
from airflow_provider_dataflow.models.run import RunLog

TEXT = "".join(f"line {n} \u00fc\n" for n in range(1000)).encode()


def chunks(data: bytes, size: int):
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 7, 4096, 10**6])
@pytest.mark.parametrize(
    "stored",
    [TEXT, gzip.compress(TEXT), gzip.compress(TEXT[:500]) + gzip.compress(TEXT[500:])],
    # Not the bytes, in which the time is: the workers of pytest-xdist must find the same names.
    ids=["plain", "compressed", "compressed in two parts"],
)
def test_a_log_is_read_compressed_or_not(stored, size):
    assert b"".join(gunzipped(chunks(stored, size))) == TEXT


def test_decompressed_chunks_are_limited(monkeypatch):
    monkeypatch.setattr(logs_module, "MAX_PIECE_BYTES", 1000)
    content = b"x" * 100_500 + b"end"
    pieces = list(Gunzip().feed(gzip.compress(content) + gzip.compress(b"more")))
    assert b"".join(pieces) == content + b"more"
    assert max(map(len, pieces)) == 1000


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f"])
def test_very_short_log_is_read(content):
    assert b"".join(gunzipped([content])) == content
    assert list(gunzipped([])) == []


def test_lines_span_chunks_and_replace_invalid_bytes():
    assert list(lines([b"a\r\nb", b"c\n", b"\xff\n", b"end"])) == ["a", "bc", "\ufffd", "end"]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_rest_of_a_long_line_is_omitted(monkeypatch, size):
    monkeypatch.setattr(logs_module, "MAX_LINE_BYTES", 10)
    text = f"short\n{'x' * 10}\n{'x' * 11}\n123456789\u00fc!\n\n{'y' * 30}".encode()
    assert list(lines(chunks(text, size))) == [
        "short",
        "x" * 10,
        "xxxxxxxxxx ... 1 bytes of this line omitted ...",
        "123456789 ... 2 bytes of this line omitted ...",
        "",
        "yyyyyyyyyy ... 20 bytes of this line omitted ...",
    ]


def test_log_without_newlines_does_not_fill_the_memory():
    tracemalloc.start()
    try:
        (line,) = tail((b"x" * 2**16 for _ in range(400)), 50)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(line) < 2**16
    assert peak < 2**20


def test_tail_returns_the_last_lines():
    assert tail(chunks(TEXT, 100), 2) == ["line 998 \u00fc", "line 999 \u00fc"]
    assert tail([], 2) == []


def test_logs_of_type_are_sorted_oldest_first():
    logs = [RunLog("b", "DRIVER", "STDERR"), RunLog("x", "DRIVER", "STDOUT"), RunLog("a", "DRIVER", "STDERR")]
    assert [log.name for log in logs_of_type(logs, "DRIVER", "STDERR")] == ["a", "b"]
