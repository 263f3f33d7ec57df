"""Assets whose URI names objects of OCI Object Storage, and the description of a run in their events."""
