# Runs with every argument, asynchronous and not.

variable "metastore_id" { type = string }
variable "log_group_id" { type = string }
variable "log_id" { type = string }
variable "pool_id" { type = string }

variable "asynchronous" {
  type    = bool
  default = true
}

variable "department" {
  type    = string
  default = "finance"
}

variable "max_duration_in_minutes" {
  type    = number
  default = 120
}

# Spark properties. With the scripted engine, they declare what happens to the run.
variable "configuration" {
  type    = map(string)
  default = {}
}

resource "oci_dataflow_application" "report" {
  compartment_id = var.compartment_id
  display_name   = "report"
  language       = "PYTHON"
  file_uri       = "oci://code@ns/report.py"
  spark_version  = "3.5.0"
  driver_shape   = "VM.Standard2.1"
  executor_shape = "VM.Standard2.1"
  num_executors  = 1
  arguments      = ["--day", "$${day}"]

  parameters {
    name  = "day"
    value = "2026-01-01"
  }
}

resource "oci_dataflow_invoke_run" "report" {
  application_id          = oci_dataflow_application.report.id
  compartment_id          = var.compartment_id
  asynchronous            = var.asynchronous
  display_name            = "a report"
  archive_uri             = "oci://code@ns/archive.zip"
  arguments               = ["--month", "$${day}"]
  type                    = "BATCH"
  driver_shape            = "VM.Standard.E4.Flex"
  executor_shape          = "VM.Standard.E4.Flex"
  num_executors           = 2
  idle_timeout_in_minutes = 60
  max_duration_in_minutes = var.max_duration_in_minutes
  logs_bucket_uri         = "oci://logs@ns/"
  warehouse_bucket_uri    = "oci://warehouse@ns/"
  metastore_id            = var.metastore_id
  opc_parent_rpt_url      = "https://example.com/parent"
  pool_id                 = var.pool_id
  configuration           = merge({ "spark.app.step" = "1" }, var.configuration)
  freeform_tags           = { department = var.department }
  defined_tags            = { "Operations.CostCenter" = "42" }

  driver_shape_config {
    ocpus         = 1
    memory_in_gbs = 16
  }
  executor_shape_config {
    ocpus         = 2
    memory_in_gbs = 32
  }
  application_log_config {
    log_group_id = var.log_group_id
    log_id       = var.log_id
  }
  parameters {
    name  = "day"
    value = "2026-01-02"
  }
}

# Arguments that exclude application_id.
resource "oci_dataflow_invoke_run" "executed" {
  compartment_id = var.compartment_id
  asynchronous   = var.asynchronous
  execute        = "oci://code@ns/report.py --day 2026-01-03"
  spark_version  = "3.5.0"
  driver_shape   = "VM.Standard2.1"
  executor_shape = "VM.Standard2.1"
  num_executors  = 1
  freeform_tags  = { department = var.department }
}

data "oci_dataflow_invoke_run" "report" {
  run_id = oci_dataflow_invoke_run.report.id
}

data "oci_dataflow_invoke_runs" "found" {
  compartment_id = var.compartment_id
  application_id = oci_dataflow_invoke_run.report.application_id
}

data "oci_dataflow_run_logs" "report" {
  run_id = oci_dataflow_invoke_run.report.id
}
