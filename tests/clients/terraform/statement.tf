# A statement in a session.

variable "run_id" { type = string }

variable "code" {
  type    = string
  default = "print(6 * 7)"
}

resource "oci_dataflow_run_statement" "answer" {
  run_id = var.run_id
  code   = var.code
}

data "oci_dataflow_run_statement" "answer" {
  run_id       = var.run_id
  statement_id = element(split("/", oci_dataflow_run_statement.answer.id), 3)
}

data "oci_dataflow_run_statements" "found" {
  run_id     = var.run_id
  depends_on = [oci_dataflow_run_statement.answer]
}

output "answer" {
  value = oci_dataflow_run_statement.answer.output[0].data[0].value
}
