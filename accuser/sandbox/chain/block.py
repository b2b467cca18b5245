"""Blocks, and the network that they belong to."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import attrs

from ..._mavryk.codec.base58 import Kind, decode, encode
from ..._mavryk.codec.crypto import (
    ACTIVATOR,
    GENESIS_BLOCK,
    GENESIS_TIME,
    blake2b,
    chain_id,
    operation_list_list_hash,
)
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import BlockHeader, ProtocolData, ShellHeader
from ..._mavryk.codec.operations import Operation
from ..._mavryk.protocol import GENESIS_PROTOCOL
from .receipts import Update
from .rights import Delegate
from .state import State, round_of

Operations: TypeAlias = tuple[tuple[Operation, ...], ...]
"""The operations of a block, by validation pass."""

NO_OPERATIONS: Final[Operations] = ((), (), (), ())
PASSES: Final = len(NO_OPERATIONS)


@attrs.frozen(eq=False)
class Network:
    """What all nodes of a chain agree on (``src/lib_node_config/config_file.ml``)."""

    genesis_block: str = GENESIS_BLOCK
    genesis_time: int = GENESIS_TIME
    genesis_protocol: str = GENESIS_PROTOCOL
    activator_key: str = ACTIVATOR.public_key
    """The public key that may activate a protocol."""
    chain_name: str = "MAVRYK"
    upgrades: Mapping[int, str] = attrs.field(factory=dict)
    """User-activated upgrades: the protocol that a block of that level makes the next one."""
    overrides: Mapping[str, str] = attrs.field(factory=dict)
    """User-activated protocol overrides: what is activated in place of a protocol."""

    @functools.cached_property
    def chain_id(self) -> str:
        """Follows from the genesis block."""
        return chain_id(self.genesis_block)


@attrs.frozen(eq=False)
class Block:
    """A block that was found valid on its branch."""

    hash: str
    header: BlockHeader
    operations: Operations
    protocol: str
    """The protocol that made it; the next one is ``state.protocol``."""
    state: State
    baker: Delegate | None = None
    """None for blocks of the genesis protocol."""
    proposer: Delegate | None = None
    """Whose payload it is."""
    updates: tuple[Update, ...] = ()
    """What it did to balances, beside what its operations did."""
    forbids: Mapping[str, str] = attrs.field(factory=dict)
    """Whom the evidence of a hash made the protocol forbid."""
    results: Mapping[str, tuple[dict[str, Any], ...]] = attrs.field(factory=dict)
    """The metadata of the contents of its operations, by their hash, where these changed the ledger."""
    subsidy: tuple[Update, ...] = ()
    """What it minted for the treasury."""
    deactivated: tuple[str, ...] = ()
    """Delegates that it made inactive."""

    @property
    def level(self) -> int:
        """Distance from the genesis block."""
        return self.header.shell.level

    @property
    def predecessor(self) -> str:
        """Hash of the block below."""
        return self.header.shell.predecessor

    @property
    def round(self) -> int:
        """Round within the level."""
        return round_of(self.header.shell.fitness)

    @functools.cached_property
    def protocol_data(self) -> ProtocolData | None:
        """The protocol's part of the header; None for the genesis protocol."""
        if self.baker is None:
            return None
        try:
            return ProtocolData.from_bytes(self.header.protocol_data)
        except ForgeError:
            return None

    @property
    def payload_hash(self) -> str | None:
        """Hash of the payload; None for the genesis protocol."""
        return None if self.protocol_data is None else self.protocol_data.payload_hash

    @functools.cached_property
    def resulting_context(self) -> str:
        """Hash of the ledger after this block.

        Not upstream's, which hashes a whole ledger, but as unique: it follows from all that led here.
        """
        shell = self.header.shell
        parts = decode(Kind.CONTEXT, shell.context) + decode(Kind.BLOCK, self.hash)
        return encode(Kind.CONTEXT, blake2b(b"sandbox context" + parts))

    @functools.cached_property
    def operation_hashes(self) -> frozenset[str]:
        """Hashes of all its operations."""
        return frozenset(operation.hash for passed in self.operations for operation in passed)


def genesis(network: Network) -> Block:
    """The first block. Its hash is a constant, not that of its header."""
    shell = ShellHeader(
        level=0,
        proto=0,
        predecessor=network.genesis_block,
        timestamp=network.genesis_time,
        validation_pass=0,
        operations_hash=operation_list_list_hash(()),
        fitness=(),
        context=encode(Kind.CONTEXT, blake2b(b"sandbox genesis")),
    )
    return Block(
        hash=network.genesis_block,
        header=BlockHeader(shell, b""),
        operations=(),
        protocol=network.genesis_protocol,
        state=State(network.genesis_protocol),
    )


def hashes(operations: Operations) -> list[list[str]]:
    """The operations' hashes, by validation pass."""
    return [[operation.hash for operation in passed] for passed in operations]
