"""HTTP layer of Local Data Flow: requests and responses, signatures, faults, and the server process."""
