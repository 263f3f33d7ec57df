from __future__ import annotations

import json

import pytest

from airflow_provider_dataflow.client.logs import cursor as log_cursor
from airflow_provider_dataflow.client.logs.cursor import MAX_PAUSE, MIN_PAUSE, LogCursor, LogShrunk, Pace
from airflow_provider_dataflow.models.run import RunLog

STDOUT = RunLog("spark_application_stdout.log.gz", "APPLICATION", "STDOUT")
HEAD, TAIL, LINE = 100, 40, 20


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(log_cursor, "HEAD_BYTES", HEAD)
    monkeypatch.setattr(log_cursor, "TAIL_BYTES", TAIL)
    monkeypatch.setattr(log_cursor, "MAX_LINE_BYTES", LINE)


def read(cursor: LogCursor, content: bytes, *, final: bool = False, chunk: int = 7) -> list[str]:
    reading = cursor.read(STDOUT, final=final)
    lines = []
    for start in range(0, len(content), chunk):
        if not reading.wants_more:
            break
        lines += reading.feed(content[start : start + chunk])
    return lines + reading.finish()


@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_only_what_is_new_is_given_and_only_whole_lines(chunk):
    cursor = LogCursor()
    assert read(cursor, b"", chunk=chunk) == []
    assert read(cursor, b"one\ntw", chunk=chunk) == ["one"]
    assert cursor.as_dict() == {STDOUT.name: 4}
    assert read(cursor, b"one\ntw", chunk=chunk) == []
    assert read(cursor, b"one\ntwo\r\n\nthree", chunk=chunk) == ["two", ""]
    assert read(cursor, b"one\ntwo\r\n\nthree", final=True, chunk=chunk) == ["three"]
    assert read(cursor, b"one\ntwo\r\n\nthree", final=True, chunk=chunk) == []


def test_another_process_goes_on_where_this_one_was():
    cursor = LogCursor()
    read(cursor, b"one\ntwo\n")
    kept = json.loads(json.dumps(cursor.as_dict()))
    assert read(LogCursor(kept), b"one\ntwo\nthree\n") == ["three"]


@pytest.mark.parametrize("fails_after", range(0, 18, 3))
def test_a_log_that_breaks_off_is_gone_on_with(fails_after):
    content = b"one\ntwo\nthree\nfour\n"
    cursor = LogCursor()
    reading = cursor.read(STDOUT)
    lines = reading.feed(content[:fails_after])  # and no finish
    assert lines + read(cursor, content) == ["one", "two", "three", "four"]


def test_a_log_that_shrinks_is_another_one():
    cursor = LogCursor({STDOUT.name: 50})
    with pytest.raises(LogShrunk):
        read(cursor, b"new\n")
    assert read(cursor, b"new\n") == ["new"]


def test_odd_bytes():
    assert read(LogCursor(), b"\xff\xfe\na\0b\n\xc3", final=True) == ["\ufffd\ufffd", "ab", "\ufffd"]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_a_long_line_comes_in_pieces_but_not_of_characters(chunk):
    line = "\u00fc" * 25  # two bytes each
    pieces = read(LogCursor(), f"x{line}\nend\n".encode(), chunk=chunk)
    assert "".join(pieces[:-1]) == f"x{line}"
    assert pieces[-1] == "end"
    assert all(len(piece.encode()) <= LINE for piece in pieces)
    assert read(LogCursor(), b"\x80" * 50, final=True) == ["\ufffd" * 20, "\ufffd" * 20, "\ufffd" * 10]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_while_it_grows_a_log_is_copied_up_to_a_limit(chunk):
    content = b"".join(b"line %04d\n" % n for n in range(100))
    cursor = LogCursor()
    lines = read(cursor, content[:50], chunk=chunk)
    assert lines == [f"line {n:04d}" for n in range(5)]
    lines = read(cursor, content, chunk=chunk)
    assert lines == [
        *(f"line {n:04d}" for n in range(5, 10)),
        "... more of spark_application_stdout.log.gz follows when the run has ended ...",
    ]
    assert cursor.as_dict() == {STDOUT.name: HEAD}
    assert cursor.due([STDOUT]) == []
    assert cursor.due([STDOUT], final=True) == [STDOUT]
    lines = read(cursor, content, final=True, chunk=chunk)
    assert lines == [
        "... 870 bytes of spark_application_stdout.log.gz are left out ...",
        *(f"line {n:04d}" for n in range(97, 100)),
    ]
    assert cursor.as_dict() == {STDOUT.name: len(content)}
    assert read(cursor, content, final=True, chunk=chunk) == []


def test_no_more_is_fetched_than_is_copied_while_the_log_grows():
    reading = LogCursor().read(STDOUT)
    assert reading.wants_more
    reading.feed(b"x" * HEAD)
    assert not reading.wants_more


@pytest.mark.parametrize("size", range(HEAD - 15, HEAD + TAIL + 35, 5))
@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("before", [0, 30, HEAD, HEAD + 10])
def test_at_the_end_nothing_is_missing_that_is_not_said_to_be(size, chunk, before):
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


def test_which_logs_are_read():
    driver = [log("spark_driver_stderr_2"), log("spark_driver_stderr_1")]
    executor = [log("spark_executor_stderr_1")]
    application = [log("spark_application_stderr"), log("spark_application_stdout")]
    cursor = LogCursor()
    assert [entry.name for entry in cursor.due(driver + executor)] == [
        "spark_driver_stderr_1",
        "spark_driver_stderr_2",
    ]
    assert [entry.name for entry in cursor.due(driver + executor + application)] == [
        "spark_application_stdout",
        "spark_application_stderr",
    ]
    assert cursor.due([]) == []


def test_a_log_is_read_again_only_if_its_size_has_changed():
    cursor = LogCursor()

    def is_due(size: int | None, **kwargs: bool) -> bool:
        return bool(cursor.due([log("spark_application_stdout", size)], **kwargs))

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


def test_looks_become_rare_where_there_is_nothing_to_see_or_where_they_cost():
    pace = Pace()
    pauses = [pace.after(None) for _ in range(20)]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (MIN_PAUSE * 1.5, MAX_PAUSE)
    assert pace.after(100) == MIN_PAUSE
    assert MIN_PAUSE < pace.after(2 * 1024 * 1024) < MAX_PAUSE
    assert pace.after(10**9) == MAX_PAUSE
