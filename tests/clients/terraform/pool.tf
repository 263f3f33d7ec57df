# A pool with schedules, which stays SCHEDULED, and one without, which becomes ACTIVE.

variable "changed" {
  type    = bool
  default = false
}

locals {
  suffix = var.changed ? "-2" : ""
  number = var.changed ? 2 : 1
}

resource "oci_dataflow_pool" "scheduled" {
  compartment_id          = var.compartment_id
  display_name            = "scheduled${local.suffix}"
  description             = "a pool${local.suffix}"
  idle_timeout_in_minutes = 10 * local.number
  freeform_tags           = { department = "finance${local.suffix}" }
  defined_tags            = { "Operations.CostCenter" = "42${local.suffix}" }

  configurations {
    shape = "VM.Standard.E4.Flex"
    min   = 0
    max   = 3 * local.number

    shape_config {
      ocpus         = local.number
      memory_in_gbs = 16 * local.number
    }
  }
  schedules {
    day_of_week = var.changed ? "TUESDAY" : "MONDAY"
    start_time  = 7 + local.number
    stop_time   = 17 + local.number
  }
}

resource "oci_dataflow_pool" "active" {
  compartment_id = var.compartment_id
  display_name   = "active${local.suffix}"

  configurations {
    shape = "VM.Standard2.1"
    min   = 1
    max   = 2
  }
}

data "oci_dataflow_pool" "scheduled" {
  pool_id = oci_dataflow_pool.scheduled.id
}

data "oci_dataflow_pools" "found" {
  compartment_id = var.compartment_id
  display_name   = oci_dataflow_pool.scheduled.display_name
}
