# A private endpoint with every argument.

variable "subnet_id" { type = string }
variable "nsg_id" { type = string }

variable "changed" {
  type    = bool
  default = false
}

locals {
  suffix = var.changed ? "-2" : ""
}

resource "oci_dataflow_private_endpoint" "database" {
  compartment_id = var.compartment_id
  subnet_id      = var.subnet_id
  dns_zones      = ["db${local.suffix}.example.com"]
  display_name   = "database${local.suffix}"
  description    = "the database${local.suffix}"
  max_host_count = var.changed ? 512 : 256
  nsg_ids        = var.changed ? [] : [var.nsg_id]
  freeform_tags  = { department = "finance${local.suffix}" }
  defined_tags   = { "Operations.CostCenter" = "42${local.suffix}" }

  scan_details {
    fqdn = "scan${local.suffix}.example.com"
    port = "1521"
  }
}

data "oci_dataflow_private_endpoint" "database" {
  private_endpoint_id = oci_dataflow_private_endpoint.database.id
}

data "oci_dataflow_private_endpoints" "found" {
  compartment_id = var.compartment_id
  display_name   = oci_dataflow_private_endpoint.database.display_name
}
