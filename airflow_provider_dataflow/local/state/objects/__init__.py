"""State of Object Storage: objects are files in the folders of buckets, everything else is JSON files."""
