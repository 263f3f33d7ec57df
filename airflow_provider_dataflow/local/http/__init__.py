"""HTTP: requests and responses, signatures, faults, and the server process."""
