"""``submit proposals``, ``submit ballot``, ``show voting period``.

Source: ``lib_client_commands/client_proto_context_commands.ml``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Container, Sequence
from typing import Any, Final

import attrs

from ..._mavryk.codec.crypto import Key, Watermark, watermark
from ..._mavryk.codec.operations import Operation
from ..._mavryk.codec.votes import (
    Ballot,
    BallotText,
    Proposals,
    Vote,
)
from ..rpc.error_text import MARGIN, laid_out
from ..rpc.request import RpcFailed
from .amounts import SYMBOL, amount_text
from .context import Context, Failure
from .receipts import shown_sequence
from .waiting import bootstrapped, included

MOST_PROPOSALS: Final = 20
"""Of one delegate in a period, which the client knows by itself."""


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
    key = context.wallet.key(source)
    period = await _period(context, "successor_period")
    _check(context, "Not in a proposal period", period["kind"] == "proposal", force=choices.force)
    known = set(await context.get("/protocols"))
    known |= {proposal for proposal, _ in await _votes(context, "proposals")}
    issues = _issues(proposals, known)
    if (complaint := await _powerless(context, source)) is not None:
        issues.append(complaint)
    if not issues:
        context.message("All proposals are valid.")
    else:
        what = "is an issue" if len(issues) == 1 else "are issues"
        # Upstream tells the last one that it has found first.
        context.message("\n".join([f"There {what} with the submission:", *map(_item, reversed(issues)), ""]))
        if not choices.force:
            raise Failure("Submission failed because of invalid proposals.")
        context.message("Some proposals are not valid, but `--force` was used.")
    try:
        await _inject(context, key, Proposals(source, period["index"], tuple(proposals)), choices)
    except RpcFailed as error:
        trace = "".join(laid_out(one, "  ") for one in error.trace)
        context.message(f"Error:\nError:\n{trace}")
        raise Failure("Failed to submit proposals") from error


def _issues(proposals: Sequence[str], known: Container[str]) -> list[str]:
    """What is wrong with proposals, in the order in which upstream looks."""
    issues = [] if proposals else ["Empty proposal list."]
    if len(proposals) > MOST_PROPOSALS:
        issues.append(f"Too many proposals: {len(proposals)} > {MOST_PROPOSALS}.")
    if twice := sorted({one for one in proposals if proposals.count(one) > 1}):
        what = "is a duplicate proposal" if len(twice) == 1 else "are duplicate proposals"
        issues.append(f"There {what}: {', '.join(twice)}.")
    return issues + [f"Protocol {one} is not a known proposal." for one in proposals if one not in known]


def _item(issue: str) -> str:
    """An item of a list, as a box of ``Format`` breaks it."""
    return textwrap.fill(
        issue,
        MARGIN,
        initial_indent="* ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


async def _powerless(context: Context, source: str) -> str | None:
    """A complaint about somebody without voting rights; None about others. Raises ``RpcFailed``."""
    try:
        power = await context.get(f"{context.at}/context/delegates/{source}/voting_power")
    except RpcFailed as error:
        if not any(str(one.get("id", "")).endswith("delegate.not_registered") for one in error.trace):
            raise
        power = "0"
    if int(power) != 0:
        return None
    name = context.wallet.key(source).alias
    return f"Public-key-hash `{source}` from account `{name}` does not appear to have voting rights."


async def submit_ballot(
    context: Context, source: str, proposal: str, ballot: BallotText, *, choices: Choices
) -> None:
    """Vote on the current proposal. Raises ``RpcFailed``, ``Failure``."""
    key = context.wallet.key(source)
    period = await _period(context, "successor_period")
    current = await _votes(context, "current_proposal")
    if period["kind"] in ("exploration", "promotion") and current is not None:
        unexpected = f"Unexpected proposal, expected: {current}"
        _check(context, unexpected, proposal == current, force=choices.force)
    else:
        _check(context, "Not in Exploration or Promotion period", False, force=choices.force)
    complaint = await _powerless(context, source)
    _check(context, complaint or "", complaint is None, force=choices.force)
    await _inject(context, key, Ballot(source, period["index"], proposal, ballot), choices)


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


async def _inject(context: Context, key: Key, vote: Vote, choices: Choices) -> None:
    """Apply a vote on trial, then inject it; as upstream, wait for no block, whatever ``--wait`` says."""
    await bootstrapped(context)
    branch = await context.get(f"{context.at}/hash")
    chain_id = await context.get(f"/chains/{context.chain}/chain_id")
    unsigned = Operation(branch, (vote,))
    signature = key.sign(unsigned.unsigned_bytes(), watermark=watermark(Watermark.GENERIC))
    signed = attrs.evolve(unsigned, signature=signature)
    protocol = (await context.get(f"{context.at}/protocols"))["next_protocol"]
    tried = [{"protocol": protocol, **signed.to_json()}]
    (answer,) = await context.call("POST", f"{context.at}/helpers/preapply/operations?version=1", tried)
    if choices.dry_run:
        context.message(f"Operation: 0x{signed.to_bytes().hex()}\nOperation hash is '{signed.hash}'")
        context.message(shown_sequence(answer["contents"], "Simulation result:"))
        return
    path = f"/injection/operation?chain={chain_id}"
    injected = str(await context.call("POST", path, signed.to_bytes().hex()))
    context.message(f"Operation successfully injected in the node.\nOperation hash is '{injected}'")
    await included(attrs.evolve(context, confirmations=None), injected, branch)
    context.message(shown_sequence(answer["contents"]))
