from __future__ import annotations

import pytest

from airflow_provider_dataflow.local.http.messages import ApiError
from airflow_provider_dataflow.local.state.store import RUNS, Filter, Record, Store


def run(number: int, **fields) -> Record:
    body = {
        "id": f"ocid1.dataflowrun.oc1.iad.{number:020}",
        "compartmentId": "c",
        "lifecycleState": "ACCEPTED",
        "displayName": f"run {number}",
        "timeCreated": f"2026-01-01T00:00:{number:02}.000Z",
    }
    return Record(body | fields)


def test_stored_records_are_returned(tmp_path):
    path = tmp_path / "state"
    store = Store(path)
    record = run(1, displayName="é")
    record.internal["x"] = [1]
    store.insert(RUNS, record)
    etag = record.etag
    record.body["lifecycleState"] = "FAILED"
    store.update(RUNS, record)
    assert record.etag != etag
    store.add_state(record.id, "FAILED", 1.5, "why")
    store.close()

    again = Store(path)
    assert again.get(RUNS, record.id) == record
    assert again.states(record.id) == [("FAILED", 1.5, "why")]
    assert again.count(RUNS, [Filter("state", "=", "FAILED")]) == 1
    assert again.get(RUNS, "other") is None


def test_transaction_is_all_or_nothing():
    store = Store()

    def insert_and_fail() -> None:
        with store.transaction():
            store.insert(RUNS, run(1))
            with store.transaction():
                store.insert(RUNS, run(2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()
    assert store.select(RUNS) == []


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("sort_by", ["time_created", "display_name", "total_ocpu", "duration"])
def test_pages_contain_every_record_once(descending, sort_by):
    store = Store()
    for number in range(10):
        ocpus = None if number % 3 == 0 else number % 3
        store.insert(RUNS, run(number, totalOCpu=ocpus, displayName="abc"[number % 3]))
    seen: list[str] = []
    page = None
    while True:
        records, page = store.page(RUNS, [], sort_by, descending, 3, page)
        seen += [r.id for r in records]
        if page is None:
            break
        assert len(records) == 3
    everything, _ = store.page(RUNS, [], sort_by, descending, 100, None)
    assert seen == [r.id for r in everything]
    assert len(set(seen)) == 10


def test_new_records_do_not_shift_pages():
    store = Store()
    for number in range(4):
        store.insert(RUNS, run(number))
    first, page = store.page(RUNS, [], "time_created", True, 2, None)
    store.insert(RUNS, run(9))
    second, _ = store.page(RUNS, [], "time_created", True, 2, page)
    assert [r.id[-1] for r in first + second] == ["3", "2", "1", "0"]


@pytest.mark.parametrize("page", ["x", "", "W10=", "bnVsbA==", "WzEsMiwzXQ==", "e30=", "Wz8sMV0="])
def test_foreign_page_token_is_400(page):
    with pytest.raises(ApiError, match="page token"):
        Store().page(RUNS, [], "time_created", True, 2, page)


def test_prefix_filter_is_literal():
    store = Store()
    store.insert(RUNS, run(1, displayName="a%b"))
    store.insert(RUNS, run(2, displayName="axb"))
    assert [r.body["displayName"] for r in store.select(RUNS, [Filter("display_name", "prefix", "a%")])] == [
        "a%b"
    ]
