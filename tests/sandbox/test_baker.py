"""The baker's automaton, quorums, schedule, votes and choices: pure, without node or clock."""

from __future__ import annotations

import pytest

from accuser.sandbox.baker.values import (
    Elected,
    EndOfRound,
    Forge,
    Inject,
    NewProposal,
    Note,
    Phase,
    Prequorum,
    Rights,
    Synchronize,
    TimeToBake,
    Watch,
)
from tests.support.bakers import (
    automaton,
    block,
    feed,
    locked_on,
    names,
    payload,
    phase,
    prequorum,
    proposal,
    quorum,
    signed,
    vote,
)

# A level


def test_a_level_from_its_proposal_to_the_next_block() -> None:
    state, first = automaton(), proposal("a")
    actions = feed(state, NewProposal(first, False))
    assert names(actions) == [
        "new_valid_proposal",
        "new_head_with_increasing_level",
        "attempting_vote_proposal",
        "Watch",
        "SignVotes",
    ]
    assert phase(state) is Phase.PREATTESTATIONS
    assert names(feed(state, signed("preattestation", first))) == ["Inject"]
    assert names(feed(state, signed("attestation", first))) == []
    assert names(feed(state, NewProposal(first, True))) == ["new_head"]
    actions = feed(state, prequorum(first))
    assert names(actions) == ["Inject", "Watch"]
    assert isinstance(actions[0], Inject)
    assert actions[0].vote.kind == "attestation"
    assert (state.phase, state.locked) == (Phase.ATTESTATIONS, (0, payload("a")))
    assert feed(state, quorum(first)) == []
    assert phase(state) is Phase.IDLE
    assert state.elected is not None
    actions = feed(state, TimeToBake(2))
    assert names(actions) == ["preparing_fresh_block", "Forge"]
    forge = actions[1]
    assert isinstance(forge, Forge)
    assert (forge.level, forge.round, forge.delegate, forge.predecessor.hash) == (4, 2, "one", block("a"))
    assert forge.quorum == quorum(first).votes
    assert state.proposed_round == 2


def test_a_quorum_that_is_there_before_the_application() -> None:
    state, first = automaton(), proposal("a")
    feed(state, NewProposal(first, False))
    feed(state, prequorum(first))
    feed(state, quorum(first))
    assert state.phase is Phase.APPLICATION
    assert names(feed(state, NewProposal(first, True))) == ["applied_expected_proposal_received"]
    assert (state.phase, state.applied) == (Phase.IDLE, True)


def test_another_head_in_place_of_the_awaited_one() -> None:
    state, first = automaton(), proposal("a")
    feed(state, NewProposal(first, False))
    feed(state, prequorum(first))
    feed(state, quorum(first))
    told = names(feed(state, NewProposal(proposal("b", 4), True)))
    assert told[:3] == [
        "new_head",
        "unexpected_new_head_while_waiting_for_application",
        "new_head_with_increasing_level",
    ]


def test_the_head_may_come_before_the_validation() -> None:
    state, first = automaton(), proposal("a")
    told = names(feed(state, NewProposal(first, True)))
    assert told[:2] == ["new_head", "new_head_with_increasing_level"]
    told = names(feed(state, NewProposal(first, False)))
    assert told == ["new_valid_proposal", "valid_proposal_received_after_application"]
    # With the whole quorum there, it votes a second time: the watermarks are what keeps it from signing.
    feed(state, prequorum(first))
    feed(state, quorum(first))
    assert names(feed(state, NewProposal(first, False)))[-1] == "SignVotes"


@pytest.mark.parametrize(
    ("round", "clock", "last"),
    [
        (0, 0, "SignVotes"),
        (0, 1, "outdated_proposal"),
        (1, 0, "skipping_invalid_proposal"),
        (2, 2, "SignVotes"),
    ],
)
def test_only_a_block_of_the_present_round_is_voted_for(round: int, clock: int, last: str) -> None:
    state = automaton()
    assert names(feed(state, NewProposal(proposal("a", round=round), False), clock))[-1] == last
    assert state.level == (2 if last == "skipping_invalid_proposal" else 3)


def test_a_lower_level_is_ignored() -> None:
    state = automaton(proposal("a", 5))
    actions = feed(state, NewProposal(proposal("b", 4), True))
    assert actions[1] == Note("baker_is_ahead", {"baker_level": 5, "node_level": 4})
    assert state.level == 5


def test_the_first_block_of_a_protocol_is_not_voted_for() -> None:
    state = automaton()
    first = proposal("a", proto=2)
    assert "SignVotes" not in names(feed(state, NewProposal(first, False)))
    # But whoever starts with it as head builds on it.
    state = automaton(first)
    assert state.start(0) == []
    assert state.elected == Elected(first, ())


# Rounds


def test_a_second_block_of_the_same_round() -> None:
    state = automaton()
    feed(state, NewProposal(proposal("a"), False))
    actions = feed(state, NewProposal(proposal("b"), False))
    assert names(actions)[1:] == ["proposal_for_round_already_seen", "skipping_invalid_proposal"]
    assert state.latest.block.hash == block("a")


def test_the_end_of_a_round_without_any_prequorum() -> None:
    state, first = automaton(), proposal("a")
    feed(state, NewProposal(first, False))
    actions = feed(state, EndOfRound(0))
    assert names(actions) == ["proposal_slot", "no_attestable_payload_fresh_block", "Forge"]
    forge = actions[-1]
    assert isinstance(forge, Forge)
    assert (forge.level, forge.round, forge.delegate) == (3, 1, "two")
    assert (forge.prequorum, forge.again) == (None, first)
    assert forge.predecessor.hash == block("2")
    assert (state.round, state.phase) == (1, Phase.IDLE)


def test_the_end_of_a_round_with_a_payload_to_propose_again() -> None:
    state, first = automaton(), proposal("a")
    feed(state, NewProposal(first, False))
    feed(state, prequorum(first))
    actions = feed(state, EndOfRound(0))
    assert names(actions) == ["proposal_slot", "repropose_block", "Forge"]
    forge = actions[-1]
    assert isinstance(forge, Forge)
    assert forge.again == first
    assert forge.prequorum is not None
    assert (forge.prequorum.round, forge.prequorum.votes) == (0, (vote(0),))


def test_the_end_of_a_round_without_a_slot() -> None:
    state = automaton()
    feed(state, NewProposal(proposal("a"), False))
    state.rights = Rights({"one": (0,)}, 4)
    assert names(state.step(EndOfRound(0), lambda _: 1)) == ["no_proposal_slot"]


def test_a_proposal_of_the_next_round_is_voted_for() -> None:
    state = automaton()
    feed(state, NewProposal(proposal("a"), False))
    feed(state, EndOfRound(0))
    told = names(feed(state, NewProposal(proposal("b", round=1), False), 1))
    assert told == [
        "new_valid_proposal",
        "updating_latest_proposal",
        "attempting_vote_proposal",
        "Watch",
        "SignVotes",
    ]


# Locks


def test_a_locked_baker_votes_for_its_payload_alone() -> None:
    state, _ = locked_on("a")
    actions = feed(state, NewProposal(proposal("b", round=1), False), 1)
    assert "SignVotes" not in names(actions)
    # It watches, and the others' prequorum unlocks it.
    assert isinstance(actions[-1], Watch)
    feed(state, prequorum(proposal("b", round=1)))
    assert state.locked == (1, payload("b"))
    state, _ = locked_on("a")
    assert "SignVotes" in names(feed(state, NewProposal(proposal("c", round=1, says="a"), False), 1))


@pytest.mark.parametrize(("shown", "votes"), [(0, False), (1, True)])
def test_a_later_prequorum_in_a_block_unlocks(shown: int, votes: bool) -> None:
    state, _ = locked_on("a")
    feed(state, EndOfRound(1))
    carried = Prequorum(3, shown, payload("b"), (vote(0, says="b", round=shown),))
    again = proposal("c", round=2, says="b", prequorum=carried)
    assert ("SignVotes" in names(feed(state, NewProposal(again, False), 2))) is votes


def test_a_new_level_forgets_the_lock() -> None:
    state, _ = locked_on("a")
    feed(state, NewProposal(proposal("b", 4), False))
    assert (state.locked, state.attestable, state.elected, state.proposed_round) == (None, None, None, None)
    assert state.phase is Phase.PREATTESTATIONS


# Branches


@pytest.mark.parametrize(
    ("ours", "theirs", "name", "switches"),
    [
        (None, 1, "branch_proposal_has_better_prequorum", True),
        (0, None, "branch_proposal_has_no_prequorum", False),
        (1, 0, "branch_proposal_has_lower_prequorum", False),
        (0, 1, "branch_proposal_has_better_prequorum", True),
        (1, 1, "branch_proposal_has_same_prequorum", False),
        (None, None, "branch_proposal_has_better_fitness", True),
    ],
)
def test_a_proposal_on_another_branch(
    ours: int | None, theirs: int | None, name: str, switches: bool
) -> None:
    state, first = automaton(), proposal("a")
    feed(state, NewProposal(first, False))
    if ours is not None:
        state.attestable = first, Prequorum(3, ours, payload("a"), ())
    carried = None if theirs is None else Prequorum(3, theirs, payload("b"), ())
    other = proposal("b", round=2, branch="elsewhere", prequorum=carried)
    actions = feed(state, NewProposal(other, True), 2)
    assert names(actions)[1:3] == ["new_proposal_is_on_another_branch", name]
    assert isinstance(actions[-1], Synchronize) is switches
    assert (state.latest is other) is switches
    if switches:
        assert "SignVotes" in names(state.synchronized(2))
