"""Spark application of the training run: uses the common features, so that their classes are loaded."""

from __future__ import annotations

import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType


def main(folder: str) -> None:
    spark = SparkSession.builder.getOrCreate()
    source = spark.range(1000).select(
        (F.col("id") % 7).alias("key"),
        F.col("id").cast("string").alias("text"),
        (F.col("id") * 1.5).alias("number"),
    )
    source.write.mode("overwrite").option("header", True).csv(f"{folder}/csv")
    table = spark.read.option("header", True).option("inferSchema", True).csv(f"{folder}/csv")
    table.write.mode("overwrite").partitionBy("key").parquet(f"{folder}/parquet")
    parquet = spark.read.parquet(f"{folder}/parquet").where("key = 3")
    names = table.select("key", F.upper(F.col("text").cast("string")).alias("name")).distinct()
    joined = parquet.join(names, "key").groupBy("key")
    joined.agg(F.sum("number"), F.countDistinct("name"), F.avg("number")).orderBy("key").collect()
    parquet.createOrReplaceTempView("t")
    spark.sql("select key, count(*) n, max(text) m from t group by key having n > 1").show()
    table.write.mode("overwrite").json(f"{folder}/json")
    length = F.udf(len, LongType())
    table.select(length(F.col("text").cast("string")).alias("length")).agg(F.max("length")).collect()
    spark.sparkContext.parallelize(range(10), 2).map(str).collect()
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
