"""Client of OCI Object Storage, with the sign-in, retries and errors of the client of Data Flow."""
