"""Script that forks servers and kills them, so that each start takes no time for imports.

For each line ``start`` on stdin it forks a server and prints its pid. For each line ``kill`` it kills the
server and prints ``killed``. Its arguments are those of ``dataflow-local``. It ends with its stdin.
"""

from __future__ import annotations

import os
import signal
import sys

from airflow_provider_dataflow.local.cli import command_line as cli
from airflow_provider_dataflow.local.http import server

assert server.serve  # imported before the fork, so that the servers need not do so


def start(arguments: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    cli.main(arguments)
    os._exit(0)


def main() -> None:
    pid = 0
    for line in sys.stdin:
        if line == "start\n":
            pid = start(sys.argv[1:])
            print(pid, flush=True)
        elif pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pid = 0
            print("killed", flush=True)
    if pid:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
