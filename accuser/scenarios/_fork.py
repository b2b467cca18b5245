"""Two branches on which a delegate bakes blocks of one level, and a node that learns both beside an accuser.

Upstream: ``tezt/tests/double_bake.ml``, and steps 13 to 20 of ``tezt/tests/adaptive_issuance.ml``.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import attrs

from .. import Accuser, Client, Node, Runner, ScenarioFailed
from ._common import Denunciation, Inclusion, places
from ._stage import Setting, find_evidence, wait_until_processed

NODE_ARGUMENTS: Final = ("--synchronisation-threshold 0", "--private-mode")
"""Private nodes connect to trusted addresses alone, and so never before they are told to."""


@attrs.frozen
class Side:
    """A node, and the client that speaks to it."""

    node: Node
    client: Client

    async def bake(self, head: int, *delegates: str) -> int:
        """Let these delegates bake, one after the other, on a head of that level; return the new level."""
        for level, delegate in enumerate(delegates, head + 1):
            await self.client.bake_for(delegate)
            head = await self.node.wait_for_level(level)
        return head

    async def connect(self, other: Side) -> None:
        """Connect two private nodes, which must trust each other first."""
        await self.client.trust_address(other.node)
        await other.client.trust_address(self.node)
        await self.client.connect_address(other.node)

    async def leave(self, *others: Side) -> None:
        """Stop the node, and wait until those that are connected with it have said that it is gone."""
        identity = await self.node.wait_for_identity()
        noticed = [
            other.node.expect(
                "disconnection.v0",
                lambda peer: peer if peer == identity else None,
                where=f"the peer is {self.node.name}",
            )
            for other in others
        ]
        await self.node.terminate()
        for one in noticed:
            await one


@attrs.frozen(kw_only=True)
class Machines:
    """Where the daemons run; None is this machine."""

    accuser: Runner | None = None
    third: Runner | None = None
    others: Runner | None = None
    node_path: str | Path | None = None
    """An executable for the nodes, in place of the toolchain's, wherever they run."""


@attrs.define(eq=False, repr=False)
class Fork:
    """Two nodes whose chains part, and what comes of it."""

    setting: Setting
    machines: Machines
    _stack: contextlib.AsyncExitStack
    first: Side
    second: Side

    async def part(self, ancestor: int, on_first: tuple[str, ...], on_second: tuple[str, ...]) -> None:
        """Let delegates bake on each node while the other is down; the first is down at the end."""
        await self.second.leave(self.first)
        await self.first.bake(ancestor, *on_first)
        self._tell(self.first, ancestor, on_first)
        await self.first.node.terminate()
        await self.second.node.restart()
        await self.second.bake(ancestor, *on_second)
        self._tell(self.second, ancestor, on_second)

    def _tell(self, side: Side, ancestor: int, delegates: tuple[str, ...]) -> None:
        level = ancestor
        told: list[str] = []
        for delegate, run in itertools.groupby(delegates):
            levels = list(range(level + 1, level + 1 + len(list(run))))
            level = levels[-1]
            *others, last = map(str, levels)
            what = f"levels {', '.join(others)} and {last}" if others else f"level {last}"
            told.append(f"{delegate} {what}" if told else f"{delegate} baked {what}")
        self.setting.report(f"{side.node.name} alone: {', '.join(told)}")

    async def denounce(self, ancestor: int) -> Denounced:
        """Let a third node learn both branches, and see the accuser's evidence in its mempool.

        Raises:
            ScenarioFailed: the mempool refused the evidence.
        """
        report = self.setting.report
        third = await _open_side(self.setting, self.machines, self._stack, self.machines.third)
        node = third.node
        accuser = await self._stack.enter_async_context(
            self.setting.open_accuser(node, runner=self.machines.accuser)
        )
        self.setting.keep_files(accuser)
        denounced = accuser.expect("double_baking_denounced.v0", where="any evidence")
        injected = node.expect_request("inject")
        report(f"{accuser.name} is ready, beside {node.name}")

        await self.second.connect(third)
        level = await node.wait_for_level(ancestor + 2)
        report(f"{node.name} has learnt the branch of {self.second.node.name}, level {level}")
        await self.first.node.restart()
        await self.first.connect(third)
        level = await node.wait_for_level(ancestor + 3)
        report(f"{node.name} has switched to the branch of {self.first.node.name}, level {level}")

        await injected
        evidence = Denunciation(**await denounced)
        report(f"{accuser.name} denounced the double baking: {evidence.hash}")
        pending = await third.client.rpc("get", "/chains/main/mempool/pending_operations?version=2")
        if evidence.hash not in [operation["hash"] for operation in pending["validated"]]:
            raise ScenarioFailed(
                f"the denunciation operation {evidence.hash} was rejected by the mempool of "
                f"{node.name}: {places(pending, evidence.hash)}"
            )
        return Denounced(self, third, accuser, evidence, level)


@attrs.frozen
class Denounced:
    """A fork of which the accuser has found the evidence."""

    fork: Fork
    third: Side
    accuser: Accuser
    evidence: Denunciation
    level: int
    """Of the head."""

    async def bake(self, delegate: str) -> None:
        """Let a delegate bake the next block, with the evidence, on all three nodes; end the accuser.

        The twin leaves the operations of the mempool out.
        """
        fork = self.fork
        options = ("--ignore-node-mempool",) if fork.setting.twin else ()
        mark = self.accuser.mark()
        await self.third.client.bake_for(delegate, options=options)
        for side in (fork.first, fork.second, self.third):
            await side.node.wait_for_level(self.level + 1)
        fork.setting.report(f"{delegate} baked level {self.level + 1}, which all three nodes have")
        # Where it ends is the same in every run: when it has seen all of the chain.
        await wait_until_processed(self.accuser, self.third.node, since=mark)
        await self.accuser.terminate()

    async def find(self) -> Inclusion:
        """See that the block has the evidence. Raises `ScenarioFailed`."""
        fork = self.fork
        included = await find_evidence(fork.first.client, self.evidence.hash, "Double baking")
        fork.setting.report(
            f"the evidence is in block {included.block} of level {included.level}, "
            f"validation pass {included.validation_pass}"
        )
        return included

    async def end(self) -> None:
        """End the third node when all nodes have the head, so that every run ends alike."""
        first, second = self.fork.first, self.fork.second
        for side in (second, self.third):
            await side.node.wait_for_level(first.node.level)
        await self.third.leave(first, second)


@asynccontextmanager
async def open_fork(
    setting: Setting,
    machines: Machines | None = None,
    *,
    parameters: Mapping[str, object] | None = None,
) -> AsyncGenerator[Fork]:
    """Run two nodes that are connected, on a chain whose protocol is active at level 1.

    Args:
        setting: what runs.
        machines: where; by default here.
        parameters: of the protocol, in place of its own.
    """
    setting.begin()
    machines = machines or Machines()
    async with contextlib.AsyncExitStack() as stack:
        first, second = [await _open_side(setting, machines, stack, machines.others) for _ in range(2)]
        await first.connect(second)
        await first.client.activate_protocol(setting.protocol, parameters=parameters)
        await second.node.wait_for_level(1)
        setting.report(
            f"{first.node.name} and {second.node.name} are connected, the protocol is active at level 1"
        )
        yield Fork(setting, machines, stack, first, second)


async def _open_side(
    setting: Setting, machines: Machines, stack: contextlib.AsyncExitStack, runner: Runner | None
) -> Side:
    opening = setting.node_and_client(arguments=NODE_ARGUMENTS, runner=runner, path=machines.node_path)
    node, client = await stack.enter_async_context(opening)
    setting.keep_files(node, client)
    return Side(node, client)
