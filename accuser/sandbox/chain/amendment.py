"""How delegates adopt a protocol by votes (``lib_protocol/amendment.ml``, ``vote_storage.ml``).

Pure. Five kinds of periods follow each other, all of one length: proposals, a first vote
(exploration), a pause (cooldown), a second vote (promotion), and the time to get ready (adoption).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..._mavryk.codec.votes import (
    BALLOTS,
    MAX_PROPOSALS,
    Ballot,
    Proposals,
    Vote,
)
from .parameters import Calendar
from .trace import (
    BRANCH,
    PERMANENT,
    TEMPORARY,
    NodeError,
    protocol_error,
)

KINDS: Final = ("proposal", "exploration", "cooldown", "promotion", "adoption")


@attrs.frozen
class Amendment:
    """Where the votes stand after a block, for the next one."""

    index: int = 0
    kind: str = "proposal"
    start_position: int = 0
    """The first level of the period, counted from the chain's first protocol."""
    kind_before: str = "proposal"
    supporters: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    """Who proposed, by protocol, in a proposal period."""
    proposal: str | None = None
    """What is voted on, or adopted."""
    ballots: Mapping[str, str] = attrs.field(factory=dict)
    """By delegate."""
    participation: int | None = None
    """Moving average, in hundredths of a per cent; None stands for the constant ``quorum_max``."""

    def with_vote(self, vote: Vote) -> Amendment:
        """After a vote that was found valid."""
        if isinstance(vote, Ballot):
            return attrs.evolve(self, ballots={**self.ballots, vote.source: vote.ballot})
        supporters = dict(self.supporters)
        for proposal in vote.proposals:
            supporters[proposal] = supporters.get(proposal, frozenset()) | {vote.source}
        return attrs.evolve(self, supporters=supporters)

    def at_end_of(self, level: int, calendar: Calendar) -> tuple[Amendment, str | None]:
        """After a block of that level with all its votes, and the protocol that is now adopted."""
        position = level - calendar.first_level
        if position - self.start_position + 1 < calendar.blocks_per_voting_period:
            return self, None
        following = attrs.evolve(
            self,
            index=self.index + 1,
            start_position=position + 1,
            kind_before=self.kind,
            supporters={},
            ballots={},
        )
        if self.kind == "proposal":
            winner = self._winner(calendar)
            if winner is not None:
                return attrs.evolve(following, kind="exploration", proposal=winner), None
        elif self.kind in ("exploration", "promotion"):
            approved, participation = self._outcome(calendar)
            following = attrs.evolve(following, participation=participation)
            if approved:
                return attrs.evolve(following, kind=self._next_kind), None
        elif self.kind == "cooldown":
            return attrs.evolve(following, kind=self._next_kind), None
        adopted = self.proposal if self.kind == "adoption" else None
        return attrs.evolve(following, kind="proposal", proposal=None), adopted

    @property
    def _next_kind(self) -> str:
        return KINDS[KINDS.index(self.kind) + 1]

    def powers(self, calendar: Calendar) -> dict[str, int]:
        """The voting power of each proposal, in mumav."""
        powers = calendar.voting_powers
        return {
            proposal: sum(powers[pkh] for pkh in supporters)
            for proposal, supporters in self.supporters.items()
        }

    def tally(self, calendar: Calendar) -> dict[str, int]:
        """The voting power of each ballot."""
        tally: dict[str, int] = dict.fromkeys(BALLOTS, 0)
        for pkh, ballot in self.ballots.items():
            tally[ballot] += calendar.voting_powers[pkh]
        return tally

    def quorum(self, calendar: Calendar) -> int:
        """The participation that a vote needs, in hundredths of a per cent."""
        least, most = calendar.parameters.quorum_min, calendar.parameters.quorum_max
        return least + self._participation(calendar) * (most - least) // 10_000

    def _participation(self, calendar: Calendar) -> int:
        return calendar.parameters.quorum_max if self.participation is None else self.participation

    def _winner(self, calendar: Calendar) -> str | None:
        powers = self.powers(calendar)
        most = max(powers.values(), default=0)
        winners = [proposal for proposal, power in powers.items() if power == most]
        least = calendar.parameters.min_proposal_quorum * calendar.total_voting_power // 10_000
        # A tie has no winner.
        return winners[0] if len(winners) == 1 and most >= least else None

    def _outcome(self, calendar: Calendar) -> tuple[bool, int]:
        tally = self.tally(calendar)
        cast = tally["yay"] + tally["nay"]
        participation = (cast + tally["pass"]) * 10_000 // max(calendar.total_voting_power, 1)
        approved = participation >= self.quorum(calendar) and tally["yay"] >= 8 * cast // 10
        return approved, (8 * self._participation(calendar) + 2 * participation) // 10

    def info(self, level: int, calendar: Calendar, *, successor: bool = False) -> dict[str, Any]:
        """The period of a block of that level, after which this is; or the one of the next block."""
        position, length = level - calendar.first_level + successor, calendar.blocks_per_voting_period
        period = {"index": self.index, "kind": self.kind, "start_position": self.start_position}
        if position < self.start_position:
            # It was the last block of its period.
            start = self.start_position - length
            period = {"index": self.index - 1, "kind": self.kind_before, "start_position": start}
        since = position - int(str(period["start_position"]))
        return {"voting_period": period, "position": since, "remaining": length - since - 1}


def check(vote: Vote, amendment: Amendment, calendar: Calendar, protocol: str) -> None:
    """Whether the next block may have a vote, but for its signature. Raises ``NodeError``."""

    def wrong(kind: str, identifier: str, **fields: object) -> NodeError:
        return protocol_error(protocol, kind, f"validate.operation.{identifier}", fields)

    if vote.source not in calendar.voting_powers:
        identifier = f"operation.{vote.kind}_from_unregistered_delegate"
        raise protocol_error(protocol, PERMANENT, identifier, {"delegate": vote.source})
    if vote.period != amendment.index:
        current, provided = amendment.index, vote.period
        raise wrong(TEMPORARY, "wrong_voting_period_index", current_index=current, provided_index=provided)
    expected = ["proposal"] if isinstance(vote, Proposals) else ["exploration", "promotion"]
    if amendment.kind not in expected:
        raise wrong(TEMPORARY, "wrong_voting_period_kind", current=amendment.kind, expected=expected)
    if isinstance(vote, Ballot):
        if vote.proposal != amendment.proposal:
            now, given = amendment.proposal, vote.proposal
            raise wrong(BRANCH, "ballot_for_wrong_proposal", current_proposal=now, ballot_proposal=given)
        if vote.source in amendment.ballots:
            raise wrong(BRANCH, "already_submitted_a_ballot")
        return
    if not vote.proposals:
        raise wrong(PERMANENT, "empty_proposals")
    for proposal, count in Counter(vote.proposals).items():
        if count > 1:
            raise wrong(PERMANENT, "proposals_contain_duplicate", proposal=proposal)
        if vote.source in amendment.supporters.get(proposal, ()):
            raise wrong(BRANCH, "already_proposed", proposal=proposal)
    count = sum(vote.source in supporters for supporters in amendment.supporters.values())
    if count + len(vote.proposals) > MAX_PROPOSALS:
        more = len(vote.proposals)
        raise wrong(TEMPORARY, "conflict_too_many_proposals", previous_count=count, operation_count=more)


def conflict_key(vote: Vote) -> tuple[object, ...]:
    """What two votes may not share in one block or mempool."""
    return (vote.kind, vote.source)


def conflict_error(vote: Vote, operation: str, existing: str, protocol: str) -> NodeError:
    """The delegate has such a vote in the mempool or block already, under that hash."""
    kind = "ballot" if isinstance(vote, Ballot) else "proposals"
    conflict = {"existing": existing, "new_operation": operation}
    return protocol_error(
        protocol, TEMPORARY, f"validate.operation.conflicting_{kind}", {"conflict": conflict}
    )
