"""What the factories are, for annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Unpack

    from .. import Accuser, Baker, Client, Endpoint, Node
    from .. import Protocol as MavrykProtocol
    from .._daemons.accuser import AccuserOptions
    from .._daemons.baker import BakerOptions
    from .._daemons.client import ClientOptions
    from .._daemons.node import NodeOptions
    from .._daemons.options import EventLevel


class OpenNode(Protocol):
    """The fixture ``open_node``: ``node = await open_node(...)``."""

    async def __call__(
        self,
        *,
        event_level: EventLevel | None = None,
        may_exit: bool = False,
        **options: Unpack[NodeOptions],
    ) -> Node:
        """Run a node until the end of the test; it is ready when this returns.

        Arguments, errors: those of `accuser.open_node`, but that the toolchain is the test's by
        default, and that an exit which nobody asked for fails the test. Cancelling stops it.
        """


class OpenAccuser(Protocol):
    """The fixture ``open_accuser``: ``accuser = await open_accuser(node)``."""

    async def __call__(
        self,
        node: Node | Endpoint | str,
        protocol: MavrykProtocol | str | None = None,
        *,
        event_level: EventLevel | None = None,
        may_exit: bool = False,
        **options: Unpack[AccuserOptions],
    ) -> Accuser:
        """Run an accuser of ``node`` until the end of the test; it is ready when this returns.

        The protocol is the test's by default. The rest is as in `OpenNode`.
        """


class OpenBaker(Protocol):
    """The fixture ``open_baker``: ``baker = await open_baker(node, client)``."""

    async def __call__(
        self,
        node: Node | Endpoint | str,
        client: Client,
        protocol: MavrykProtocol | str | None = None,
        *,
        event_level: EventLevel | None = None,
        may_exit: bool = False,
        **options: Unpack[BakerOptions],
    ) -> Baker:
        """Run a baker with the keys of ``client`` until the end of the test; it has started then.

        The protocol is the test's by default. The rest is as in `OpenNode`.
        """


class OpenClient(Protocol):
    """The fixture ``open_client``: ``client = await open_client(node)``."""

    async def __call__(self, node: Node | Endpoint | str, **options: Unpack[ClientOptions]) -> Client:
        """Give a client of ``node``, whose temporary wallet goes at the end of the test."""
