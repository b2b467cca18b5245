"""``submit proposals``, ``submit ballot``, ``show voting period``.

Source: ``lib_client_commands/client_proto_context_commands.ml``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ..._mavryk.codec.crypto import Watermark, watermark
from ..._mavryk.codec.operations import Operation
from ..._mavryk.codec.votes import (
    Ballot,
    BallotText,
    Proposals,
    Vote,
)
from ..cli.json_text import pretty
from .amounts import SYMBOL, amount_text
from .context import Context, Failure


@attrs.frozen
class Choices:
    """The options of a vote."""

    force: bool = False
    """Go on where the client's own checks fail."""
    dry_run: bool = False
    """Make the operation and show it, but inject nothing."""


async def submit_proposals(
    context: Context, source: str, proposals: Sequence[str], *, choices: Choices
) -> None:
    """Propose protocols for the period of the next block. Raises ``RpcFailed``, ``Failure``."""
    period = await _period(context, "successor_period")
    _check(context, "Not in a proposal period", period["kind"] == "proposal", force=choices.force)
    known = set(await context.get("/protocols"))
    known |= {proposal for proposal, _ in await _votes(context, "proposals")}
    issues = [] if proposals else ["Empty proposal list."]
    issues += [f"Protocol {one} is not a known proposal." for one in proposals if one not in known]
    if not issues:
        context.message("All proposals are valid.")
    else:
        what = "is an issue" if len(issues) == 1 else "are issues"
        context.message("\n".join([f"There {what} with the submission:", *(f"* {one}" for one in issues)]))
        _check(context, "Submission failed because of invalid proposals.", False, force=choices.force)
    await _inject(context, Proposals(source, period["index"], tuple(proposals)), choices)


async def submit_ballot(
    context: Context, source: str, proposal: str, ballot: BallotText, *, choices: Choices
) -> None:
    """Vote on the current proposal. Raises ``RpcFailed``, ``Failure``."""
    period = await _period(context, "successor_period")
    in_vote = period["kind"] in ("exploration", "promotion")
    _check(context, "Not in Exploration or Promotion period", in_vote, force=choices.force)
    await _inject(context, Ballot(source, period["index"], proposal, ballot), choices)


async def show_period(context: Context) -> None:
    """Say which period it is, and what is proposed. Raises ``RpcFailed``."""
    info = await _votes(context, "current_period")
    context.message(f'Current period: "{info["voting_period"]["kind"]}"')
    context.message(f"Blocks remaining until end of period: {info['remaining']}")
    if info["voting_period"]["kind"] == "proposal":
        known = set(await context.get("/protocols"))
        context.message("Current proposals:")
        for proposal, power in await _votes(context, "proposals"):
            origin = " (known by the node)" if proposal in known else ""
            context.message(f"* {proposal} {amount_text(int(power))} {SYMBOL}{origin}")
    else:
        context.message(f"Current proposal: {await _votes(context, 'current_proposal')}")
    context.message("")


async def _votes(context: Context, what: str) -> Any:
    return await context.get(f"/chains/{context.chain}/blocks/{context.block}/votes/{what}")


async def _period(context: Context, which: str) -> Any:
    return (await _votes(context, which))["voting_period"]


def _check(context: Context, complaint: str, fine: bool, *, force: bool) -> None:
    if fine:
        return
    if not force:
        raise Failure(complaint)
    context.warning(f"Warning:\n  {complaint}")


async def _inject(context: Context, vote: Vote, choices: Choices) -> None:
    key = context.wallet.key(vote.source)
    branch = await context.get(f"/chains/{context.chain}/blocks/{context.block}/hash")
    unsigned = Operation(branch, (vote,))
    signature = key.sign(unsigned.unsigned_bytes(), watermark=watermark(Watermark.GENERIC))
    signed = attrs.evolve(unsigned, signature=signature)
    if choices.dry_run:
        context.message(f"Operation: 0x{signed.to_bytes().hex()}\nOperation hash is '{signed.hash}'")
        context.message(pretty(signed.to_json()))
        return
    chain_id = await context.get(f"/chains/{context.chain}/chain_id")
    path = f"/injection/operation?chain={chain_id}"
    injected = await context.call("POST", path, signed.to_bytes().hex())
    context.message(f"Operation successfully injected in the node.\nOperation hash is '{injected}'")
