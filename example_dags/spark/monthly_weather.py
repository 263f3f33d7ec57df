"""Aggregate one month of hourly weather into one row per airport.

    monthly_weather.py --input oci://bucket@namespace/nyc_weather/2013-01.csv
                       --output oci://bucket@namespace/monthly/month=2013-01/

A run reads one month and overwrites only the result of that month, so months can run repeatedly, in any order
and in parallel. It needs only Spark: the same file runs on OCI Data Flow and locally.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from pyspark.sql import DataFrame, SparkSession

SCHEMA = (
    "airport STRING, observed_at STRING, temp_f DOUBLE, humidity_pct DOUBLE, wind_mph DOUBLE, "
    "precip_in DOUBLE, pressure_hpa DOUBLE, visibility_mi DOUBLE"
)

# Aggregate by day first: the windiest day is the one with the highest mean, not with the strongest gust.
# The anemometer at Newark once reported 1,048 mph, so readings over 200 mph count as missing.
DAILY = """
    SELECT airport, to_date(substr(observed_at, 1, 10)) AS day, count(*) AS hours,
           sum(temp_f) AS temp_sum, count(temp_f) AS temp_count,
           min(temp_f) AS temp_min, max(temp_f) AS temp_max,
           sum(precip_in) AS precip, avg(CASE WHEN wind_mph <= 200 THEN wind_mph END) AS wind
    FROM hourly GROUP BY airport, day
"""
MONTHLY = """
    SELECT airport, sum(hours) AS hours, round(sum(temp_sum) / sum(temp_count), 1) AS mean_temp_f,
           round(min(temp_min), 1) AS min_temp_f, round(max(temp_max), 1) AS max_temp_f,
           round(sum(precip), 2) AS precip_in, max_by(day, precip) AS wettest_day,
           max_by(day, wind) AS windiest_day, round(max(wind), 1) AS windiest_day_mph
    FROM daily GROUP BY airport ORDER BY airport
"""

log = logging.getLogger("monthly_weather")


def summarize(spark: SparkSession, source: str) -> DataFrame:
    """Return one row per airport for the hours in ``source``."""
    spark.read.csv(source, schema=SCHEMA, header=True).createOrReplaceTempView("hourly")
    spark.sql(DAILY).createOrReplaceTempView("daily")
    return spark.sql(MONTHLY)


def main(argv: list[str] | None = None) -> None:
    """Run the application with the arguments of the run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--input", required=True, help="CSV of one month")
    parser.add_argument("--output", required=True, help="folder of that month; overwritten")
    parser.add_argument("--format", default="csv", choices=["csv", "json", "parquet"])
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("py4j").setLevel(logging.WARNING)

    started = time.monotonic()
    spark = SparkSession.builder.appName("monthly_weather").getOrCreate()
    log.info("Spark %s reads %s", spark.version, args.input)
    # Write one small file instead of one per partition.
    result = summarize(spark, args.input).coalesce(1).cache()
    rows = result.collect()
    if not rows:
        raise SystemExit(f"no observations in {args.input}")
    result.write.mode("overwrite").format(args.format).options(header=True).save(args.output)
    print(f"Weather of {args.input.rpartition('/')[2]} per airport")
    result.show(truncate=False)
    hours, seconds = sum(row["hours"] for row in rows), time.monotonic() - started
    log.info("%d hours of %d airports written to %s in %.1f s", hours, len(rows), args.output, seconds)
    spark.stop()


if __name__ == "__main__":
    main()
