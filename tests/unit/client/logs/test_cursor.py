from __future__ import annotations

import json

import pytest

from airflow_provider_dataflow.client.logs.cursor import LogCursor, LogLimits, LogPollBackoff, LogShrunk
from airflow_provider_dataflow.models.run import RunLog

STDOUT = RunLog("spark_application_stdout.log.gz", "APPLICATION", "STDOUT")
HEAD, TAIL, LINE = 100, 40, 20


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(LogCursor, "limits", LogLimits(HEAD, TAIL, LINE))


def read(cursor: LogCursor, content: bytes, *, final: bool = False, chunk: int = 7) -> list[str]:
    reading = cursor.read(STDOUT, final=final)
    lines = []
    for start in range(0, len(content), chunk):
        if not reading.wants_more:
            break
        lines += reading.feed(content[start : start + chunk])
    return lines + reading.finish()


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_only_new_and_complete_lines_are_returned(chunk):
    cursor = LogCursor()
    assert read(cursor, b"", chunk=chunk) == []
    assert read(cursor, b"one\ntw", chunk=chunk) == ["one"]
    assert cursor.as_dict() == {STDOUT.name: 4}
    assert read(cursor, b"one\ntw", chunk=chunk) == []
    assert read(cursor, b"one\ntwo\r\n\nthree", chunk=chunk) == ["two", ""]
    assert read(cursor, b"one\ntwo\r\n\nthree", final=True, chunk=chunk) == ["three"]
    assert read(cursor, b"one\ntwo\r\n\nthree", final=True, chunk=chunk) == []


def test_cursor_continues_in_another_process():
    cursor = LogCursor()
    read(cursor, b"one\ntwo\n")
    kept = json.loads(json.dumps(cursor.as_dict()))
    assert read(LogCursor(kept), b"one\ntwo\nthree\n") == ["three"]


@pytest.mark.parametrize("fails_after", range(0, 18, 3))
def test_reading_continues_after_a_broken_download(fails_after):
    content = b"one\ntwo\nthree\nfour\n"
    cursor = LogCursor()
    reading = cursor.read(STDOUT)
    lines = reading.feed(content[:fails_after])  # finish() is not called
    assert lines + read(cursor, content) == ["one", "two", "three", "four"]


def test_shrunk_log_is_read_from_its_start():
    cursor = LogCursor({STDOUT.name: 50})
    with pytest.raises(LogShrunk):
        read(cursor, b"new\n")
    assert read(cursor, b"new\n") == ["new"]


def test_bytes_that_are_not_utf8_are_replaced():
    assert read(LogCursor(), b"\xff\xfe\na\0b\n\xc3", final=True) == ["\ufffd\ufffd", "ab", "\ufffd"]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_long_line_is_split_between_characters(chunk):
    line = "\u00fc" * 25  # two bytes each
    pieces = read(LogCursor(), f"x{line}\nend\n".encode(), chunk=chunk)
    assert "".join(pieces[:-1]) == f"x{line}"
    assert pieces[-1] == "end"
    assert all(len(piece.encode()) <= LINE for piece in pieces)
    assert read(LogCursor(), b"\x80" * 50, final=True) == ["\ufffd" * 20, "\ufffd" * 20, "\ufffd" * 10]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_growing_log_is_copied_up_to_a_limit(chunk):
    content = b"".join(b"line %04d\n" % n for n in range(100))
    cursor = LogCursor()
    lines = read(cursor, content[:50], chunk=chunk)
    assert lines == [f"line {n:04d}" for n in range(5)]
    lines = read(cursor, content, chunk=chunk)
    assert lines == [
        *(f"line {n:04d}" for n in range(5, 10)),
        "... the rest of spark_application_stdout.log.gz follows when the run has ended ...",
    ]
    assert cursor.as_dict() == {STDOUT.name: HEAD}
    assert cursor.logs_to_read([STDOUT]) == []
    assert cursor.logs_to_read([STDOUT], final=True) == [STDOUT]
    lines = read(cursor, content, final=True, chunk=chunk)
    assert lines == [
        "... 870 bytes of spark_application_stdout.log.gz omitted ...",
        *(f"line {n:04d}" for n in range(97, 100)),
    ]
    assert cursor.as_dict() == {STDOUT.name: len(content)}
    assert read(cursor, content, final=True, chunk=chunk) == []


def test_growing_log_is_downloaded_up_to_the_limit():
    reading = LogCursor().read(STDOUT)
    assert reading.wants_more
    reading.feed(b"x" * HEAD)
    assert not reading.wants_more


@pytest.mark.parametrize("size", range(HEAD - 15, HEAD + TAIL + 35, 5))
@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("before", [0, 30, HEAD, HEAD + 10])
def test_omitted_bytes_of_a_complete_log_are_reported(size, chunk, before):
    content = bytes(b"0123456789abcd\n"[n % 15] for n in range(size))
    before = min(before, size)
    cursor = LogCursor({STDOUT.name: before})
    lines = read(cursor, content, final=True, chunk=chunk)
    notes = [line for line in lines if line.startswith("...")]
    left_out = int(notes[0].split()[1]) if notes else 0
    copied = sum(len(line) for line in lines if not line.startswith("..."))
    newlines = content[before:].count(b"\n")
    if not notes:
        assert copied + newlines == size - before
    else:
        assert size > HEAD + TAIL
        at = lines.index(notes[0])
        end = "\n".join(lines[at + 1 :]).encode()
        assert content.rstrip(b"\n").endswith(end)
        assert len(end) <= TAIL
        begin = "".join(lines[:at])
        assert content[before:].replace(b"\n", b"").startswith(begin.encode())
        assert left_out >= size - max(HEAD, before) - TAIL
    assert cursor.as_dict() == {STDOUT.name: size}


def log(name: str, size: int | None = 1) -> RunLog:
    source, kind = name.split("_")[1:3]
    return RunLog(name, source.upper(), kind.upper(), size)


def test_application_logs_are_preferred_to_driver_logs():
    driver = [log("spark_driver_stderr_2"), log("spark_driver_stderr_1")]
    executor = [log("spark_executor_stderr_1")]
    application = [log("spark_application_stderr"), log("spark_application_stdout")]
    cursor = LogCursor()
    assert [entry.name for entry in cursor.logs_to_read(driver + executor)] == [
        "spark_driver_stderr_1",
        "spark_driver_stderr_2",
    ]
    assert [entry.name for entry in cursor.logs_to_read(driver + executor + application)] == [
        "spark_application_stdout",
        "spark_application_stderr",
    ]
    assert cursor.logs_to_read([]) == []


def test_a_log_is_read_again_only_if_its_size_has_changed():
    cursor = LogCursor()

    def is_due(size: int | None, **kwargs: bool) -> bool:
        return bool(cursor.logs_to_read([log("spark_application_stdout", size)], **kwargs))

    assert not is_due(0)
    assert is_due(5)
    reading = cursor.read(log("spark_application_stdout", 5))
    reading.feed(b"12345")
    assert is_due(5), "it was not read to its end"
    reading.finish()
    assert not is_due(5)
    assert is_due(6)
    assert is_due(None)
    assert is_due(5, final=True)


def test_log_polls_back_off_without_news_and_for_long_logs():
    pace = LogPollBackoff()
    pauses = [pace.next_pause(None) for _ in range(20)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (
        LogPollBackoff.min_pause_seconds * 1.5,
        LogPollBackoff.max_pause_seconds,
    )
    assert pace.next_pause(100) == LogPollBackoff.min_pause_seconds
    assert (
        LogPollBackoff.min_pause_seconds < pace.next_pause(2 * 1024 * 1024) < LogPollBackoff.max_pause_seconds
    )
    assert pace.next_pause(10**9) == LogPollBackoff.max_pause_seconds
