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
from .context import Context, Refusal


async def submit_proposals(context: Context, source: str, proposals: Sequence[str], *, force: bool) -> None:
    """Propose protocols for the period of the next block. Raises ``RpcFailed``, ``Refusal``."""
    period = await _period(context, "successor_period")
    _check(context, "Not in a proposal period", period["kind"] == "proposal", force=force)
    known = set(await context.get("/protocols"))
    known |= {proposal for proposal, _ in await _votes(context, "proposals")}
    issues = [] if proposals else ["Empty proposal list."]
    issues += [f"Protocol {one} is not a known proposal." for one in proposals if one not in known]
    if issues:
        what = "is an issue" if len(issues) == 1 else "are issues"
        context.message("\n".join([f"There {what} with the submission:", *(f"* {one}" for one in issues)]))
        _check(context, "Submission failed because of invalid proposals.", False, force=force)
    await _inject(context, Proposals(source, period["index"], tuple(proposals)))


async def submit_ballot(
    context: Context, source: str, proposal: str, ballot: BallotText, *, force: bool
) -> None:
    """Vote on the current proposal. Raises ``RpcFailed``, ``Refusal``."""
    period = await _period(context, "successor_period")
    in_vote = period["kind"] in ("exploration", "promotion")
    _check(context, "Not in Exploration or Promotion period", in_vote, force=force)
    await _inject(context, Ballot(source, period["index"], proposal, ballot))


async def show_period(context: Context) -> None:
    """Say which period it is, and what is proposed. Raises ``RpcFailed``."""
    info = await _votes(context, "current_period")
    context.message(f'Current period: "{info["voting_period"]["kind"]}"')
    context.message(f"Blocks remaining until end of period: {info['remaining']}")
    if info["voting_period"]["kind"] == "proposal":
        context.message("Current proposals:")
        for proposal, power in await _votes(context, "proposals"):
            context.message(f"* {proposal} {power}")
    else:
        context.message(f"Current proposal: {await _votes(context, 'current_proposal')}")


async def _votes(context: Context, what: str) -> Any:
    return await context.get(f"/chains/{context.chain}/blocks/{context.block}/votes/{what}")


async def _period(context: Context, which: str) -> Any:
    return (await _votes(context, which))["voting_period"]


def _check(context: Context, complaint: str, fine: bool, *, force: bool) -> None:
    if fine:
        return
    if not force:
        raise Refusal(complaint)
    context.warning(f"Warning:\n  {complaint}")


async def _inject(context: Context, vote: Vote) -> None:
    key = context.wallet.key(vote.source)
    branch = await context.get(f"/chains/{context.chain}/blocks/{context.block}/hash")
    unsigned = Operation(branch, (vote,))
    signature = key.sign(unsigned.unsigned_bytes(), watermark=watermark(Watermark.GENERIC))
    signed = attrs.evolve(unsigned, signature=signature)
    chain_id = await context.get(f"/chains/{context.chain}/chain_id")
    path = f"/injection/operation?chain={chain_id}"
    injected = await context.call("POST", path, signed.to_bytes().hex())
    context.message(f"Operation successfully injected in the node.\nOperation hash is '{injected}'")
