"""Operations of the API below ``/20200129``, one module per kind of resource, and those below ``/_local``."""
