"""The operations of ``/20200129``, a module for each kind of resource."""
