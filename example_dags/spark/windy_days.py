"""Write the windiest days of each airport in one month.

    windy_days.py --input oci://bucket@namespace/nyc_weather/2013-01.csv
                  --output oci://bucket@namespace/windy_days/month=2013-01/ --days 3

The package ``weather_helpers`` comes along by ``--py-files``, the file ``limits.json`` by ``--files``, and
``texttable`` in an archive of dependencies.
"""

from __future__ import annotations

import argparse
import json

from pyspark import SparkFiles
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as f
from texttable import Texttable
from weather_helpers.readings import read_readings


def main() -> None:
    """Run the application with the arguments of the run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--input", required=True, help="CSV of one month")
    parser.add_argument("--output", required=True, help="folder of that month; overwritten")
    parser.add_argument("--days", type=int, default=3, help="days per airport")
    args = parser.parse_args()

    spark = SparkSession.builder.appName("windy_days").getOrCreate()
    with open(SparkFiles.get("limits.json"), encoding="utf-8") as file:
        limits = json.load(file)
    readings = read_readings(spark, args.input, limits["max_wind_mph"])
    daily = readings.groupBy("airport", "day").agg(f.round(f.avg("wind_mph"), 1).alias("wind_mph"))
    rank = f.row_number().over(Window.partitionBy("airport").orderBy(f.desc("wind_mph"), "day"))
    windiest = daily.withColumn("rank", rank).where(f.col("rank") <= args.days).orderBy("airport", "rank")
    windiest.coalesce(1).write.mode("overwrite").csv(args.output, header=True)
    table = Texttable(max_width=0)
    table.add_rows([windiest.columns, *windiest.collect()])
    print(table.draw())
    spark.stop()


if __name__ == "__main__":
    main()
