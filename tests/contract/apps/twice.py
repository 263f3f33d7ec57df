"""Calls a class of ``Demo.scala``, whose jar must be among the dependencies."""

from pyspark.sql import SparkSession

print(SparkSession.builder.getOrCreate()._jvm.demo.Demo.twice(21))
