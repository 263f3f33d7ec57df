# SQL endpoints with every argument, one for each kind of network.

variable "metastore_id" { type = string }
variable "log_compartment_id" { type = string }
variable "log_group_id" { type = string }
variable "subnet_id" { type = string }
variable "vcn_id" { type = string }
variable "nsg_id" { type = string }

variable "changed" {
  type    = bool
  default = false
}

locals {
  suffix = var.changed ? "-2" : ""
  number = var.changed ? 2 : 1
}

resource "oci_dataflow_sql_endpoint" "public" {
  compartment_id                = var.compartment_id
  display_name                  = "public${local.suffix}"
  description                   = "a SQL endpoint${local.suffix}"
  sql_endpoint_version          = "3.5.0"
  driver_shape                  = "VM.Standard.E4.Flex"
  executor_shape                = "VM.Standard.E4.Flex"
  min_executor_count            = local.number
  max_executor_count            = 2 * local.number
  metastore_id                  = var.metastore_id
  log_compartment_id            = var.log_compartment_id
  log_display_name              = "log"
  log_group_id                  = var.log_group_id
  log_retention_duration        = 30
  spark_advanced_configurations = { "spark.app.step" = "step${local.suffix}" }
  freeform_tags                 = { department = "finance${local.suffix}" }
  defined_tags                  = { "Operations.CostCenter" = "42${local.suffix}" }

  driver_shape_config {
    ocpus         = 1
    memory_in_gbs = 16
  }
  executor_shape_config {
    ocpus         = 2
    memory_in_gbs = 32
  }
  network_configuration {
    network_type = "SECURE_ACCESS"

    access_control_rules {
      ip_notation = "CIDR"
      value       = "10.0.0.0/16"
    }
  }
}

resource "oci_dataflow_sql_endpoint" "private" {
  compartment_id       = var.compartment_id
  display_name         = "private"
  sql_endpoint_version = "3.5.0"
  driver_shape         = "VM.Standard2.1"
  executor_shape       = "VM.Standard2.1"
  min_executor_count   = 1
  max_executor_count   = 1
  metastore_id         = var.metastore_id

  network_configuration {
    network_type     = "VCN"
    vcn_id           = var.vcn_id
    subnet_id        = var.subnet_id
    host_name_prefix = "sql"
    nsg_ids          = [var.nsg_id]
  }
}

data "oci_dataflow_sql_endpoint" "public" {
  sql_endpoint_id = oci_dataflow_sql_endpoint.public.id
}

data "oci_dataflow_sql_endpoints" "found" {
  compartment_id = var.compartment_id
  display_name   = oci_dataflow_sql_endpoint.public.display_name
}
