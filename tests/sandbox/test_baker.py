"""The baker's automaton, quorums, schedule, votes and choices: pure, without node or clock."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest

from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import (
    BOOTSTRAP,
    CHAIN_ID,
    GENESIS_BLOCK,
    blake2b,
)
from accuser._mavryk.codec.forge import ShellHeader, fitness
from accuser._mavryk.codec.operations import Consensus, ConsensusKind, Operation
from accuser.sandbox.baker import votefile
from accuser.sandbox.baker.disk import Incompatible, StateFile
from accuser.sandbox.baker.quorum import Pool
from accuser.sandbox.baker.schedule import next_alarm
from accuser.sandbox.baker.selection import Fees, select
from accuser.sandbox.baker.state import Automaton
from accuser.sandbox.baker.values import (
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
from accuser.sandbox.baker.votefile import VoteFileError, Votes
from accuser.sandbox.client.delegates import Constants, Head
from accuser.sandbox.client.wallet import Wallet

ALL = Rights({"one": (0, 2), "two": (1, 3)}, 4)
CONSTANTS = Constants(1, 1, 4, 3, 2**62)


def block(name: str) -> str:
    return encode(Kind.BLOCK, blake2b(name.encode()))


def payload(name: str) -> str:
    return encode(Kind.PAYLOAD, blake2b(name.encode()))


def head(name: str, level: int, round: int = 0, *, below: str = "", proto: int = 1, time: int = 0) -> Head:
    shell = ShellHeader(
        level=level,
        proto=proto,
        predecessor=block(below or f"{level - 1}"),
        timestamp=time or level,
        validation_pass=4,
        operations_hash=encode(Kind.OPERATION_LIST_LIST, bytes(32)),
        fitness=fitness(level, None, 0, round),
        context=encode(Kind.CONTEXT, bytes(32)),
    )
    return Head(block(name), shell, round, payload(name))


def proposal(
    name: str,
    level: int = 3,
    round: int = 0,
    *,
    branch: str = "",
    says: str = "",
    prequorum: Prequorum | None = None,
    proto: int = 1,
) -> Proposal:
    below = branch or f"{level - 1}"
    made = head(name, level, round, below=below, proto=proto)
    made = attrs.evolve(made, payload_hash=payload(says or name))
    return Proposal(made, head(below, level - 1), prequorum=prequorum)


def vote(
    slot: int, *, kind: ConsensusKind = "preattestation", says: str = "a", level: int = 3, round: int = 0
) -> Operation:
    content = Consensus(kind, slot, level, round, payload(says))
    return Operation(GENESIS_BLOCK, (content,), bytes(64))


def automaton(latest: Proposal | None = None, round: int = 0, **state: Any) -> Automaton:
    made = Automaton(latest or proposal("before", 2), round, **state)
    made.rights = made.next_rights = ALL
    return made


def feed(state: Automaton, happening: Input, clock: int = 0) -> list[Action]:
    done = state.step(happening, lambda _: clock)
    state.rights = state.next_rights = ALL
    return done


def names(actions: list[Action]) -> list[str]:
    return [action.name if isinstance(action, Note) else type(action).__name__ for action in actions]


def phase(state: Automaton) -> Phase:
    return state.phase


def candidate(of: Proposal) -> Candidate:
    return Candidate(of.block.hash, of.level, of.block.round, of.payload)


def prequorum(of: Proposal) -> QuorumReached:
    return QuorumReached("preattestation", candidate(of), (vote(0),))


def quorum(of: Proposal) -> QuorumReached:
    return QuorumReached("attestation", candidate(of), (vote(0, kind="attestation"),))


def signed(kind: Any, of: Proposal, **other: Any) -> SignedVote:
    made = SignedVote(kind, "one", of.level, of.block.round, of.payload, vote(0))
    return attrs.evolve(made, **other)


def locked_on(name: str, round: int = 0) -> tuple[Automaton, Proposal]:
    """An automaton that has attested a proposal, whose round then ended without a quorum."""
    state, first = automaton(), proposal(name, round=round)
    feed(state, NewProposal(first, False), round)
    feed(state, NewProposal(first, True), round)
    feed(state, prequorum(first))
    feed(state, EndOfRound(round))
    return state, first


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


# Late votes


def test_votes_that_are_signed_too_late() -> None:
    state, first = automaton(), proposal("a")
    feed(state, NewProposal(first, False))
    feed(state, EndOfRound(0))
    assert names(feed(state, signed("preattestation", first))) == []
    assert names(feed(state, signed("attestation", first))) == ["discarding_attestation"]


@pytest.mark.parametrize("strict", [True, False])
def test_votes_for_another_payload(strict: bool) -> None:
    state, first = automaton(strict=strict), proposal("a")
    feed(state, NewProposal(first, False))
    other = signed("preattestation", first, payload_hash=payload("b"))
    told = "discarding_unexpected_preattestation_with_different_payload" if strict else "Inject"
    assert names(feed(state, other)) == [told]
    feed(state, signed("attestation", first, payload_hash=payload("b")))
    told = "discarding_unexpected_attestation_with_different_prequorum" if strict else "Inject"
    assert names(feed(state, prequorum(first)))[0] == told


@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.APPLICATION])
def test_quorums_that_nobody_awaits(phase: Phase) -> None:
    state = automaton(proposal("a", 3))
    state.phase = phase
    told = feed(state, prequorum(proposal("a")))
    value = {"candidate": block("a"), "phase": phase.value}
    assert told == [Note("discarding_unexpected_prequorum_reached", value)]
    assert names(feed(state, quorum(proposal("a")))) == ["discarding_unexpected_quorum_reached"]


# The start


def test_starting_at_the_present_round_and_later() -> None:
    state = automaton(proposal("a"))
    assert names(state.start(0)) == ["new_head", "attempting_vote_proposal", "Watch", "SignVotes"]
    state = automaton(proposal("a"))
    assert names(state.start(6)) == ["proposal_slot", "no_attestable_payload_fresh_block", "Forge"]
    assert state.round == 6


# Quorums


def told(outcomes: list[Note | QuorumReached]) -> list[object]:
    return [one.name if isinstance(one, Note) else one.kind for one in outcomes]


def test_votes_are_counted_by_power_once_a_slot() -> None:
    pool = Pool(threshold=3)
    of = proposal("a")
    assert told(pool.watch("preattestation", candidate(of), {0: 2, 1: 2})) == ["preattestations_received"]
    (note,) = pool.add([vote(0), vote(0), vote(3), vote(1, says="b"), vote(1, round=1)])
    assert note == Note(
        "preattestations_received",
        {"count": 1, "delta_power": 2, "voting_power": 2, "preattestations": 1},
    )
    outcomes = pool.add([vote(1, level=9)])
    # Level and block are not compared.
    assert told(outcomes) == ["pqc_reached", "preattestation"]
    assert outcomes[0] == Note("pqc_reached", {"voting_power": 4, "preattestations": 2})
    # Reached once.
    assert pool.add([vote(1, level=8)]) == []


def test_a_threshold_of_zero_is_reached_at_once() -> None:
    pool = Pool(threshold=0)
    outcomes = pool.watch("attestation", candidate(proposal("a")), {0: 2})
    assert outcomes[0] == Note("qc_reached", {"voting_power": 0, "attestations": 0})


def test_a_flush_keeps_the_count_and_attestations_for_a_while() -> None:
    pool = Pool(threshold=4)
    pool.watch("attestation", candidate(proposal("a")), {0: 2, 1: 2})
    first = vote(0, kind="attestation")
    pool.add([first, vote(0)])
    pool.flush()
    assert pool.for_block() == [first]
    assert told(pool.add([vote(1, kind="attestation")])) == ["qc_reached", "attestation"]
    pool.add([vote(1, kind="attestation", level=5)])
    pool.flush()
    assert [one.content.level for one in pool.for_block() if isinstance(one.content, Consensus)] == [5]


# The schedule


def alarms(state: Automaton, now: float, pre_emptive: float = 0.25) -> tuple[float, object, list[str]]:
    alarm, notes = next_alarm(state, CONSTANTS, pre_emptive, now)
    shown = [note.name for note in notes]
    return (0, None, shown) if alarm is None else (alarm.at, alarm.happening, shown)


def test_what_to_wait_for() -> None:
    first = proposal("a")  # of time 3; the level after it begins at 4
    state = automaton(first)
    assert alarms(state, 3.2) == (4, EndOfRound(0), ["waiting_end_of_round"])
    state.elected = Elected(first, ())
    at, happening, shown = alarms(state, 3.2)
    assert (at, happening) == (3.75, TimeToBake(0))
    assert shown[1:] == ["next_potential_slot", "first_baker_of_next_level", "waiting_to_forge_block"]
    assert alarms(state, 3.8)[2][-1] == "no_need_to_wait_to_forge_block"
    state.proposed_round = 0
    assert alarms(state, 3.9)[:2] == (0, None)
    # The next own round, once that one is over: it begins at 5, of the next level.
    assert alarms(state, 5.0)[:2] == (5, TimeToBake(1))


def test_a_later_slot_of_the_next_level_or_an_earlier_one_of_this() -> None:
    first = proposal("a")
    state = automaton(first)
    state.elected = Elected(first, ())
    state.next_rights = Rights({"one": (1,)}, 4)
    # It begins at 5, before the end of this level's next round, 6.
    assert alarms(state, 3.2)[:2] == (5, TimeToBake(1))
    state.next_rights = Rights({"one": (3,)}, 4)
    at, happening, shown = alarms(state, 3.2)
    assert (at, happening, shown[-1]) == (4, EndOfRound(0), "waiting_delayed_end_of_round")
    state.rights = Rights({"one": (0,)}, 4)
    assert alarms(state, 3.2)[2][-1] == "waiting_end_of_round"
    state.next_rights = Rights({}, 4)
    assert alarms(state, 3.2)[:2] == (4, EndOfRound(0))


def test_a_round_is_late_by_a_fifth_of_the_delay() -> None:
    first = proposal("a")
    state = automaton(first)
    state.elected, state.next_rights = Elected(first, ()), Rights({"one": (3,)}, 4)
    slow = attrs.evolve(CONSTANTS, minimal_block_delay=10)
    alarm, _ = next_alarm(state, slow, 1.5, 12.5)
    assert alarm is not None
    assert alarm.at == 2 + 10 + 10 + 2


# Choices


def test_a_fresh_block_takes_attestations_of_the_block_below_alone() -> None:
    below = attrs.evolve(head("a", 3), payload_hash=payload("a"))
    good = vote(0, kind="attestation")
    others = [
        vote(0),
        vote(1, kind="attestation", says="b"),
        vote(1, kind="attestation", round=1),
        vote(1, kind="attestation", level=4),
    ]
    assert select([], [*others, good, good], below, {GENESIS_BLOCK}, Fees()) == [[good], [], [], []]
    assert select([], [good], below, {block("other")}, Fees()) == [[], [], [], []]
    # What a user gives is taken as it is.
    assert select(others[:1], [good], below, {GENESIS_BLOCK}, Fees())[0] == [others[0], good]


def test_fees_are_of_upstreams_defaults() -> None:
    assert Fees() == Fees(Fraction(100_000), Fraction(100), Fraction(1000))


# Votes of blocks


@pytest.fixture
def vote_file(tmp_path: Path) -> Path:
    return tmp_path / "votes.json"


def test_a_vote_file(vote_file: Path) -> None:
    vote_file.write_text('{"liquidity_baking_toggle_vote": "off"}')
    assert votefile.read(vote_file, "alpha", Votes("on", "on")) == Votes("off", "on")
    vote_file.write_text('{"liquidity_baking_toggle_vote": "on", "adaptive_issuance_vote": "off"}')
    assert votefile.read(vote_file, "alpha") == Votes("on", "off")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (None, "not_found"),
        ("{", "invalid"),
        ("[]", "wrong_content"),
        ("{}", "wrong_content"),
        ('{"liquidity_baking_toggle_vote": "maybe"}', "wrong_content"),
        ('{"liquidity_baking_toggle_vote": "on", "other": 1}', "wrong_content"),
        ('{"liquidity_baking_toggle_vote": ["on"]}', "wrong_content"),
    ],
)
def test_a_vote_file_that_cannot_be_used(vote_file: Path, text: str | None, kind: str) -> None:
    if text is not None:
        vote_file.write_text(text)
    with pytest.raises(VoteFileError) as caught:
        votefile.read(vote_file, "002-PtBoreas")
    assert caught.value.error == {
        "kind": "permanent",
        "id": f"baker.002-PtBoreas.Per_block_vote_file.block_vote_file_{kind}",
        "file_path": str(vote_file),
    }


def test_where_a_vote_file_is_looked_for(tmp_path: Path) -> None:
    here, base = tmp_path / "here", tmp_path / "base"
    here.mkdir()
    base.mkdir()
    assert votefile.find(None, here, base) is None
    (base / "per_block_votes.json").write_text("{}")
    assert votefile.find(None, here, base) == base / "per_block_votes.json"
    (here / "per_block_votes.json").write_text("{}")
    assert votefile.find(None, here, base) == here / "per_block_votes.json"
    assert votefile.find("given", here, base) == Path("given")


# Watermarks


def test_watermarks_let_later_levels_and_rounds_be_signed(tmp_path: Path) -> None:
    wallet, pkh = Wallet(tmp_path), BOOTSTRAP[0].pkh

    def may(level: int, round: int) -> bool:
        return bool(wallet.may_sign(CHAIN_ID, "attestations", [pkh], level, round))

    assert [may(4, 1), may(4, 1), may(4, 0), may(3, 9), may(4, 2), may(5, 0)] == [
        *(True, False, False, False, True, True)
    ]
    # Each kind has marks of its own, and so has another directory.
    assert wallet.may_sign(CHAIN_ID, "blocks", [pkh], 4, 0) == [pkh]
    file = tmp_path / "NetXXAAR1wWQh_highwatermarks"
    assert json.loads(file.read_text())["attestations"] == [
        {"delegate": pkh, "highwatermark": {"round": 0, "level": 5}}
    ]
    assert Wallet(tmp_path / "other").may_sign(CHAIN_ID, "attestations", [pkh], 4, 0) == [pkh]


def test_both_kinds_are_asked_for_at_once() -> None:
    state, first = automaton(), proposal("a")
    assert [one for one in feed(state, NewProposal(first, False)) if isinstance(one, SignVotes)] == [
        SignVotes(first)
    ]


def test_a_lock_that_is_written_down(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state")
    state, first = locked_on("a")
    file.save(state)
    again = automaton(first)
    StateFile(file.path).load(again)
    assert again.locked == (0, payload("a"))
    # A lock is of its level alone.
    later = automaton(proposal("b", 4))
    file.load(later)
    assert later.locked is None
    file.save(later)
    file.load(again := automaton(proposal("b", 4)))
    assert again.locked is None
    file.path.write_bytes(b"of another form")
    with pytest.raises(Incompatible):
        file.load(again)
    StateFile(tmp_path / "nothing").load(again)
