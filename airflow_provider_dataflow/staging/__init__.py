"""Upload of local code and of its dependencies to Object Storage, from where Spark reads them."""
