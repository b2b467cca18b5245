"""Bakers in the networks: they live by themselves, and two with one key sign twice."""

from __future__ import annotations

import pytest

from accuser._explore.bakers import Directory
from accuser._explore.living import draw_living
from accuser.explore import Cut, Down, Halt, Link, Maker, Outcome, Pass, Resume, Schedule, Up, Watcher, play

PAIR = (Maker(node=0), Maker(node=1))


def levels(outcome: Outcome) -> list[int]:
    """Of the blocks that the first accuser saw, as they came."""
    return [value["level"] for name, value in outcome.events["accuser1"] if name == "accuser_saw_block"]


def detected(outcome: Outcome) -> set[str]:
    return {name for name, _ in outcome.events["accuser1"] if name.endswith("_detected")}


def test_a_baker_bakes_each_level() -> None:
    outcome = play(Schedule(makers=(Maker(),), steps=(Pass(seconds=6.0),)))
    assert not outcome.violations
    # Two more at the end, by hand.
    assert levels(outcome) == list(range(2, 10))
    assert outcome.decisions["new vote"] >= 2 * 5 * 6
    assert not detected(outcome)


def test_the_same_schedule_has_the_same_recording() -> None:
    schedule = Schedule(nodes=2, seed=3, makers=PAIR, steps=(Link(jitter=0.5), Pass(seconds=4.0)))
    assert play(schedule).recording == play(schedule).recording


def test_two_bakers_with_one_key_are_denounced() -> None:
    steps = (Pass(seconds=2.0), Cut(at=1), Pass(seconds=3.0), Cut(), Pass(seconds=2.0))
    outcome = play(Schedule(nodes=2, makers=PAIR, steps=steps))
    assert not outcome.violations
    assert detected(outcome) == {
        *("double_baking_detected", "double_attestation_detected", "double_preattestation_detected"),
    }


@pytest.mark.parametrize(("forgets", "signs_twice"), [(False, False), (True, True)])
def test_a_restart_is_held_back_by_the_watermarks(forgets: bool, signs_twice: bool) -> None:
    # Its node loses the block of the level after the restart, so that it makes another one in its place.
    directory = Directory("one")
    assert directory.may_sign("block", "mv1", 7, 0)
    again = Directory("other") if forgets else directory
    assert again.may_sign("block", "mv1", 7, 0) is signs_twice
    assert again.may_sign("block", "mv1", 7, 1)
    assert again.may_sign("attestation", "mv1", 7, 1)
    assert not again.may_sign("block", "mv1", 6, 4)
    steps = (Pass(seconds=2.0), Halt(), Resume(forgets=forgets), Pass(seconds=2.0))
    outcome = play(Schedule(makers=(Maker(),), steps=steps))
    assert not outcome.violations
    assert max(levels(outcome)) >= 6


def test_without_a_quorum_nobody_bakes_on() -> None:
    makers = (Maker(node=0, delegates=(0, 1, 2)), Maker(node=1, delegates=(3, 4)))
    steps = (Pass(seconds=3.0), Cut(at=1), Pass(seconds=9.0))
    some, all_of_them = (
        play(Schedule(nodes=2, quorum=quorum, makers=makers, watchers=(Watcher(node=1),), steps=steps))
        for quorum in (171, 0)
    )
    assert not some.violations + all_of_them.violations
    assert max(levels(some)) < max(levels(all_of_them))
    assert not detected(some)


def test_rounds_go_on_where_a_baker_is_missing() -> None:
    schedule = Schedule(quorum=100, makers=(Maker(delegates=(1, 2, 3)),), steps=(Pass(seconds=20.0),))
    outcome = play(schedule)
    assert not outcome.violations
    rounds = {
        int(value["header"]["fitness"][-1], 16)
        for name, value in outcome.events["accuser1"]
        if name.startswith("block-seen-")
    }
    assert {0, 1} <= rounds


def test_a_baker_waits_for_its_node() -> None:
    steps = (Pass(seconds=2.0), Down(), Pass(seconds=3.0), Up(), Pass(seconds=3.0))
    outcome = play(Schedule(watchers=(Watcher(keep_alive=True),), makers=(Maker(),), steps=steps))
    assert not outcome.violations
    assert max(levels(outcome)) >= 5


def test_bakers_live_through_a_migration() -> None:
    watchers = (Watcher(protocol="atlas"), Watcher())
    schedule = Schedule(
        protocol="atlas",
        upgrades={4: "boreas"},
        watchers=watchers,
        makers=(Maker(),),
        steps=(Pass(seconds=8.0),),
    )
    outcome = play(schedule)
    assert not outcome.violations
    assert max(levels(outcome)) < 6
    assert any(name == "accuser_saw_block" for name, _ in outcome.events["accuser2"])


def test_drawn_networks_with_bakers_violate_nothing() -> None:
    for seed in range(4):
        schedule = draw_living(seed)
        assert schedule.makers
        assert not play(schedule).violations, seed
