# A run that Terraform waits for, and its output.

resource "oci_dataflow_application" "report" {
  compartment_id = var.compartment_id
  display_name   = "report"
  language       = "PYTHON"
  file_uri       = "oci://code@ns/report.py"
  spark_version  = "3.5.0"
  driver_shape   = "VM.Standard2.1"
  executor_shape = "VM.Standard2.1"
  num_executors  = 1
}

resource "oci_dataflow_invoke_run" "report" {
  application_id = oci_dataflow_application.report.id
  compartment_id = var.compartment_id
  asynchronous   = false
  arguments      = ["--day", "$${day}"]

  parameters {
    name  = "day"
    value = "2026-01-02"
  }
}

data "oci_dataflow_run_log" "report" {
  run_id = oci_dataflow_invoke_run.report.id
  name   = "spark_application_stdout.log.gz"
}
