"""HTML of the page: totals, a chart of the days, and tables per DAG and per day. Without scripts."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_dataflow.cost.recorded import MAX_RECORDS
from airflow_provider_dataflow.models.usage import money

if TYPE_CHECKING:
    from jinja2 import Template

    from airflow_provider_dataflow.cost.recorded import Report, Totals

PERIODS = (7, 30, 90)
DEFAULT_PERIOD = 30
#: DAGs in the table; the others are summed up by the total.
MAX_DAGS = 200
CHART_WIDTH, CHART_HEIGHT = 900, 160

#: On Airflow 3.0, the browser has the token not in a cookie but in its storage, from where the UI takes it.
SIGN_IN_SCRIPT = (
    'const token = localStorage.getItem("token");'
    'const headers = {Authorization: "Bearer " + token};'
    "if (token) fetch(location.href, {headers}).then(async (response) => {"
    "if (response.ok) { const page = await response.text();"
    "document.open(); document.write(page); document.close(); }});"
)


@dataclass(frozen=True)
class Bar:
    """Bar of the chart, in the chart's units."""

    x: float
    y: float
    width: float
    height: float
    title: str


def usage_page(report: Report, days: int, dag_id: str | None) -> str:
    """Return the page of a report.

    :param days: of the report.
    :param dag_id: the DAG that the report is restricted to.
    """
    currency = _only_currency(report)
    dags = sorted(report.by_dag.items(), key=lambda item: _order(item[0], item[1], currency))
    used = [(day, totals) for day, totals in reversed(report.by_day.items()) if totals.runs]
    unit, bars, peak = _chart(report)
    return _template().render(
        title="Data Flow usage and cost",
        style=STYLE,
        periods=PERIODS,
        days=days,
        dag_id=dag_id,
        total=_row("", report.total),
        dags=[_row(name, totals) for name, totals in islice(dags, MAX_DAGS)],
        dags_left_out=max(len(dags) - MAX_DAGS, 0),
        by_day=[_row(str(day), totals) for day, totals in used],
        unit=unit,
        bars=bars,
        peak=peak,
        first=min(report.by_day),
        last=max(report.by_day),
        chart_width=CHART_WIDTH,
        chart_height=CHART_HEIGHT,
        is_cut=report.is_cut,
        max_records=f"{MAX_RECORDS:,}",
    )


def message_page(title: str, message: str, *, sign_in: str | None = None, script: bool = False) -> str:
    """Return a page that says why there is no report.

    :param sign_in: URL to sign in.
    :param script: try again with the token in the browser's storage.
    """
    return _template().render(
        title=title, style=STYLE, message=message, sign_in=sign_in, script=SIGN_IN_SCRIPT if script else None
    )


def content_security_policy() -> str:
    """Return the policy of all pages: their own style, and the one script. Nothing is loaded."""
    return (
        f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SIGN_IN_SCRIPT)}'; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )


def _row(name: str, totals: Totals) -> dict[str, Any]:
    most = "≤ " if totals.at_most else ""
    costs = " + ".join(money(amount, currency) for currency, amount in sorted(totals.costs.items()))
    return {
        "name": name,
        "runs": f"{totals.runs:,}",
        "time": _duration(totals.seconds),
        "ocpu_hours": f"{most}{totals.ocpu_hours:,.2f}",
        "gb_hours": f"{most}{totals.gb_hours:,.2f}",
        "cost": f"{most}{costs}" if costs else "",
        # Runs without any price are no gap in a sum.
        "unknown_cost": totals.unknown_cost if costs else 0,
        "unknown_ocpu": totals.unknown_ocpu,
        "unknown_gb": totals.unknown_gb,
    }


def _order(name: str, totals: Totals, currency: str | None) -> tuple[float, float, str]:
    """Return what DAGs are sorted by: the cost if the chart shows it, and the OCPU hours."""
    cost = totals.costs.get(currency, 0.0) if currency is not None else 0.0
    return -cost, -totals.ocpu_hours, name


def _only_currency(report: Report) -> str | None:
    """Return the currency of all costs; ``None`` if there is none or several."""
    currencies = list(report.total.costs)
    return currencies[0] if len(currencies) == 1 else None


def _chart(report: Report) -> tuple[str, list[Bar], str]:
    """Return what the bars show, the bars, and the highest value.

    They show the cost if it has one currency, or else OCPU hours.
    """
    currency = _only_currency(report)
    is_cost = currency is not None
    values = [
        (day, totals.costs.get(currency, 0.0) if currency is not None else totals.ocpu_hours, totals)
        for day, totals in report.by_day.items()
    ]
    most = max(value for _, value, _ in values)
    unit = "Estimated cost per day" if is_cost else "OCPU hours per day"
    shown = partial(money, currency=currency) if is_cost else "{:,.2f} OCPU hours".format
    return unit, list(_bars(values, most or 1.0, shown)), shown(most)


def _bars(
    values: Sequence[tuple[date, float, Totals]], most: float, shown: Callable[[float], str]
) -> Iterator[Bar]:
    step = CHART_WIDTH / len(values)
    for number, (day, value, totals) in enumerate(values):
        height = round(value / most * CHART_HEIGHT, 2)
        if value:
            height = max(height, 1.0)
        yield Bar(
            x=round(number * step + step * 0.1, 2),
            y=round(CHART_HEIGHT - height, 2),
            width=round(step * 0.8, 2),
            height=height,
            title=f"{day}: {shown(value)}, {totals.runs} runs",
        )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02} min" if minutes >= 60 else f"{seconds / 60:.1f} min"


@cache
def _template() -> Template:
    from jinja2 import Environment

    # Names of DAGs and currencies are input, so everything is escaped.
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    """Return the hash by which the policy allows an inline style or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
