"""Supervisor process of one run: starts its command, and ends all of its processes.

A script that uses only the standard library: ``supervisor.py EXIT_FILE GRACE STDOUT STDERR COMMAND``.

- Its stdin is a pipe whose write end exists only in the server. A line means cancel. End of file means that
  the server died, even if it was killed with SIGKILL.
- It is a child subreaper: it becomes the parent of every orphan below it, also of a daemon that called
  ``setsid``.
- It ends when ``waitpid`` fails with ECHILD, because only that proves that no child is left. The scan of
  /proc only selects the processes to kill.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import selectors
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

REASON_EXIT = "exit"
REASON_CANCEL = "cancel"
REASON_SERVER_DIED = "server-died"
REASON_SIGNAL = "sigterm"


def _prctl(option: int, value: int) -> None:
    """Call ``prctl``. Elsewhere than on Linux, the server kills what is left by the marker of the run."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _spawn(command: list[str], stdout: str, stderr: str) -> int:
    """Start the command in its own process group. The kernel kills it if the supervisor dies."""
    supervisor = os.getpid()
    pid = os.fork()
    if pid:
        with contextlib.suppress(OSError):  # the child also does so; whichever runs first
            os.setpgid(pid, pid)
        return pid
    try:
        os.setpgid(0, 0)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:  # the supervisor died between fork and prctl
            os._exit(127)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(stdout, append, 0o600), 1)
        os.dup2(os.open(stderr, append, 0o600), 2)
        os.execvp(command[0], command)  # noqa: S606 - no shell is the point
    except OSError as e:
        os.write(2, f"cannot start {command[0]}: {e}\n".encode())
    os._exit(127)


def _parents() -> dict[int, int]:
    """Return the parent pid of each process, by pid."""
    parents = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as f:
                # "pid (comm) state ppid": comm may hold spaces and parentheses
                parents[int(name)] = int(f.read().rpartition(b")")[2].split()[1])
    return parents


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    todo = [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


class Supervisor:
    def __init__(self, grace: float) -> None:
        self.grace = grace
        self.main = -1
        self.status: int | None = None  # exit code of the main process
        self.no_child_left = False

    def reap(self) -> None:
        """Collect the exit codes of ended children, without waiting."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.no_child_left = True
                return
            if not pid:
                return
            if pid == self.main:
                self.status = os.waitstatus_to_exitcode(status)

    def run(self, command: list[str], stdout: str, stderr: str) -> str:
        """Run the command until it ends, or until cancel, signal or the server's death. Return the reason."""
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.main = _spawn(command, stdout, stderr)
        reason = self._wait(wake_read)
        if reason in (REASON_CANCEL, REASON_SIGNAL):
            self._ask_to_end(wake_read)
        self._kill_all()
        return reason

    def _wait(self, wakeup: int) -> str:
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == 0:
                        return REASON_CANCEL if os.read(0, 4096) else REASON_SERVER_DIED
                    signals = os.read(wakeup, 4096)
                    if signal.SIGTERM in signals or signal.SIGINT in signals:
                        return REASON_SIGNAL
                    self.reap()
                    if self.status is not None:
                        return REASON_EXIT

    def _ask_to_end(self, wakeup: int) -> None:
        """Send SIGTERM and wait up to ``grace`` seconds, in which Spark deletes its temporary files."""
        self._signal_group(signal.SIGTERM)
        deadline = time.monotonic() + self.grace
        with selectors.DefaultSelector() as selector:
            selector.register(wakeup, selectors.EVENT_READ)
            selector.register(0, selectors.EVENT_READ)
            while self.status is None and (left := deadline - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    if key.fd == 0 and not os.read(0, 4096):
                        return  # the server died: kill at once
                    if key.fd == wakeup:
                        os.read(wakeup, 4096)
                self.reap()

    def _kill_all(self) -> None:
        self.reap()
        while not self.no_child_left:
            self._signal_group(signal.SIGKILL)
            for pid in _descendants():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self.reap()
            if not self.no_child_left:
                time.sleep(0.01)

    def _signal_group(self, number: int) -> None:
        if self.status is None:  # the pid of a reaped process may have been reused
            with contextlib.suppress(OSError):
                os.killpg(self.main, number)


def main(argv: list[str]) -> int:
    exit_file, grace, stdout, stderr, *command = argv
    supervisor = Supervisor(float(grace))
    reason = supervisor.run(command, stdout, stderr)
    temporary = f"{exit_file}.{os.getpid()}"
    with open(temporary, "w") as f:
        json.dump({"rc": supervisor.status, "reason": reason}, f)
    os.replace(temporary, exit_file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
