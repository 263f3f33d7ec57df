# An application with every argument. Each variable changes one group of updatable arguments.

variable "metastore_id" { type = string }
variable "log_group_id" { type = string }
variable "log_id" { type = string }
variable "pool_id" { type = string }
variable "private_endpoint_id" { type = string }

variable "changed" {
  type    = bool
  default = false
}

variable "type" {
  type    = string
  default = "BATCH"
}

locals {
  suffix = var.changed ? "-2" : ""
  number = var.changed ? 2 : 1
}

resource "oci_dataflow_application" "report" {
  compartment_id          = var.compartment_id
  display_name            = "report${local.suffix}"
  description             = "a report${local.suffix}"
  language                = "PYTHON"
  spark_version           = var.changed ? "3.2.1" : "3.5.0"
  file_uri                = "oci://code@ns/report${local.suffix}.py"
  archive_uri             = "oci://code@ns/archive${local.suffix}.zip"
  arguments               = ["--day", "$${day}", "step${local.suffix}"]
  type                    = var.type
  driver_shape            = "VM.Standard.E4.Flex"
  executor_shape          = "VM.Standard.E4.Flex"
  num_executors           = local.number
  idle_timeout_in_minutes = 60 * local.number
  max_duration_in_minutes = 120 * local.number
  logs_bucket_uri         = "oci://logs${local.suffix}@ns/"
  warehouse_bucket_uri    = "oci://warehouse${local.suffix}@ns/"
  metastore_id            = var.metastore_id
  pool_id                 = var.pool_id
  private_endpoint_id     = var.private_endpoint_id
  configuration           = { "spark.app.step" = "step${local.suffix}" }
  freeform_tags           = { department = "finance${local.suffix}" }
  defined_tags            = { "Operations.CostCenter" = "42${local.suffix}" }

  driver_shape_config {
    ocpus         = local.number
    memory_in_gbs = 16 * local.number
  }
  executor_shape_config {
    ocpus         = local.number
    memory_in_gbs = 16 * local.number
  }
  application_log_config {
    log_group_id = var.log_group_id
    log_id       = var.log_id
  }
  parameters {
    name  = "day"
    value = "2026-01-0${local.number}"
  }
}

# Arguments that exclude those above: the main file of a JVM language, and execute.
resource "oci_dataflow_application" "jvm" {
  compartment_id             = var.compartment_id
  display_name               = "jvm"
  language                   = "SCALA"
  class_name                 = "example.Main${var.changed ? "2" : ""}"
  file_uri                   = "oci://code@ns/app.jar"
  spark_version              = "3.5.0"
  driver_shape               = "VM.Standard2.1"
  executor_shape             = "VM.Standard2.1"
  num_executors              = 1
  terminate_runs_on_deletion = true
}

resource "oci_dataflow_application" "executed" {
  compartment_id = var.compartment_id
  display_name   = "executed"
  language       = "PYTHON"
  execute        = "--conf spark.app.step=step${local.suffix} oci://code@ns/report.py"
  spark_version  = "3.5.0"
  driver_shape   = "VM.Standard2.1"
  executor_shape = "VM.Standard2.1"
  num_executors  = 1
}

data "oci_dataflow_application" "report" {
  application_id = oci_dataflow_application.report.id
}

data "oci_dataflow_applications" "found" {
  compartment_id = var.compartment_id
  display_name   = oci_dataflow_application.report.display_name
}
