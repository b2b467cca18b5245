"""Two bakers that have the same key and do not know of each other.

Upstream has no such scenario. How it comes about: a delegate moves to another machine, or keeps a
spare one, and both run; each has watermarks of its own, and neither sees what the other signs.
"""

from __future__ import annotations

import contextlib
import datetime
from typing import Any, Final, Unpack

import attrs
import trio

from .. import Baker, Client, Event, Node, Protocol, ScenarioFailed, Toolchain, open_baker
from ._common import Denunciation, Report, ScenarioOptions
from ._fork import NODE_ARGUMENTS, Side
from ._stage import Setting, wait_until_processed

LEVELS: Final = 4
"""How far the first branch goes; the second goes one level farther, so that it is followed.

At level 2 the two vote alike, for blocks with nothing in them; votes of level 3 are in blocks of level 4.
"""

PARAMETERS: Final[dict[str, object]] = {"minimal_block_delay": "2"}
"""Rounds so long that no baker misses one while the machine has other work."""

LEAD: Final = datetime.timedelta(seconds=5)
"""How long before the time of the first block all is prepared, so that the bakers wait for it."""

_WAITING: Final = ("waiting_to_forge_block.v0", "no_need_to_wait_to_forge_block.v0")
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
    toolchain: Toolchain, protocol: Protocol = Protocol.BOREAS, **options: Unpack[ScenarioOptions]
) -> TwoBakers:
    """Let two bakers run with copies of the keys, and see an accuser denounce what they sign.

    Each has a node of its own, and the nodes do not know of each other; the chain begins alike on
    both. So the bakers make other blocks at the same levels and rounds, and vote for other blocks.
    A third node learns both branches, with an accuser beside it. No operation is made by hand.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with.
        options: those of `ScenarioOptions`. The twin's second baker is the first one, restarted on the
            same directory: its watermarks hold it back.

    Raises:
        ScenarioFailed: the second baker was held back.
        AccuserError: something did not run, or an event did not come in time.
    """
    setting = Setting(toolchain=toolchain, protocol=protocol, **options)
    setting.begin()
    async with (
        setting.node_and_client(arguments=NODE_ARGUMENTS) as one,
        setting.node_and_client(arguments=NODE_ARGUMENTS) as other,
    ):
        first, second = Side(*one), Side(*other)
        setting.keep_files(*one, *other)
        await _begin_alike(setting, first, second)
        await _bake_apart(setting, first, second)
        blocks = first.node.level + second.node.level - 2
        levels = f"made levels 2 to {first.node.level} and 2 to {second.node.level}"
        setting.report(f"two bakers with the same keys {levels}")
        baking, attesting = await _denounced(setting, first, second)
    return TwoBakers(toolchain.name, protocol.long_name, baking, attesting, blocks, setting.seconds)


async def _begin_alike(setting: Setting, first: Side, second: Side) -> None:
    """Activate the protocol on both, in one and the same block: the same header, and the same key."""
    await first.client.activate_protocol(setting.protocol, parameters=PARAMETERS, timestamp=LEAD)
    await _begin_as(setting, first, second)
    names = f"{first.node.name} and {second.node.name}"
    setting.report(f"{names} do not know of each other; level 1 is the same on both")


async def _begin_as(setting: Setting, first: Side, other: Side) -> None:
    header = await first.node.rpc("get", "/chains/main/blocks/1/header")
    then = datetime.datetime.fromisoformat(header["timestamp"])
    await other.client.activate_protocol(setting.protocol, parameters=PARAMETERS, timestamp=then)


async def _bake_apart(setting: Setting, first: Side, second: Side) -> None:
    """Let a baker run beside each node; the second branch becomes the longer one."""

    def baker(node: Node, client: Client, vote: Any) -> contextlib.AbstractAsyncContextManager[Baker]:
        return open_baker(
            setting.protocol,
            node,
            client,
            liquidity_baking_toggle_vote=vote,
            event_level="info",
            record=setting.record,
        )

    async with baker(first.node, first.client, "on") as one:
        if setting.twin:
            await first.node.wait_for_level(LEVELS)
        else:
            async with baker(second.node, second.client, "off") as other:
                await _wait_until_idle(one, LEVELS)
                await one.terminate()
                await _wait_until_idle(other, LEVELS + 1)
    if setting.twin:
        setting.report(f"{one.name} baked up to level {first.node.level}, and was stopped")
        await _see_held_back(baker(second.node, first.client, "off"), setting.report)


async def _wait_until_idle(baker: Baker, level: int) -> None:
    """Wait until a baker has voted at a level, knows it decided, and waits to bake the next one.

    Stopped there, it has said the same in every run.
    """
    decided = applied = False

    def see(event: Event) -> Any:
        nonlocal decided, applied
        match event.name:
            case "next_potential_slot.v0":
                decided = decided or event.value["level"] == level + 1
            case "new_head.v0":
                applied = applied or event.value["level"] == level
            case "applied_expected_proposal_received.v0":
                # The block became the head when the quorum for it was there already.
                applied = applied or decided
            case _:
                return event.value if decided and applied else None
        return None

    await baker.wait_for(
        (*_WAITING, "next_potential_slot.v0", "new_head.v0", "applied_expected_proposal_received.v0"),
        see,
        where=f"it waits to bake level {level + 1}",
        since=baker.start_mark(),
    )


async def _denounced(setting: Setting, first: Side, second: Side) -> tuple[Denunciation, Denunciation]:
    """Let a third node learn both branches beside an accuser; give what that denounces."""
    shorter, longer = first.node.level, second.node.level
    for side in (first, second):
        # A node keeps no mempool. So the third one learns of votes by blocks alone, in their order.
        await side.node.terminate()
        await side.node.restart()
    async with (
        setting.node_and_client(arguments=NODE_ARGUMENTS) as (node, client),
        setting.open_accuser(node) as accuser,
    ):
        third = Side(node, client)
        setting.keep_files(node, client, accuser)
        await _begin_as(setting, first, third)
        # What the node learns before it has opened its streams, an accuser never sees.
        await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
        baking = accuser.expect("double_baking_denounced.v0", where="any evidence")
        attesting = accuser.expect("double_attestation_denounced.v0", where="any evidence")
        await first.connect(third)
        await node.wait_for_level(shorter)
        await wait_until_processed(accuser, node, since=accuser.start_mark())
        # What it denounces while the node goes over to the other branch may name a block of the one
        # that is left, and be refused. So it looks when that is done.
        accuser.pause()
        await second.connect(third)
        await node.wait_for_level(longer)
        accuser.resume()
        setting.report(f"{node.name} has learnt both branches")
        blocks, votes = Denunciation(**await baking), Denunciation(**await attesting)
        setting.report(f"{accuser.name} denounced a double baking, {blocks.hash}")
        setting.report(f"{accuser.name} denounced a double attestation, {votes.hash}")
        await wait_until_processed(accuser, node, since=accuser.start_mark())
        await accuser.terminate()
        await third.leave(first, second)
    return blocks, votes


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
