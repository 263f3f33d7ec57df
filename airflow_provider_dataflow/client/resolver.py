"""DNS look-ups in threads of their own."""

from __future__ import annotations

import socket
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from airflow_provider_dataflow.client.threads import in_look_up_thread


class ThreadResolver(AbstractResolver):
    """Looks up host names in threads of this package.

    aiohttp's resolver takes a thread of the event loop's default pool for each look-up. That pool has about
    six threads, with which a triggerer also writes its log: a slow name server would block all triggers.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host.

        :raises OSError: the host is unknown, or the name server does not respond.
        """
        flags = socket.AI_ADDRCONFIG
        found = await in_look_up_thread(
            partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, flags)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=int(address[1]),
                family=family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Do nothing: the threads belong to the process."""
