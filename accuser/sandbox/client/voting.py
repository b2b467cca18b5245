"""``attest for`` and ``preattest for`` (``lib_delegate/baking_lib.ml``), and the votes that bakers add."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from ..._mavryk.codec.crypto import Key, watermark
from ..._mavryk.codec.operations import Consensus, Operation
from ..rpc.request import RpcFailed
from .context import Context, Failure
from .delegates import Constants, Head, Slots, constants, head_of, named, slots_of
from .events import BakingEvents
from .wallet import Signed

Vote = Literal["attestation", "preattestation"]

_MARKS: Final[dict[Vote, Signed]] = {"attestation": "attestations", "preattestation": "preattestations"}
_VERBS: Final[dict[Vote, str]] = {"attestation": "attest", "preattestation": "preattest"}


async def vote(context: Context, kind: Vote, keys: Sequence[Key], protocol: str, *, force: bool) -> None:
    """Make and inject one vote for the head for each of ``keys`` that has slots.

    Args:
        context: of the command.
        kind: of the votes.
        keys: who votes.
        protocol: that is active at the head.
        force: vote for any head, and again.

    Raises:
        RpcFailed: the node is not there or has not what it takes. A refused vote is only told.
        Failure: the head is not that of the current round.
    """
    head = await head_of(context, "head")
    predecessor = await head_of(context, head.shell.predecessor)
    if not force:
        _check_current(context, kind, head, predecessor, await constants(context))
    slots = await slots_of(context, keys, head.shell.level)
    lines = [named(key, pkh).replace("\n", "\n  ") for pkh, key in slots.keys.items()]
    verb = _VERBS[kind].capitalize()
    context.message("\n  ".join([f"{verb}ing for:", *lines]))
    chain_id = await context.get(f"/chains/{context.chain}/chain_id")
    events = await BakingEvents.of(context, protocol)
    try:
        for pkh, operation in signed_votes(context, kind, head, predecessor, slots, chain_id, force=force):
            await _inject(context, events, kind, operation, slots.keys[pkh], pkh, chain_id)
    finally:
        events.close()


def signed_votes(
    context: Context, kind: Vote, head: Head, predecessor: Head, slots: Slots, chain_id: str, *, force: bool
) -> list[tuple[str, Operation]]:
    """Votes for a block, by delegate; none of those who voted at its level and round before.

    Raises ``WalletError``.
    """
    if head.payload_hash is None:
        # The first block of a protocol is final by itself.
        return []
    level, at_round = head.shell.level, head.round
    pkhs = [key.pkh for key in slots.keys.values()]
    allowed = context.wallet.may_sign(chain_id, _MARKS[kind], pkhs, level, at_round, force=force)
    votes = []
    for delegate, key in slots.keys.items():
        if key.pkh not in allowed:
            continue
        content = Consensus(kind, min(slots.slots[delegate]), level, at_round, head.payload_hash)
        # The branch is the last final block, which stays whatever becomes of the head.
        unsigned = Operation(predecessor.shell.predecessor, (content,))
        mark = watermark(content.watermark, chain_id)
        signature = key.sign(unsigned.unsigned_bytes(), watermark=mark)
        votes.append((delegate, Operation(unsigned.branch, (content,), signature)))
    return votes


def _check_current(context: Context, kind: Vote, head: Head, predecessor: Head, constants: Constants) -> None:
    current = constants.round_at(predecessor, context.wall())
    if head.round != current:
        what = "an invalid" if current < head.round else "an outdated"
        raise Failure(f"Cannot {_VERBS[kind]} {what} proposal")


async def _inject(
    context: Context,
    events: BakingEvents,
    kind: Vote,
    operation: Operation,
    key: Key,
    delegate: str,
    chain_id: str,
) -> None:
    path = f"/injection/operation?chain={chain_id}"
    content = operation.content
    assert isinstance(content, Consensus)
    try:
        injected = await context.call("POST", path, operation.to_bytes().hex())
    except RpcFailed as error:
        await events.vote_failed(kind, key, delegate, error)
    else:
        await events.vote(kind, injected, key, delegate, content.level, content.round)
