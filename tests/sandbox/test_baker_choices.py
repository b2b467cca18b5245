"""What bakers refuse: late votes, other payloads; quorums, the schedule, votes of blocks, watermarks."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import attrs
import pytest

from accuser._mavryk.codec.crypto import (
    BOOTSTRAP,
    CHAIN_ID,
    GENESIS_BLOCK,
)
from accuser._mavryk.codec.operations import Consensus
from accuser.sandbox.baker import votefile
from accuser.sandbox.baker.disk import Incompatible, StateFile
from accuser.sandbox.baker.quorum import Pool
from accuser.sandbox.baker.schedule import next_alarm
from accuser.sandbox.baker.selection import Fees, select
from accuser.sandbox.baker.state import Automaton
from accuser.sandbox.baker.values import (
    Elected,
    EndOfRound,
    NewProposal,
    Note,
    Phase,
    QuorumReached,
    Rights,
    SignVotes,
    TimeToBake,
)
from accuser.sandbox.baker.votefile import VoteFileError, Votes
from accuser.sandbox.client.wallet import Wallet
from tests.support.bakers import (
    CONSTANTS,
    automaton,
    block,
    candidate,
    feed,
    head,
    locked_on,
    names,
    payload,
    prequorum,
    proposal,
    quorum,
    signed,
    vote,
)

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
