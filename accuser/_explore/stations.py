"""The nodes of an exploration, and the links over which they tell each other what they know.

The nodes are the sandbox's, in this process, whatever accuser looks at them. Their links are
simulated: a message arrives after a delay, late enough to be overtaken, or never. A node that hears of a
block whose predecessor it lacks asks for that first, as over real links, which are up again by then.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Final

import attrs
import trio

from .._mavryk.codec.forge import BlockHeader
from .._mavryk.codec.operations import DoubleBaking, DoubleConsensus, Operation
from ..sandbox.chain.block import Block, Network, Operations
from ..sandbox.chain.chain import Chain
from ..sandbox.chain.mempool import Class
from ..sandbox.chain.trace import NodeError
from ..sandbox.node.node import Node
from ..sandbox.node.p2p import PeerNetwork
from ..sandbox.node.router import Router
from ..sandbox.node.routes import router
from ..sandbox.node.synchronisation import Synchronisation

Payload = tuple[BlockHeader, Operations] | Operation
"""What one node tells another."""


@attrs.define
class Quality:
    """Of one link: seconds, and a part of 1."""

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0


@attrs.define(eq=False, repr=False)
class Station:
    """A node, which may be down."""

    index: int
    network: Network
    clock: Callable[[], float]
    nursery: trio.Nursery
    node: Node = attrs.field(init=False)
    handler: Router = attrs.field(init=False)
    is_up: bool = attrs.field(default=False, init=False)
    told: set[str] = attrs.field(factory=set, init=False)
    """Hashes of the operations that it has passed on."""
    _chain: Chain = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._chain = Chain(self.network)
        self.start()

    def start(self) -> None:
        """Begin with the blocks of before, and an empty mempool."""
        self.node = Node(
            f"peer{self.index}", self._chain, clock=self.clock, synchronisation=Synchronisation(0)
        )
        self.handler = router(self.node, PeerNetwork(self.node, self.nursery), lambda text: None)
        self.is_up = True
        self.told.clear()

    @property
    def head(self) -> Block:
        return self._chain.head

    @property
    def chain(self) -> Chain:
        """What the node knows of the chain, which stays while the node is down."""
        return self._chain

    def evidence(self) -> list[Operation]:
        """What its mempool has against others, and finds valid."""
        entries = self.node.mempool.entries.values()
        found = [entry.operation for entry in entries if entry.kind is Class.VALIDATED]
        return [each for each in found if isinstance(each.content, DoubleBaking | DoubleConsensus)]

    async def take(self, payload: Payload) -> bool:
        """Take a block or an operation; whether it is new, and accepted."""
        if isinstance(payload, Operation):
            if self.node.mempool.known(payload.hash):
                return False
            await self.node.inject_operation(payload.to_bytes(), force=True)
            return True
        header, operations = payload
        if header.hash in self._chain.blocks:
            return False
        try:
            await self.node.inject_block(header.to_bytes(), operations, force=True)
        except NodeError:
            return False
        return True


@attrs.define(order=True)
class _Message:
    at: float
    number: int
    to: int = attrs.field(order=False)
    payload: Payload = attrs.field(order=False)


NEVER: Final = float("inf")


@attrs.define(eq=False, repr=False)
class Links:
    """What is under way between nodes, and when it arrives."""

    chance: random.Random
    count: int
    _qualities: dict[tuple[int, int], Quality] = attrs.field(factory=dict, init=False)
    _cut: int = attrs.field(default=0, init=False)
    _waiting: list[_Message] = attrs.field(factory=list, init=False)
    _number: int = attrs.field(default=0, init=False)

    def set(self, one: int, other: int, quality: Quality) -> None:
        """Make the link of two nodes good or bad."""
        self._qualities[min(one, other), max(one, other)] = quality

    def cut(self, at: int) -> None:
        """Part the nodes below ``at`` from the others; 0 parts nobody."""
        self._cut = at

    def reaches(self, one: int, other: int) -> bool:
        """Whether nothing parts two nodes."""
        return (one < self._cut) == (other < self._cut)

    def send(self, now: float, sender: int, payload: Payload) -> None:
        """Tell everybody else."""
        for other in range(self.count):
            if other == sender or not self.reaches(sender, other):
                continue
            quality = self._qualities.get((min(sender, other), max(sender, other)), Quality())
            if self.chance.random() < quality.loss:
                continue
            at = now + quality.delay + self.chance.random() * quality.jitter
            self._number += 1
            heapq.heappush(self._waiting, _Message(at, self._number, other, payload))

    def next_at(self) -> float:
        """When the next message arrives."""
        return self._waiting[0].at if self._waiting else NEVER

    def take(self) -> tuple[int, Payload]:
        """The next message, and for whom it is."""
        message = heapq.heappop(self._waiting)
        return message.to, message.payload

    def forget(self) -> None:
        """Lose what is under way."""
        self._waiting.clear()


def missing(station: Station, block: BlockHeader, everywhere: dict[str, Block]) -> list[Block]:
    """The blocks below that a node lacks, the lowest first."""
    lacked: list[Block] = []
    below = block.shell.predecessor
    while below not in station.chain.blocks:
        lacked.append(everywhere[below])
        below = everywhere[below].predecessor
    lacked.reverse()
    return lacked
