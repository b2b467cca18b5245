"""The blocks of a chain, all branches of it, and which one is the head.

Pure: no input or output, no clock. A block enters only through `Chain.add`, valid; the head is the
first one of the greatest fitness.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from ..._mavryk import base58_patterns
from ..._mavryk.codec.forge import BlockHeader, fitness_key
from . import block_rules
from .block import Block, Network, Operations, genesis
from .trace import failure

_SPECIFIER: Final = re.compile(r"(?P<base>[A-Za-z0-9]+)(?:(?P<sign>[~+-])(?P<offset>\d{1,10}))?", re.ASCII)
_LOCATOR_DENSE: Final = 10
"""A locator names so many blocks one by one before it skips ever more."""


class HeadChange(enum.Enum):
    """What a new block does to the head; the values are upstream's names of the mempool's flush."""

    INCREMENT = "increment"
    SWITCH = "branch"
    IGNORED = "ignored"


class UnknownBlock(Exception):
    """What was asked for is not there, such as a block; a node answers 404."""


@attrs.define(eq=False, repr=False)
class Chain:
    """The chain of one network, which begins with its genesis block."""

    network: Network = attrs.field(factory=Network)
    head: Block = attrs.field(init=False)
    blocks: dict[str, Block] = attrs.field(init=False)
    genesis: Block = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.genesis = self.head = genesis(self.network)
        self.blocks = {self.genesis.hash: self.genesis}

    def add(self, header: BlockHeader, operations: Operations) -> Block:
        """Validate a block and keep it; the head stays what it is.

        A block that is known already is returned as it is.

        Raises:
            NodeError: it is not valid, or its predecessor is unknown.
        """
        known = self.blocks.get(header.hash)
        if known is not None:
            return known
        predecessor = self.blocks.get(header.shell.predecessor)
        if predecessor is None:
            short = header.shell.predecessor[:12]
            raise failure(f"Unknown predecessor ({short}), cannot inject the block.")
        live = self.live_blocks(predecessor)
        block = block_rules.validate(
            self.network, predecessor, header, operations, live.keys(), _included(live)
        )
        self.blocks[block.hash] = block
        return block

    def is_better(self, block: Block) -> bool:
        """Whether a block should become the head."""
        return fitness_key(block.header.shell.fitness) > fitness_key(self.head.header.shell.fitness)

    def advance(self, block: Block) -> HeadChange:
        """Make a block the head if it is better."""
        if not self.is_better(block):
            return HeadChange.IGNORED
        change = HeadChange.INCREMENT if block.predecessor == self.head.hash else HeadChange.SWITCH
        self.head = block
        return change

    def predecessor(self, block: Block) -> Block:
        """The block below; the genesis block is its own."""
        return self.blocks[block.predecessor]

    def branch(self, block: Block) -> Iterator[Block]:
        """A block and all those below it, down to the genesis block."""
        while block is not self.genesis:
            yield block
            block = self.blocks[block.predecessor]
        yield self.genesis

    def ancestor(self, block: Block, distance: int) -> Block:
        """The block so far below. Raises ``UnknownBlock`` below the genesis block."""
        if distance > block.level:
            raise UnknownBlock(f"{block.hash}~{distance}")
        for _ in range(distance):
            block = self.blocks[block.predecessor]
        return block

    def on_main_chain(self, level: int) -> Block:
        """The block of the head's branch at a level. Raises ``UnknownBlock``."""
        if not 0 <= level <= self.head.level:
            raise UnknownBlock(str(level))
        return self.ancestor(self.head, self.head.level - level)

    def live_blocks(self, block: Block) -> dict[str, Block]:
        """The blocks that operations on top of ``block`` may be branched on: it and some below."""
        count = self.operations_ttl(block) + 1
        live = {}
        for ancestor in self.branch(block):
            live[ancestor.hash] = ancestor
            if len(live) == count:
                break
        return live

    def operations_ttl(self, block: Block) -> int:
        """How many blocks an operation lives, as the metadata of a block tell.

        It grows by one a block from the genesis block on, up to what the protocol of the next block
        says (``block_validation.ml``, ``apply``).
        """
        calendar = block.state.calendar
        return 0 if calendar is None else min(block.level, calendar.parameters.max_operations_time_to_live)

    def is_included(self, operation: str, live: dict[str, Block]) -> bool:
        """Whether one of the live blocks holds the operation."""
        return any(operation in block.operation_hashes for block in live.values())

    def resolve(self, specifier: str) -> Block:
        """The block that an RPC path names: ``head~2``, ``genesis``, a hash, a level.

        Raises:
            UnknownBlock: there is none.
            ValueError: the text names no block at all.
        """
        match = _SPECIFIER.fullmatch(specifier)
        if match is None:
            raise ValueError(specifier)
        base, sign, offset = match["base"], match["sign"], int(match["offset"] or 0)
        # Nothing is pruned here, so these three are the same block.
        if base in ("genesis", "caboose", "savepoint", "checkpoint"):
            block = self.genesis
        elif base == "head":
            block = self.head
            if sign == "+":
                raise ValueError(specifier)
        elif base.isdecimal():
            if len(base) > 10:
                raise ValueError(specifier)
            return self.on_main_chain(int(base) + (offset if sign == "+" else -offset))
        elif base in self.blocks:
            block = self.blocks[base]
        elif re.fullmatch(base58_patterns.BLOCK, base):
            raise UnknownBlock(base)
        else:
            raise ValueError(specifier)
        if sign == "+":
            above = self.on_main_chain(block.level + offset)
            if self.ancestor(above, offset) is not block:
                raise UnknownBlock(specifier)
            return above
        return self.ancestor(block, offset)

    def locator(self) -> list[str]:
        """Hashes of the head's branch, from the head to the genesis block, ever farther apart."""
        hashes, step, wait = [], 1, 0
        for block in self.branch(self.head):
            if wait == 0 or block is self.genesis:
                hashes.append(block.hash)
                if len(hashes) > _LOCATOR_DENSE:
                    step *= 2
                wait = step
            wait -= 1
        return hashes

    def since(self, locator: Sequence[str], target: Block) -> list[Block]:
        """The blocks of ``target``'s branch above the first one that a locator names, lowest first."""
        known = set(locator)
        blocks = []
        for block in self.branch(target):
            if block.hash in known:
                break
            blocks.append(block)
        if blocks and blocks[-1] is self.genesis:
            blocks.pop()
        blocks.reverse()
        return blocks


def _included(live: dict[str, Block]) -> block_rules.Included:
    return lambda operation: any(operation in block.operation_hashes for block in live.values())
