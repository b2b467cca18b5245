"""The end of an exploration, and what must be true then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .._mavryk.codec.fields import ForgeError
from .._mavryk.codec.forge import fitness_key
from .._mavryk.codec.operations import DoubleBaking, DoubleConsensus, Operation
from .._mavryk.protocol import Protocol
from ..sandbox.chain.block import Block
from .money import lost_money
from .player import Player
from .schedule import Bake
from .signatures import BY_HAND, Deed, Signatures
from .stations import Quality

_ROUNDS: Final = 12
"""One of so many rounds has a baker who is not forbidden."""

_LEAST, _MOST = 2, 12
"""Blocks at the end: the first settles which branch wins, the others have the evidence that is left.

Some of that waits for a level to come."""


async def end(player: Player) -> None:
    """Heal everything, bake, and look at what must be true."""
    nodes = len(player.stations)
    player.links.cut(0)
    for one in range(nodes):
        for other in range(one):
            player.links.set(one, other, Quality())
    for station in player.stations:
        await player.raise_up(station)
    player.tell_heads()
    await player.drain()
    player.crowd.end()
    could_bake = True
    for count in range(_MOST):
        if count >= _LEAST and not any(station.evidence() for station in player.stations):
            break
        player.tell_evidence()
        await player.drain()
        could_bake = could_bake and await _bake(player)
        await player.drain()
    player.violations += _untrue(player)
    if could_bake:
        player.violations += _unfinished(player)
    player.look(len(player.schedule.steps))


async def _bake(player: Player) -> bool:
    """Bake on the best head; whether somebody may, and is not forbidden to."""
    best = max(player.stations, key=lambda each: (fitness_key(each.head.header.shell.fitness), -each.index))
    known = {each.hash for each in best.evidence()}
    for at_round in range(_ROUNDS):
        made = await player.bake(Bake(node=best.index, round=at_round))
        if made is not None and best.head is made:
            # What is still valid after it was so before, and no other evidence was in its way.
            left = sorted(known & {each.hash for each in best.evidence()})
            player.violations += [f"the evidence {each} could be included, and was not" for each in left]
            return True
    return False


def _unfinished(player: Player) -> Iterator[str]:
    """What the blocks at the end should have brought about."""
    heads = {station.head.hash for station in player.stations}
    if len(heads) > 1:
        yield f"the nodes do not agree: their heads are {sorted(heads)}"


def unjust(player: Player) -> Iterator[str]:
    """What is wrong with the evidence that accusers have injected so far."""
    for watching in player.watching:
        for evidence in watching.evidence.values():
            yield from (f"{watching.name}: {fault}" for fault in _faults(player.signed, evidence))


def _untrue(player: Player) -> Iterator[str]:
    yield from unjust(player)
    yield from lost_money(player.made)
    best = player.stations[0]
    included: dict[Deed | str, list[Block]] = {}
    for block in best.chain.branch(best.head):
        # One block may have two evidences of one deed, where they name different slots: it is punished once.
        for about in set(_denounced(player.signed.deeds, block)):
            included.setdefault(about, []).append(block)
    for about, blocks in included.items():
        if len(blocks) > 1 and not _was_forgotten(about, blocks):
            yield f"{about} was included in {len(blocks)} blocks"


def _was_forgotten(about: Deed | str, latest_first: list[Block]) -> bool:
    """Whether upstream's migration from Atlas has forgotten that a deed was denounced.

    It takes all of Atlas's denunciations for ones of round 0, which its successor looks up for the levels
    below its own first one; that one, whose votes Atlas knows already, is not among them.
    """
    if isinstance(about, str) or len(latest_first) > 2:
        return False
    later, earlier = latest_first
    calendar = later.state.calendar
    assert calendar is not None
    _, _, level, at_round = about
    is_new = later.protocol != earlier.protocol == Protocol.ATLAS.hash
    return is_new and at_round > 0 and level >= calendar.protocol_level


def _faults(signatures: Signatures, evidence: str) -> Iterator[str]:
    """What is wrong with an evidence, by what was really signed."""
    signed, sources = signatures.deeds, signatures.sources
    try:
        operation = Operation.from_bytes(bytes.fromhex(evidence))
        first, second = _parts(operation)
    except (ForgeError, ValueError, TypeError) as error:
        yield f"it injected what is no evidence: {error}"
        return
    if first == second:
        yield f"the evidence {operation.hash} holds one thing twice"
    if first not in signed or second not in signed:
        yield f"the evidence {operation.hash} holds what nobody signed"
    elif signed[first] != signed[second]:
        yield f"somebody honest was denounced, by {operation.hash}: {signed[first]} and {signed[second]}"
    elif (source := sources[first]) == sources[second] and source != BY_HAND:
        yield f"the watermarks of {source} let it sign twice: {signed[first]}, by {operation.hash}"


def _denounced(signed: dict[str, Deed], block: Block) -> Iterator[Deed | str]:
    """What the evidence of a block is about."""
    for passed in block.operations:
        for operation in passed:
            if isinstance(operation.content, DoubleBaking | DoubleConsensus):
                yield signed.get(_parts(operation)[0], operation.hash)


def _parts(operation: Operation) -> tuple[str, str]:
    content = operation.content
    if isinstance(content, DoubleBaking):
        return content.bh1.hash, content.bh2.hash
    if isinstance(content, DoubleConsensus):
        return content.op1.hash, content.op2.hash
    raise TypeError(f"the kind {type(content).__name__} is none")
