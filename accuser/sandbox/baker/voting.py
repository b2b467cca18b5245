"""The votes of a baker: signed if the watermarks let it, injected, and told of."""

from __future__ import annotations

from typing import Any, Final

import attrs

from ..accuser import answers
from ..client.delegates import Slots
from ..client.wallet import WalletError
from ..rpc.request import Request, RpcFailed
from . import show
from .events import Events
from .forging import Forger
from .values import Proposal, SignedVote, VoteKind

_DAL_EVERY: Final = 10
"""An attestation without a DAL node is complained of this seldom."""


@attrs.define(eq=False, repr=False)
class Voter:
    """Votes for proposals.

    Args:
        forger: makes and signs.
        events: tell of it.
        asks_dal: whether the protocol wants to know of a DAL node, and there is none.
    """

    _forger: Forger
    _events: Events
    _asks_dal: bool
    _attested: dict[str, int] = attrs.field(factory=dict, init=False)

    async def sign(self, proposal: Proposal, slots: Slots) -> list[SignedVote]:
        """Sign both votes of each delegate whose watermark lets it; tell of the others."""
        signed: list[SignedVote] = []
        for kind in ("preattestation", "attestation"):
            signed += await self._sign(kind, proposal, slots)
        return signed

    async def _sign(self, kind: VoteKind, proposal: Proposal, slots: Slots) -> list[SignedVote]:
        level, at_round = proposal.level, proposal.block.round
        signed: list[SignedVote] = []
        if not slots.keys:
            return signed
        try:
            allowed, refused = self._forger.authorized(kind, slots, level, at_round)
        except WalletError as error:
            trace = [{"kind": "temporary", "id": "failure", "msg": str(error)}]
            await self._events.note("error_while_authorizing_consensus_votes", trace)
            return signed
        for delegate, twice in refused.items():
            value = {
                "vote_kind": {},
                "delegate": delegate,
                "level": level,
                "round": at_round,
                "trace": twice.trace,
            }
            await self._events.note("skipping_consensus_vote", value, kind=kind)
        for delegate in allowed:
            if kind == "attestation":
                await self._miss_dal(delegate)
            operation = self._forger.vote(kind, proposal, slots.slots[delegate][0], slots.keys[delegate])
            vote = SignedVote(kind, delegate, level, at_round, proposal.payload, operation)
            value = show.signed_vote(vote, self._events.signer(delegate))
            named = self._events.named(delegate)
            text = f"{kind} ready for delegate {named} at level {level} (round {at_round})"
            await self._events.note("new_forge_event", value, event=text)
            signed.append(vote)
        return signed

    async def _miss_dal(self, delegate: str) -> None:
        if not self._asks_dal:
            return
        count = self._attested[delegate] = self._attested.get(delegate, 0) + 1
        if count % _DAL_EVERY == 1:
            await self._events.note("no_dal_node")

    async def inject(self, vote: SignedVote) -> None:
        """Hand a vote to the node, and tell of it."""
        path = f"/injection/operation?async&chain={self._forger.chain}"
        data = vote.operation.to_bytes().hex()
        try:
            injected = await self._forger.rpc.call(Request("POST", path, answers.operation_hash, data))
        except RpcFailed as error:
            lost = {"vote_kind": {}, "delegate": vote.delegate, "trace": error.trace}
            await self._events.note("failed_to_inject_consensus_vote", lost, kind=vote.kind)
            return
        value: dict[str, Any] = {
            "vote_kind": {},
            "ophash": injected,
            "delegate": vote.delegate,
            "level": vote.level,
            "round": vote.round,
        }
        await self._events.note("consensus_vote_injected", value, kind=vote.kind)
