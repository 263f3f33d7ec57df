from __future__ import annotations

import re
from datetime import date, timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from airflow_provider_dataflow.cost.page import (
    MAX_DAGS,
    content_security_policy,
    message_page,
    usage_page,
)
from airflow_provider_dataflow.cost.recorded import Report, Totals

HOSTILE = "<script>alert(1)</script>\"'&x=1"


def totals(runs: int = 1, **fields: object) -> Totals:
    return Totals(runs=runs, **{"seconds": 1800.0, "ocpu_hours": 2.5, "gb_hours": 40.0, **fields})


def report(total: Totals | None = None, **by_dag: Totals) -> Report:
    total = total or totals(costs={"EUR": 0.5})
    days = {date(2026, 3, 1) + timedelta(days=number): Totals() for number in range(30)}
    days[date(2026, 3, 5)] = total
    days[date(2026, 3, 6)] = Totals(runs=1, ocpu_hours=total.ocpu_hours / 2)
    return Report(total, by_dag or {"weather": total}, days)


def texts(page: str) -> list[str]:
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_data = lambda data: found.append(data.strip())  # type: ignore[method-assign]
    parser.feed(page)
    return [text for text in found if text]


def rects(page: str) -> list[ElementTree.Element]:
    svg = re.search(r"<svg.*?</svg>", page, re.DOTALL)
    assert svg
    return ElementTree.fromstring(svg[0]).findall("rect")


def test_page_shows_totals_dags_and_days():
    shown = texts(usage_page(report(), 30, None))
    for expected in (
        "weather",
        "2.50",
        "40.00",
        "0.5000 EUR",
        "Highest day: 0.5000 EUR",
        "30.0 min",
        "2026-03-05",
        "2026-03-06",
    ):
        assert expected in shown
    # Days without runs are in the chart only.
    assert "2026-03-07" not in shown


def test_chart_has_a_bar_for_each_day():
    bars = rects(usage_page(report(), 30, None))
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert len(bars) == 30
    assert max(heights) == heights[4] == 160
    assert sum(height > 0 for height in heights) == 1
    assert bars[4].findtext("title") == "2026-03-05: 0.5000 EUR, 1 runs"


@pytest.mark.parametrize("costs", [{}, {"EUR": 1.0, "USD": 1.0}])
def test_chart_shows_ocpu_hours_unless_there_is_one_currency(costs):
    page = usage_page(report(totals(costs=costs)), 30, None)
    assert "OCPU hours per day" in texts(page)
    bars = rects(page)
    assert (float(bars[4].attrib["height"]), float(bars[5].attrib["height"])) == (160, 80)
    assert "2.50 OCPU hours" in (bars[4].findtext("title") or "")


def test_gaps_and_upper_bounds_are_shown():
    total = totals(5, costs={"EUR": 1.0, "USD": 2.0}, unknown_gb=3, unknown_cost=2, at_most=1)
    shown = texts(usage_page(report(total), 30, None))
    for expected in ("≤ 2.50", "≤ 1.00 EUR + 2.00 USD", "without 3", "without 2"):
        assert expected in shown


def test_names_are_escaped():
    total = totals(costs={HOSTILE: 1.0})
    page = usage_page(report(total, **{HOSTILE: total}), 30, HOSTILE)
    assert "<script" not in page
    assert f"1.00 {HOSTILE}" in "".join(texts(page))
    assert HOSTILE in texts(page)
    for href in re.findall(r'href="([^"]*)"', page):
        assert re.fullmatch(r"data:,|\?days=\d+(&amp;dag_id=[\w%.+-]+)?", href)


def test_links_keep_period_and_dag():
    page = usage_page(report(), 7, "a b")
    assert 'href="?days=30&amp;dag_id=a+b"' in page
    assert 'href="?days=7&amp;dag_id=weather"' in page
    assert 'href="?days=7"' in page


def test_dags_are_sorted_and_limited():
    by_dag = {f"dag{number:03}": totals(ocpu_hours=float(number)) for number in range(MAX_DAGS + 5)}
    shown = texts(usage_page(report(totals(), **by_dag), 30, None))
    names = [text for text in shown if re.fullmatch(r"dag\d{3}", text)]
    assert (names[0], names[-1], len(names)) == ("dag204", "dag005", MAX_DAGS)
    assert any("5 more DAGs" in text for text in shown)


def test_empty_and_cut_reports_say_so():
    empty = Report(by_day={date(2026, 3, 1): Totals()})
    assert "No task has recorded the usage of a run in this period." in texts(usage_page(empty, 30, None))
    cut = report()
    cut.is_cut = True
    assert any("Only the newest 20,000 runs" in text for text in texts(usage_page(cut, 30, None)))


def test_pages_load_nothing_and_have_no_script():
    page = usage_page(report(), 30, None)
    assert not re.search(r"<script|<link rel=\"(?!icon)|src=|@import|url\(", page)
    assert "default-src 'none'" in content_security_policy()


def test_message_is_escaped_and_has_the_script_only_where_it_is_needed():
    page = message_page(HOSTILE, HOSTILE, sign_in=f"x?next={HOSTILE}")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 4
    assert "localStorage" in message_page("x", "y", script=True)
