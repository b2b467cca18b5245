"""Places for tests in a pool of hosts, which the process that controls a run lends to all its workers.

A lease is a connection to the controller: a worker that is killed gives its place back by that. Nothing of
the engine is used here.
"""

from __future__ import annotations

import json
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import attrs

_LONGEST_SOCKET: Final = 100
"""Bytes of the path of a socket; systems take 104 or 108."""


@attrs.define(eq=False, repr=False)
class Places:
    """Which places are taken, and which hosts are left out. Threads share it."""

    names: Sequence[str]
    sizes: Sequence[int]
    taken: list[int] = attrs.field(init=False)
    used: list[int] = attrs.field(init=False)
    """How many tests ran on each host."""
    left_out: dict[int, str] = attrs.field(factory=dict, init=False)
    """Hosts that have failed, and why."""
    again: list[tuple[int, str]] = attrs.field(factory=list, init=False)
    """Hosts that failed a test, and the test."""
    _changed: threading.Condition = attrs.field(factory=threading.Condition, init=False)

    def __attrs_post_init__(self) -> None:
        self.taken = [0] * len(self.sizes)
        self.used = [0] * len(self.sizes)

    def take(self, suits: Sequence[int]) -> int | None:
        """Wait for a place on one of these hosts, and take it; None if all of them are left out."""
        with self._changed:
            while usable := [host for host in suits if host not in self.left_out]:
                free = [host for host in usable if self.taken[host] < self.sizes[host]]
                if free:
                    # The one with the largest part of it free; of several, the first.
                    chosen = min(free, key=lambda host: self.taken[host] / self.sizes[host])
                    self.taken[chosen] += 1
                    self.used[chosen] += 1
                    return chosen
                self._changed.wait()
            return None

    def give(self, host: int) -> None:
        """Give a place on a host back, and wake who waits for one."""
        with self._changed:
            self.taken[host] -= 1
            self._changed.notify_all()

    def fail(self, host: int, why: str, test: str) -> None:
        """Leave a host out from now on; it failed this test."""
        with self._changed:
            self.left_out.setdefault(host, why)
            self.again.append((host, test))
            self._changed.notify_all()

    def lines(self) -> list[str]:
        """Tell how it went."""
        with self._changed:
            ran = ", ".join(f"{name} {count}" for name, count in zip(self.names, self.used, strict=True))
            lines = [f"mavryk hosts, with the number of tests that ran there: {ran}"]
            for host, why in self.left_out.items():
                lines.append(f"  {self.names[host]} failed and was left out: {why}")
                tests = [test for failed, test in self.again if failed == host]
                lines.append(f"    what it failed ran elsewhere: {', '.join(tests)}")
            return lines


class _Handler(socketserver.StreamRequestHandler):
    """One lease."""

    server: _Server

    def handle(self) -> None:
        places = self.server.places
        asked = self.rfile.readline()
        if not asked:
            return
        host = places.take(json.loads(asked)["suits"])
        try:
            self.wfile.write(json.dumps({"host": host, "left_out": list(places.left_out.items())}).encode())
            self.wfile.write(b"\n")
            for line in self.rfile:
                if host is not None:
                    places.fail(host, **json.loads(line))
                self.wfile.write(b"noted\n")
        except OSError:
            pass  # the worker is gone, as at the end of its lease
        finally:
            if host is not None:
                places.give(host)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    places: Places

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is the end of a lease, which has been given back."""


@attrs.define(eq=False, repr=False)
class Lender:
    """The places of a run, lent over a socket of Unix."""

    places: Places
    address: str
    _server: _Server

    @classmethod
    def open(cls, places: Places) -> Lender:
        """Begin to lend. Raises `OSError`."""
        folder = tempfile.mkdtemp(prefix="accuser-pool-")
        if len(folder) + 2 > _LONGEST_SOCKET:
            shutil.rmtree(folder)
            folder = tempfile.mkdtemp(prefix="accuser-pool-", dir="/tmp")
        address = f"{folder}/s"
        try:
            server = _Server(address, _Handler)
        except BaseException:
            shutil.rmtree(folder)
            raise
        server.places = places
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return cls(places, address, server)

    def close(self) -> None:
        """Take no more leases, and remove the folder of the socket."""
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(Path(self.address).parent, ignore_errors=True)


@attrs.define(eq=False, repr=False)
class Lease:
    """A place that is taken, until the block ends."""

    host: int | None
    """Which host; None if all that would suit are left out."""
    left_out: dict[int, str]
    """Which hosts are, and why."""
    _connection: socket.socket

    @classmethod
    def take(cls, address: str, suits: Sequence[int]) -> Lease:
        """Wait for a place on one of these hosts. Raises `OSError` if the controller is gone."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(address)
            connection.sendall(json.dumps({"suits": list(suits)}).encode() + b"\n")
            with connection.makefile("rb") as file:
                answer = file.readline()
            if not answer:
                raise ConnectionError("the process that controls this run is gone")
            said = json.loads(answer)
        except BaseException:
            connection.close()
            raise
        return cls(said["host"], dict(said["left_out"]), connection)

    def fail(self, why: str, test: str) -> None:
        """Have the host left out, before anybody takes a place again. Raises `OSError` as `take` does."""
        self._connection.sendall(json.dumps({"why": why, "test": test}).encode() + b"\n")
        with self._connection.makefile("rb") as file:
            file.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
