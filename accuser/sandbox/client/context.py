"""What every command of the client works with: the node, the wallet, and its two outputs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import attrs

from ..._http.client import Connect, HttpClient
from ..._mavryk.protocol import Protocol as Chosen
from ..rpc.client import Rpc
from ..rpc.request import Request
from ..rpc.wire import MediaType
from ..sink.descriptor import Outlets
from .wallet import Wallet

ZERO_SIGNATURE: Final = bytes(64)


class Failure(Exception):
    """A command cannot go on; the text is upstream's, after ``Fatal error:``."""


class Refusal(Exception):
    """A command failed; the text is upstream's, after ``Error:``."""


def by_tcp(url: str) -> Connect | None:
    """Nothing else than TCP."""
    return None


def unreadable(what: str, error: Exception) -> Failure:
    """The node answers something else than it should."""
    return Failure(f"The node's answer to {what} cannot be read: {error!r}")


class Text(Protocol):
    """Where text goes out; a text file is one."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


@attrs.define(eq=False, repr=False)
class Context:
    """The surroundings of one command.

    ``wall`` gives seconds since the epoch; waits follow trio's clock.
    """

    http: HttpClient
    """Maybe one that tells of each request."""
    untold: HttpClient
    """One that does not."""
    media_type: MediaType
    wallet: Wallet
    chain: str
    """``main``, ``test`` or a chain id."""
    block: str
    """What commands about a block are about: ``head`` by default."""
    stdout: Text
    stderr: Text
    environ: Mapping[str, str]
    program: str
    connect_to: Callable[[str], Connect | None] = by_tcp
    wall: Callable[[], float] = time.time
    outlets: Outlets = attrs.Factory(Outlets)
    pid: int = attrs.Factory(os.getpid)
    confirmations: int | None = 0
    """How many blocks must follow that of an operation before a command ends; None for no wait at all."""

    def message(self, text: str) -> None:
        """A line on standard output, seen at once."""
        self.stdout.write(f"{text}\n")
        self.stdout.flush()

    def warning(self, text: str) -> None:
        self.stderr.write(f"{text}\n")
        self.stderr.flush()

    @property
    def rpc(self) -> Rpc:
        """The typed calls of the node."""
        return Rpc(self.http, self.media_type, self._told, Chosen.BOREAS.hash)

    async def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the node; the decoded answer. Raises ``RpcFailed``."""
        return await self.rpc.call(Request(method, path, _as_it_is, body))

    async def get(self, path: str) -> Any:
        """Call the node with GET. Raises ``RpcFailed``."""
        return await self.call("GET", path)

    @property
    def at(self) -> str:
        """The path of the block that commands are about."""
        return f"/chains/{self.chain}/blocks/{self.block}"

    async def _told(self, attempt: int, delay: float, body: str) -> None:
        self.warning(f"Attempt number {attempt}/10, will retry after {delay:g} seconds.")
        self.warning(f"Original body follows.\n{body}")


def _as_it_is(value: object) -> object:
    return value
