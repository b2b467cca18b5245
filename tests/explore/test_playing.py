"""Whole networks from seeds: nothing is violated, and the same seed gives the same recording."""

from __future__ import annotations

import signal
from collections import Counter
from typing import Any

import pytest

from accuser._explore import ending
from accuser._explore.player import Player
from accuser._explore.schedule import Bake, Cut, Down, Fault, Link, Pass, Start, Stop, Up, Vote
from accuser.explore import Schedule, Watcher, draw, play
from accuser.sandbox.accuser.denunciation import Denunciator, SeenBlock, Steps
from tests.tools.explored_hash import hash_of

TWINS = (Bake(), Bake(), Bake(back=1, flavour=1))


def test_nothing_is_violated() -> None:
    decisions: Counter[str] = Counter()
    # These are small, and have it all.
    for seed in (0, 1, 183, 198, 213, 284):
        outcome = play(draw(seed))
        assert not outcome.violations, (seed, outcome.violations)
        decisions.update(outcome.decisions)
    assert decisions.keys() >= {
        *("double baking", "double attestation", "double preattestation", "denounced already"),
        *("vote too old", "vote too far in the future", "memory cleaned", "block given up"),
    }


def test_a_seed_decides_everything() -> None:
    first, again, other = (hash_of([seed]) for seed in (284, 284, 183))
    assert first == again != other


def test_a_schedule_is_plain_data() -> None:
    schedule = draw(11)
    assert Schedule.from_json(schedule.to_json()) == schedule


@pytest.mark.parametrize(
    "text",
    [
        *(
            "[]",
            '{"nodes": 6}',
            '{"protocol": "none"}',
            '{"steps": [{"do": "fly"}]}',
            '{"upgrades": {"3": "x"}}',
        ),
        *(
            '{"watchers": []}',
            '{"quorum": 257}',
            '{"watchers": [{"preserved_levels": -1}]}',
            '{"upgrades": {"0": ""}}',
        ),
        *(
            f'{{"steps": [{{"do": {step}}}]}}'
            for step in (
                *('"bake", "times": -1', '"bake", "node": -1', '"bake", "back": -2', '"bake", "round": -1'),
                *(
                    '"bake", "round": 4294967296',
                    '"vote", "slot": -1',
                    '"pass", "seconds": -1',
                    '"cut", "at": -1',
                ),
                *('"link", "loss": 1.5', '"vote", "level": 4294967296'),
            )
        ),
    ],
)
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a network has|no schedule"):
        Schedule.from_json(text)


@pytest.mark.parametrize("protocol", ["atlas", "boreas", "alpha"])
def test_a_double_baking_is_decided(protocol: str) -> None:
    watchers = (Watcher(protocol=protocol),)
    outcome = play(Schedule(protocol=protocol, watchers=watchers, steps=TWINS))
    assert not outcome.violations
    assert outcome.decisions["double baking"] == 1
    assert outcome.decisions["evidence accepted"] == 1


def test_who_votes_twice() -> None:
    steps = (
        *(Bake(), Vote(), Vote(payload=1), Vote(payload=2), Vote(kind="preattestation"), Vote(round=1)),
        # What only attestations have is left out.
        Vote(kind="preattestation", dal=1),
    )
    outcome = play(Schedule(steps=steps))
    assert not outcome.violations
    assert outcome.decisions["double attestation"] >= 2
    assert "double preattestation" not in outcome.decisions


def test_an_accuser_that_was_restarted_has_forgotten() -> None:
    first, other = Bake(back=1, flavour=1), Bake(back=1, flavour=2)
    kept = play(Schedule(steps=(Bake(), Bake(), first, other)))
    forgotten = play(Schedule(steps=(Bake(), Bake(), Stop(), Start(), first, other)))
    assert not kept.violations + forgotten.violations
    assert kept.decisions["double baking"] == 2
    assert forgotten.decisions["double baking"] == 1
    assert forgotten.decisions["life begun"] == 2


@pytest.mark.parametrize(("keep_alive", "lives"), [(True, 2), (False, 1)])
def test_a_node_is_lost(keep_alive: bool, lives: int) -> None:
    watchers = (Watcher(keep_alive=keep_alive),)
    outcome = play(Schedule(watchers=watchers, steps=(Bake(), Down(), Up(), Bake())))
    assert not outcome.violations
    # When a node dies, an accuser that keeps alive may still end: it is a race of two streams.
    assert outcome.decisions["life begun"] in {1, lives}


def test_parted_nodes_agree_in_the_end() -> None:
    steps = (
        *(Link(one=0, other=1, delay=1.0, jitter=3.0), Cut(at=1), Bake(node=0), Bake(node=1, round=1)),
        *(Bake(node=1), Vote(node=1), Cut(at=0), Pass(seconds=9.0), Bake(node=2)),
    )
    outcome = play(Schedule(nodes=3, watchers=(Watcher(node=2),), steps=steps))
    assert not outcome.violations
    assert outcome.blocks > 9


def test_a_migration() -> None:
    watchers = (Watcher(protocol="atlas"), Watcher(protocol="boreas"))
    # Level 3 is the migration block; its sibling comes when the next accuser is there already.
    steps = (Bake(), Bake(), Bake(), Bake(back=2, flavour=1), Bake())
    outcome = play(Schedule(protocol="atlas", upgrades={3: "boreas"}, watchers=watchers, steps=steps))
    assert not outcome.violations
    assert outcome.decisions["life begun"] == 2
    assert outcome.decisions["protocol change"] == 1


@pytest.mark.parametrize("level", [2, 3, 4])
def test_a_migration_forgets_who_was_denounced_for_a_later_round(
    monkeypatch: pytest.MonkeyPatch, level: int
) -> None:
    twice = (Vote(level=level - 1, round=1), Vote(level=level - 1, round=1, payload=1))
    watchers = (Watcher(protocol="atlas"),)
    schedule = Schedule(protocol="atlas", upgrades={level: "boreas"}, watchers=watchers, steps=twice)
    assert not play(schedule).violations
    monkeypatch.setattr(ending, "_was_forgotten", lambda about, blocks: False)
    assert "was included in 2 blocks" in "".join(play(schedule).violations)


@pytest.mark.parametrize(
    ("what", "decision"),
    [
        ("block", "block not answered"),
        ("pruned", "pruned block"),
        ("bare", "no list of operations"),
        ("header", "block given up"),
        ("hash", "block given up"),
        ("forge", "block given up"),
        ("inject", "block given up"),
    ],
)
def test_a_node_fails_to_answer(what: str, decision: str) -> None:
    schedule = Schedule(steps=(Bake(), Bake(), Fault(what=what), Bake(back=1, flavour=1)))  # type: ignore[arg-type]  # a fault, by a parameter
    outcome = play(schedule)
    assert not outcome.violations
    assert outcome.decisions[decision] == 1


def test_a_ctrl_c_comes_at_a_checkpoint_of_the_player_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    went_on: list[int] = []

    def interrupted(self: Denunciator, seen: SeenBlock) -> Steps:
        if not went_on:
            signal.raise_signal(signal.SIGINT)
        went_on.append(seen.level)
        yield from ()

    monkeypatch.setattr(Denunciator, "block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        play(Schedule(steps=TWINS))
    assert went_on


@pytest.mark.parametrize("moment", ["_open", "_listen", "_begin", "_do", "_arrive", "look", "outcome"])
def test_a_ctrl_c_at_any_moment_is_nothing_else(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = getattr(Player, moment)

    def interrupted(self: Player, *args: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return original(self, *args)

    monkeypatch.setattr(Player, moment, interrupted)
    with pytest.raises(KeyboardInterrupt):
        play(Schedule(steps=TWINS))
