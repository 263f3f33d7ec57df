"""Uses all that a run can bring along, and says as JSON what it found."""

import json
import os
import sys
import time
from pathlib import Path

import archived
import beside
import packed
from pyspark import SparkFiles
from pyspark.sql import SparkSession

source, target, gate, month = sys.argv[1:5]
spark = SparkSession.builder.getOrCreate()
conf = spark.sparkContext.getConf()
table = spark.read.option("header", True).csv(source)
table.write.parquet(f"{target}parquet")
table.write.option("header", True).csv(f"{target}csv")
table.write.saveAsTable("totals")
in_workers = (
    spark.sparkContext.parallelize([0], 1)
    .map(lambda _: (packed.NAME, archived.NAME, os.environ["WHERE"]))
    .first()
)
found = {
    "modules": [beside.NAME, packed.NAME, archived.NAME],
    "in_workers": in_workers,
    "where": os.environ["WHERE"],
    "file": [
        Path(SparkFiles.get("settings.json")).read_text(),
        Path("settings.json").read_text(),
        Path("renamed").read_text(),
    ],
    "archive": [
        Path(SparkFiles.getRootDirectory(), "deps/in.txt").read_text(),
        Path("deps/in.txt").read_text(),
    ],
    "jars": [
        spark._jvm.demo.Demo.twice(21),
        spark._jvm.java.lang.Thread.currentThread().getContextClassLoader().getResource("in-archive.txt")
        is not None,
    ],
    "conf": {k: conf.get(k) for k in ("spark.a", "spark.b", "spark.master", "spark.app.name")},
    "month": month,
    "table": spark.sql("DESCRIBE FORMATTED totals").where("col_name = 'Location'").first()["data_type"],
    "rows": spark.table("totals").count(),
    "variables": sorted(k for k in os.environ if "AIRFLOW" in k or "OCI" in k),
}
print(json.dumps(found), flush=True)
while not Path(gate).exists():
    time.sleep(0.05)
