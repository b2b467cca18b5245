"""Two bakers that have the same key and do not know of each other.

Upstream has no such scenario. How it comes about: a delegate moves to another machine, or keeps a
spare one, and both run; each has watermarks of its own, and neither sees what the other signs.
"""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from .._daemons.accuser import open_accuser
from .._daemons.baker import Baker, open_baker
from .._daemons.client import Client, open_client
from .._daemons.daemon import Daemon
from .._daemons.node import Node, open_node
from .._errors import ScenarioFailed
from .._hosts.toolchain import Toolchain
from .._mavryk.protocol import Protocol
from .._recording.writer import Recording
from ._common import Denunciation, Report, silent
from ._double_baking import NODE_ARGUMENTS, connect

LEVELS: Final = 5
"""How far the first branch goes; the second goes one level farther, so that it is followed."""

_REFUSED: Final[tuple[str, ...]] = ("potential_double_baking.v0", "skipping_consensus_vote.v0")


@attrs.frozen
class TwoBakers:
    """What was shown."""

    toolchain: str
    protocol: str
    double_baking: Denunciation
    """The first evidence of its kind."""
    double_attestation: Denunciation
    blocks: int
    """How many blocks the bakers made, both together."""
    seconds: float

    @property
    def outcome(self) -> str:
        """In a few words."""
        return "two bakers with one key were denounced for blocks and attestations"


async def two_bakers_one_key(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    *,
    accuser_path: Path | None = None,
    keep: bool = False,
    record: Recording | None = None,
    report: Report = silent,
    twin: bool = False,
) -> TwoBakers:
    """Let two bakers run with copies of the keys, and see an accuser denounce what they sign.

    Each has a node of its own, and the nodes do not know of each other; the chain begins alike on
    both. So the bakers make other blocks at the same levels and rounds, and vote for other blocks.
    A third node learns both branches, with an accuser beside it. No operation is made by hand.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with.
        accuser_path: an accuser's executable, in place of the toolchain's.
        keep: keep the directories of the daemons and clients, and report where they are.
        record: where the daemons are recorded, all of them in one.
        report: called with a line for each step.
        twin: the second baker is the first one, restarted on the same directory: its watermarks
            hold it back, so that the scenario must fail.

    Raises:
        ScenarioFailed: the second baker was held back.
        AccuserError: something did not run, or an event did not come in time.
    """
    start = trio.current_time()
    report(f"toolchain: {toolchain}; protocol: {protocol.long_name}")

    def kept(owner: Daemon | Client) -> None:
        if keep:
            report(f"the files of {owner.name} stay in {owner.keep_directory()}")

    async with contextlib.AsyncExitStack() as stack:

        async def node_and_client() -> tuple[Node, Client]:
            opening = open_node(toolchain=toolchain, arguments=NODE_ARGUMENTS, record=record)
            node = await stack.enter_async_context(opening)
            client = await stack.enter_async_context(open_client(node))
            kept(node)
            kept(client)
            return node, client

        node_1, client_1 = await node_and_client()
        node_2, client_2 = await node_and_client()
        # The same header, signed with the same key: it is one block.
        now = datetime.datetime.fromtimestamp(int(node_1._host.now()), datetime.UTC)
        await client_1.activate_protocol(protocol, timestamp=now)
        await client_2.activate_protocol(protocol, timestamp=now)
        report(f"{node_1.name} and {node_2.name} do not know of each other; level 1 is the same on both")

        def baker(node: Node, client: Client, vote: Any) -> contextlib.AbstractAsyncContextManager[Baker]:
            return open_baker(
                protocol,
                node,
                client,
                liquidity_baking_toggle_vote=vote,
                event_level="info",
                record=record,
            )

        async with baker(node_1, client_1, "on") as first:
            if twin:
                await node_1.wait_for_level(LEVELS)
            else:
                async with baker(node_2, client_2, "off"):
                    await node_1.wait_for_level(LEVELS)
                    await first.terminate()
                    await node_2.wait_for_level(node_1.level + 1)
        if twin:
            report(f"{first.name} baked up to level {node_1.level}, and was stopped")
            await _see_held_back(baker(node_2, client_1, "off"), report)
        report(f"two bakers with the same keys made levels 2 to {node_1.level} and 2 to {node_2.level}")
        node_3, client_3 = await node_and_client()
        opening = open_accuser(protocol, node_3, toolchain=toolchain, path=accuser_path, record=record)
        accuser = await stack.enter_async_context(opening)
        kept(accuser)
        baking = accuser.expect("double_baking_denounced.v0", where="any evidence")
        attesting = accuser.expect("double_attestation_denounced.v0", where="any evidence")
        await connect(client_1, node_1, client_3, node_3)
        await node_3.wait_for_level(node_1.level)
        await connect(client_2, node_2, client_3, node_3)
        await node_3.wait_for_level(node_2.level)
        report(f"{node_3.name} has learnt both branches")
        blocks, votes = Denunciation(**await baking), Denunciation(**await attesting)
        report(f"{accuser.name} denounced a double baking, {blocks.hash}")
        report(f"{accuser.name} denounced a double attestation, {votes.hash}")
    return TwoBakers(
        toolchain.name,
        protocol.long_name,
        blocks,
        votes,
        node_1.level + node_2.level - 2,
        round(trio.current_time() - start, 3),
    )


async def _see_held_back(opening: contextlib.AbstractAsyncContextManager[Baker], report: Report) -> None:
    """Run the first baker again, on the other branch; raise `ScenarioFailed` for what it refuses."""
    async with opening as again:
        report(f"{again.name} runs on the same directory, beside the other node")
        found: list[str] = []
        async with trio.open_nursery() as nursery:

            async def see(name: str) -> None:
                value = await again.wait_for(name, since=again.start_mark())
                found.append(f"{name} at level {value['level']}, round {value['round']}")
                nursery.cancel_scope.cancel(reason="it was held back")

            for name in _REFUSED:
                nursery.start_soon(see, name)
    # A delegate that had not baked yet may make a block, of a round that nobody has signed; but
    # nobody may vote for it, and those that had baked may not bake.
    raise ScenarioFailed(f"the baker was held back by its watermark: {found[0]}")
