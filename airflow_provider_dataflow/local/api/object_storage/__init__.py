"""Operations of Object Storage, at the paths of the real service: ``/n``, ``/p`` and ``/workRequests``."""
