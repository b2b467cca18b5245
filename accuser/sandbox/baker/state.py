"""The automaton of a baker: Tenderbake's rounds and phases, without input, output or clock.

Invariants:
1. `Automaton.step` alone changes the state; time comes in as the present round of the clock.
2. Votes are asked for from phase ``IDLE`` only, so once a round at most; what was signed before is
   for the watermarks to tell, not for the automaton.
3. A locked automaton asks for no vote but for its payload, or one with a later prequorum.

Transitions, their order and their events are those of ``lib_delegate/state_transitions.ml``.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from .values import (
    NOBODY,
    Action,
    Candidate,
    Elected,
    EndOfRound,
    Forge,
    Inject,
    Input,
    NewProposal,
    Note,
    Phase,
    Prequorum,
    Proposal,
    QuorumReached,
    Rights,
    SignedVote,
    SignVotes,
    Synchronize,
    TimeToBake,
    Watch,
)


@attrs.define(eq=False, repr=False)
class Automaton:
    """One baker's view of a level and its round.

    Args:
        latest: the proposal that is seen last.
        round: the round of the clock, of that level.
        strict: whether votes that are signed too late are compared with the present payload, which
            Boreas does, alone.
    """

    latest: Proposal
    round: int
    strict: bool = True
    applied: bool = True
    """Whether the latest proposal is the node's head."""
    phase: Phase = Phase.IDLE
    rights: Rights = NOBODY
    """Of the level."""
    next_rights: Rights = NOBODY
    """Of the level after it."""
    locked: tuple[int, str] | None = None
    """Round and payload that it has attested."""
    attestable: tuple[Proposal, Prequorum] | None = None
    """The last payload with a prequorum."""
    elected: Elected | None = None
    proposed_round: int | None = None
    """The round of the next level that it has made a block for."""
    early: tuple[SignedVote, ...] = ()
    """Attestations that wait for the prequorum."""

    @property
    def level(self) -> int:
        return self.latest.level

    def start(self, clock_round: int) -> list[Action]:
        """Begin at the node's head. ``clock_round`` is the round of now, of the head's level."""
        if self.latest.is_first_of_protocol:
            # Nobody votes for it.
            self.elected = Elected(self.latest, ())
            self.round = clock_round
            return []
        if self.latest.block.round == clock_round:
            self.round = clock_round
            return [*_new_head(self.latest), *self._vote(self.latest)]
        self.round = clock_round
        return self._end_of_round(clock_round - 1) if clock_round > 0 else []

    def step(self, happening: Input, clock_round: Callable[[Proposal], int]) -> list[Action]:
        """Take in what happened; give what is to be done.

        Args:
            happening: what.
            clock_round: gives the round of now, of the level of a proposal.
        """
        match happening:
            case EndOfRound(round):
                return self._end_of_round(round)
            case TimeToBake(round):
                return self._bake(round)
            case SignedVote():
                return self._signed(happening)
            case NewProposal(proposal, applied):
                return self._proposal(proposal, applied, clock_round)
            case QuorumReached(kind="preattestation"):
                return self._prequorum(happening)
            case QuorumReached():
                return self._quorum(happening)

    # Proposals

    def _proposal(
        self, proposal: Proposal, applied: bool, clock_round: Callable[[Proposal], int]
    ) -> list[Action]:
        same = proposal.block.hash == self.latest.block.hash
        if not applied:
            told: list[Action] = [Note("new_valid_proposal", _place(proposal))]
            if same and self.applied and self.phase is not Phase.IDLE:
                return [*told, Note("valid_proposal_received_after_application")]
            if self.phase is Phase.ATTESTATIONS:
                told.append(Note("new_valid_proposal_while_waiting_for_qc"))
            return [*told, *self._take(proposal, False, clock_round)]
        if same and self.phase is Phase.APPLICATION:
            self.applied = True
            self.phase = Phase.IDLE
            return [Note("applied_expected_proposal_received", proposal.block.hash)]
        told = [*_new_head(proposal)]
        if self.phase is Phase.APPLICATION:
            told.append(Note("unexpected_new_head_while_waiting_for_application"))
        if self.phase is Phase.ATTESTATIONS:
            told.append(Note("new_head_while_waiting_for_qc"))
        if same:
            was, self.applied = self.applied, True
            if not was or self.phase is not Phase.IDLE or self.elected is not None:
                return told
        return [*told, *self._take(proposal, True, clock_round)]

    def _take(
        self, proposal: Proposal, applied: bool, clock_round: Callable[[Proposal], int]
    ) -> list[Action]:
        if proposal.level < self.level:
            levels = {"baker_level": self.level, "node_level": proposal.level}
            return [Note("baker_is_ahead", levels)]
        if proposal.level > self.level:
            return self._new_level(proposal, applied, clock_round(proposal))
        if proposal.predecessor.hash != self.latest.predecessor.hash:
            return self._other_branch(proposal, applied)
        return self._same_level(proposal, applied)

    def _new_level(self, proposal: Proposal, applied: bool, clock_round: int) -> list[Action]:
        at_round = proposal.block.round
        if at_round > clock_round:
            return _unexpected_round(clock_round, at_round)
        self.latest, self.applied, self.round = proposal, applied, clock_round
        self.phase, self.locked, self.attestable, self.elected = Phase.IDLE, None, None, None
        self.proposed_round, self.early = None, ()
        self.rights, self.next_rights = self.next_rights, NOBODY
        told: list[Action] = [Note("new_head_with_increasing_level")]
        if proposal.is_first_of_protocol:
            return told
        self._learn(proposal)
        if at_round < clock_round:
            return [*told, Note("outdated_proposal", proposal.block.hash)]
        return [*told, *self._vote(proposal)]

    def _same_level(self, proposal: Proposal, applied: bool) -> list[Action]:
        at_round, seen = proposal.block.round, self.latest.block.round
        if at_round > self.round:
            return _unexpected_round(self.round, at_round)
        if at_round == seen and proposal.block.hash != self.latest.block.hash:
            twice = {
                "new_proposal": proposal.block.hash,
                "current_round": at_round,
                "previous_proposal": self.latest.block.hash,
            }
            return [Note("proposal_for_round_already_seen", twice), Note("skipping_invalid_proposal")]
        told: list[Action] = []
        if at_round > seen:
            told.append(self._update(proposal, applied))
        if at_round < self.round:
            return [*told, Note("outdated_proposal", proposal.block.hash)]
        if proposal.is_first_of_protocol:
            return told
        self._learn(proposal)
        return [*told, *self._may_vote(proposal)]

    def _update(self, proposal: Proposal, applied: bool) -> Note:
        self.latest, self.applied = proposal, applied
        return Note("updating_latest_proposal", proposal.block.hash)

    def _learn(self, proposal: Proposal) -> None:
        """Take over the prequorum that a proposal carries, if it is a later one."""
        carried = proposal.prequorum
        if carried is not None and (self.attestable is None or carried.round > self.attestable[1].round):
            self.attestable = proposal, carried

    def _may_vote(self, proposal: Proposal) -> list[Action]:
        if self.phase is not Phase.IDLE:
            return []
        if self.locked is None or self.locked[1] == proposal.payload:
            return self._vote(proposal)
        if proposal.prequorum is not None and proposal.prequorum.round > self.locked[0]:
            return self._vote(proposal)
        # Only a prequorum of the others unlocks it.
        self.phase = Phase.PREATTESTATIONS
        return [Watch("preattestation", _candidate(proposal))]

    def _vote(self, proposal: Proposal) -> list[Action]:
        self.phase = Phase.PREATTESTATIONS
        return [
            Note("attempting_vote_proposal", proposal.block.hash),
            Watch("preattestation", _candidate(proposal)),
            SignVotes(proposal),
        ]

    def _other_branch(self, proposal: Proposal, applied: bool) -> list[Action]:
        branches = {
            "current_branch": self.latest.predecessor.hash,
            "new_branch": proposal.predecessor.hash,
        }
        told: list[Action] = [Note("new_proposal_is_on_another_branch", branches)]
        ours = None if self.attestable is None else self.attestable[1].round
        theirs = None if proposal.prequorum is None else proposal.prequorum.round
        if ours is None and theirs is None:
            better = proposal.block.round > self.latest.block.round or (
                self.latest.predecessor.round > proposal.predecessor.round
            )
            name = "branch_proposal_has_better_fitness" if better else None
        elif theirs is None:
            better, name = False, "branch_proposal_has_no_prequorum"
        elif ours is None or theirs > ours:
            better, name = True, "branch_proposal_has_better_prequorum"
        elif theirs < ours:
            better, name = False, "branch_proposal_has_lower_prequorum"
        else:
            better, name = False, "branch_proposal_has_same_prequorum"
        if name is not None:
            told.append(Note(name))
        if not better:
            return told
        self.phase, self.elected, self.locked, self.attestable = Phase.IDLE, None, None, None
        self.early = ()
        told += [Note("switching_branch"), self._update(proposal, applied)]
        self._learn(proposal)
        return [*told, Note("synchronizing_round", proposal.block.hash), Synchronize(proposal)]

    def synchronized(self, clock_round: int) -> list[Action]:
        """Go on with the latest proposal at the round of the clock: the end of a `Synchronize`."""
        self.round = clock_round
        if self.latest.block.round == clock_round and not self.latest.is_first_of_protocol:
            return self._may_vote(self.latest)
        return []

    # Votes

    def _signed(self, vote: SignedVote) -> list[Action]:
        if (vote.level, vote.round) != (self.level, self.round):
            # Of preattestations upstream only declares the event.
            value = {"delegate": vote.delegate, "level": vote.level, "round": vote.round}
            return [Note("discarding_attestation", value)] if vote.kind == "attestation" else []
        if vote.kind == "preattestation":
            if self.strict and vote.payload_hash != self.latest.payload:
                return [self._other_payload("preattestation_with_different_payload", vote)]
            return [Inject(vote)]
        if self.phase is Phase.PREATTESTATIONS:
            self.early = (*self.early, vote)
            return []
        if self.strict and self.attestable is None:
            value = {"delegate": vote.delegate, "level": vote.level, "round": vote.round}
            return [Note("discarding_unexpected_attestation_without_prequorum", value)]
        return self._attestation(vote)

    def _attestation(self, vote: SignedVote) -> list[Action]:
        if self.strict and self.attestable is not None:
            payload = self.attestable[1].payload_hash
            if vote.payload_hash != payload:
                return [self._other_payload("attestation_with_different_prequorum", vote, payload)]
        return [Inject(vote)]

    def _other_payload(self, what: str, vote: SignedVote, payload: str | None = None) -> Note:
        value = {
            "delegate": vote.delegate,
            "payload": vote.payload_hash,
            "level": vote.level,
            "round": vote.round,
            "state_payload": self.latest.payload if payload is None else payload,
        }
        return Note(f"discarding_unexpected_{what}", value)

    def _prequorum(self, reached: QuorumReached) -> list[Action]:
        candidate = reached.candidate
        if self.phase is not Phase.PREATTESTATIONS:
            return self._unexpected("prequorum", candidate)
        if candidate.block != self.latest.block.hash:
            received = {"received_hash": candidate.block, "expected_hash": self.latest.block.hash}
            return [Note("unexpected_prequorum_received", received)]
        prequorum = Prequorum(candidate.level, candidate.round, candidate.payload_hash, reached.votes)
        self.locked = candidate.round, candidate.payload_hash
        self.attestable = self.latest, prequorum
        self.phase = Phase.ATTESTATIONS
        early, self.early = self.early, ()
        injected = [action for vote in early for action in self._attestation(vote)]
        return [*injected, Watch("attestation", candidate)]

    def _quorum(self, reached: QuorumReached) -> list[Action]:
        candidate = reached.candidate
        if self.phase is not Phase.ATTESTATIONS:
            return self._unexpected("quorum", candidate)
        if candidate.block != self.latest.block.hash:
            received = {"received_hash": candidate.block, "expected_hash": self.latest.block.hash}
            return [Note("unexpected_quorum_received", received)]
        self.elected = Elected(self.latest, reached.votes)
        self.phase = Phase.IDLE if self.applied else Phase.APPLICATION
        return []

    def _unexpected(self, what: str, candidate: Candidate) -> list[Action]:
        if not self.strict:
            return []
        value = {"candidate": candidate.block, "phase": self.phase.value}
        return [Note(f"discarding_unexpected_{what}_reached", value)]

    # Time

    def _end_of_round(self, ended: int) -> list[Action]:
        self.round, self.phase, self.early = ended + 1, Phase.IDLE, ()
        place = {"current_round": ended, "level": self.level, "next_round": self.round}
        delegate = self.rights.owner(self.round)
        if delegate is None or self.latest.is_first_of_protocol:
            return [Note("no_proposal_slot", place)]
        told: list[Action] = [Note("proposal_slot", {**place, "delegate": delegate})]
        predecessor = self.latest.predecessor
        if self.attestable is None:
            forge = Forge(self.level, self.round, delegate, predecessor, again=self.latest)
            return [*told, Note("no_attestable_payload_fresh_block"), forge]
        proposal, prequorum = self.attestable
        told.append(Note("repropose_block", prequorum.payload_hash))
        forge = Forge(self.level, self.round, delegate, predecessor, again=proposal, prequorum=prequorum)
        return [*told, forge]

    def _bake(self, at_round: int) -> list[Action]:
        if self.elected is None:
            return []
        delegate = self.next_rights.owner(at_round)
        if delegate is None:
            return []
        self.proposed_round = at_round
        forge = Forge(
            self.level + 1,
            at_round,
            delegate,
            self.elected.proposal.block,
            quorum=self.elected.attestations,
        )
        return [Note("preparing_fresh_block", {"delegate": delegate, "round": at_round}), forge]


def _new_head(proposal: Proposal) -> list[Action]:
    return [Note("new_head", _place(proposal))]


def _place(proposal: Proposal) -> dict[str, object]:
    return {"block": proposal.block.hash, "level": proposal.level, "round": proposal.block.round}


def _candidate(proposal: Proposal) -> Candidate:
    return Candidate(proposal.block.hash, proposal.level, proposal.block.round, proposal.payload)


def _unexpected_round(expected: int, found: int) -> list[Action]:
    rounds = {"expected_round": expected, "proposal_round": found}
    return [Note("unexpected_proposal_round", rounds), Note("skipping_invalid_proposal")]
