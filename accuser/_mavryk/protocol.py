"""The protocols whose accusers can be spawned."""

from __future__ import annotations

import enum
from typing import Final

GENESIS_PROTOCOL: Final = "ProtoGenesisGenesisGenesisGenesisGenesisGenesk612im"
DEMO_PROTOCOL: Final = "ProtoDemoCounterDemoCounterDemoCounterDemoCou4LSpdT"
"""One that every node has, and nobody means to run (``tezt/lib_tezos/protocol.ml``)."""


class Protocol(enum.Enum):
    """A Mavryk protocol (upstream: ``tezt/lib_tezos/protocol.ml``).

    The protocol chooses the binaries, the hash that a chain is activated with, and the name
    that occurs in event names and sections.
    """

    ATLAS = (1, "PtAtLas", "001-PtAtLas", "PtAtLasdzXg4XxeVNtWheo13nG4wHXP22qYMqFcT3fyBpWkFero")
    BOREAS = (2, "PtBoreas", "002-PtBoreas", "PtBoreasK2KPuKbeYtXeEdudEHS7YcMFHE9amwheUc4kejTxgRi")
    ALPHA = (3, "alpha", "alpha", "ProtoALphaALphaALphaALphaALphaALphaALphaALphaDdp3zK")

    def __init__(self, number: int, daemon_name: str, long_name: str, protocol_hash: str) -> None:
        self.number: Final = number
        """Rank of the protocol: 1 for Atlas, 2 for Boreas, 3 for alpha."""
        self.daemon_name: Final = daemon_name
        """Suffix of the binaries, as in ``mavkit-accuser-PtBoreas``."""
        self.long_name: Final = long_name
        """Name in event names, sections and error ids, as in ``002-PtBoreas``."""
        self.hash: Final = protocol_hash
        """Base58check protocol hash."""

    @property
    def tag(self) -> str:
        """Lower-case name, as upstream tags its tests: ``atlas``, ``boreas``, ``alpha``."""
        return self.name.lower()

    @property
    def accuser_binary(self) -> str:
        """Name of the accuser's executable."""
        return f"mavkit-accuser-{self.daemon_name}"

    @property
    def baker_binary(self) -> str:
        """Name of the baker's executable."""
        return f"mavkit-baker-{self.daemon_name}"

    @property
    def previous(self) -> Protocol | None:
        """The protocol that this one replaces; upstream says Atlas for both its successors."""
        return None if self is Protocol.ATLAS else Protocol.ATLAS

    @classmethod
    def parse(cls, text: str) -> Protocol:
        """Find a protocol by tag, daemon name, long name or hash, whatever the case.

        Raises:
            UnknownProtocol: ``text`` names none of them.
        """
        wanted = text.casefold()
        for protocol in cls:
            names = (protocol.tag, protocol.daemon_name, protocol.long_name, protocol.hash)
            if wanted in (name.casefold() for name in names):
                return protocol
        from .._errors import UnknownProtocol  # of two dozen, which the sandbox's programs do without

        raise UnknownProtocol(name=text, known=tuple(protocol.tag for protocol in cls))
