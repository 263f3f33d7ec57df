package demo

import org.apache.spark.sql.SparkSession

object Demo {
  def twice(n: Int): Int = 2 * n

  def main(args: Array[String]): Unit = {
    if (args(0) == "fail") throw new IllegalStateException("no such month: " + args(1))
    val spark = SparkSession.builder.getOrCreate()
    spark.range(twice(args(0).toInt)).write.parquet(args(1))
    println(spark.read.parquet(args(1)).count() + " rows")
    println(Seq("a", "b", "c").map(k => spark.conf.get("spark." + k)).mkString(" "))
    spark.stop()
  }
}
