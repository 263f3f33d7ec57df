from __future__ import annotations

import re
from pathlib import Path

from airflow_provider_dataflow.causes import RETRIES
from airflow_provider_dataflow.retries.on_cause import MAX_STEPS, SETTABLE
from tests.unit.retries.causes_table import headings, table

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "retries.md").read_text()


def test_page_has_the_table():
    assert table() in PAGE, "paste the output of python -m tests.unit.retries.causes_table"


def test_every_cause_is_explained():
    assert all(list(headings(key)) for key in RETRIES)


def test_page_names_the_arguments_that_can_be_set():
    sentence = PAGE.split("A step may set ")[1].split(".\n")[0]
    assert tuple(re.findall(r"`(\w+)`", sentence)) == SETTABLE
    assert f"at most {MAX_STEPS} steps" in " ".join(PAGE.split())
