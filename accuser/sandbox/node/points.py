"""Network addresses, and what a node thinks of those that it knows."""

from __future__ import annotations

from typing import Any

import attrs

from ..surroundings.hosts import normal_host
from .events import system_time


@attrs.frozen
class Point:
    """An address and port. IPv4 addresses are kept as such, however they are written."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = None) -> Point:
        """Read ``127.0.0.1:9732``, ``[::1]:9732`` or ``localhost:9732``.

        Raises:
            ValueError: it is none of them.
        """
        host, colon, port = text.rpartition(":")
        if not colon or (":" in host and not host.startswith("[")):
            host, port = text, ""
        host = host.removeprefix("[").removesuffix("]")
        if port:
            number = int(port) if port.isdecimal() and len(port) < 6 else -1
        elif default_port is not None and not colon:
            number = default_port
        else:
            number = -1
        if not 0 <= number <= 65535:
            raise ValueError(f"{text!r} is not an address with a port")
        return cls(normal_host(host or "127.0.0.1"), number)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.define(eq=False, repr=False)
class PointInfo:
    """What is known of a point. Times are seconds since the epoch, with the peer that was there."""

    trusted: bool = False
    banned: bool = False
    running: str | None = None
    """The connected peer."""
    last_failed: float | None = None
    last_established: tuple[str, float] | None = None
    last_disconnection: tuple[str, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """As the RPCs show it (``src/lib_base/p2p_point.ml``)."""
        value: dict[str, Any] = {"trusted": self.trusted}
        if self.running is None:
            value["state"] = {"event_kind": "disconnected"}
        else:
            value["state"] = {"event_kind": "running", "p2p_peer_id": self.running}
            value["p2p_peer_id"] = self.running
        if self.last_failed is not None:
            value["last_failed_connection"] = system_time(self.last_failed)
        for name, event in (
            ("last_established_connection", self.last_established),
            ("last_disconnection", self.last_disconnection),
        ):
            if event is not None:
                value[name] = [event[0], system_time(event[1])]
        seen = [event for event in (self.last_established, self.last_disconnection) if event is not None]
        if seen:
            peer, time = max(seen, key=lambda event: event[1])
            value["last_seen"] = [peer, system_time(time)]
        return value
