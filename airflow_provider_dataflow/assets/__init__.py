"""Assets whose URI names objects of OCI Object Storage, and what their events tell of a run."""
