"""Requests and answers as values, which a stream in memory hands over in place of their bytes.

Client and server of one process need no bytes between them: writing and reading those is half of what a
small request costs. So a `HandingStream` takes a message as it is, and gives it to whoever asks for
messages; who reads bytes from it gets those that h11 makes of the message. Only what is plain is handed
over: of anything else, as of every other stream, h11 judges and makes the bytes.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import attrs
import h11
import trio

Fields = tuple[tuple[str, str], ...]
"""Names and values of a head, in their order."""

READ_SIZE: Final = 65536
"""Bytes that are read from a connection at once."""

_OVERHEAD: Final = 64
"""Bytes that a head is counted as, where a stream has room for so many."""

_METHODS: Final = frozenset({"DELETE", "GET", "PATCH", "POST", "PUT"})
_target: Final = re.compile(r"/[!-~]*").fullmatch
_name: Final = re.compile(r"[a-z][a-z-]*").fullmatch
_value: Final = re.compile(r"[!-~]+(?: [!-~]+)*").fullmatch


@attrs.frozen
class Asked:
    """A whole request."""

    method: str
    target: str
    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes = b""

    def __len__(self) -> int:
        return _OVERHEAD + len(self.target) + len(self.body)

    def events(self) -> list[h11.Event]:
        """What h11 sends for it. Raises ``h11.LocalProtocolError`` where it is no request."""
        head = h11.Request(method=self.method, target=self.target, headers=list(self.headers.items()))
        data = [h11.Data(data=self.body)] if "content-length" in self.headers else []
        return [head, *data, h11.EndOfMessage()]

    def to_bytes(self) -> bytes:
        return written(h11.Connection(h11.CLIENT), self.events())


@attrs.frozen
class Told:
    """The head of an answer, with its body; without one, if that comes in chunks."""

    status: int
    headers: dict[str, str]
    body: bytes | None

    def __len__(self) -> int:
        return _OVERHEAD + len(self.body or b"")

    def to_bytes(self) -> bytes:
        fields = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}\r\n{fields}\r\n"
        return head.encode("latin-1") + (self.body or b"")


@attrs.frozen
class Chunk:
    """A chunk of an answer; an empty one is the last."""

    data: bytes

    def __len__(self) -> int:
        return len(self.data) + len(b"f\r\n\r\n")

    def to_bytes(self) -> bytes:
        return b"%x\r\n%b\r\n" % (len(self.data), self.data)


Message = Asked | Told | Chunk


class HandingStream(trio.abc.Stream):
    """A stream, both ends of which are in this process."""

    @abstractmethod
    async def hand(self, message: Message) -> None:
        """Send a message. Waits, and raises, as ``send_all`` does."""

    @abstractmethod
    async def take(self) -> Message | bytes:
        """The next message, or the bytes that come before one; no bytes at the end."""

    @abstractmethod
    def take_now(self) -> Message | bytes | None:
        """The same, if something is there."""


class HandingListener(trio.abc.Listener[HandingStream]):
    """Takes the connections of such streams."""

    on_arrival: Callable[[HandingStream], object] | None = None
    """Given each connection at once, if nobody is stopped and none waits, in place of `accept`."""


def written(connection: h11.Connection, events: Iterable[h11.Event]) -> bytes:
    """The bytes of events that are sent."""
    return b"".join(connection.send(event) or b"" for event in events)


def is_plain(method: str, target: str, fields: Fields) -> bool:
    """Whether a request has nothing that h11 would refuse or change."""
    return method in _METHODS and _target(target) is not None and _are_plain(fields)


# Programs send the same few fields with every request.
@lru_cache(maxsize=64)
def _are_plain(fields: Fields) -> bool:
    names = [name for name, _ in fields]
    framing = {"content-length", "transfer-encoding", "expect", "upgrade"}
    return len(set(names)) == len(names) and all(
        name not in framing and _name(name) and _value(value) for name, value in fields
    )
