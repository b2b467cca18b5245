"""Explorations in somebody else's suite."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings

from accuser._explore.schedule import Step
from accuser.explore import Outcome, Schedule, Violated, draw, explore, play, strategies
from accuser.sandbox.accuser.denunciation import Denunciator
from tests.explore import faulty

seen: list[int] = []


@explore(seeds=4, first=716)
def test_every_network_is_given(outcome: Outcome) -> None:
    seen.append(outcome.schedule.seed)
    for events in outcome.events.values():
        names = [name for name, _ in events]
        assert names.count("double_baking_denounced") <= names.count("double_baking_detected")


def test_in_the_order_of_the_seeds() -> None:
    if seen:  # as it is unless that test runs in another process
        assert seen == [716, 717, 718, 719]


@explore(seeds=1, first=716)
def test_beside_fixtures(outcome: Outcome, tmp_path: Any) -> None:
    (tmp_path / "recording.jsonl").write_bytes(outcome.recording)
    assert (tmp_path / "recording.jsonl").stat().st_size > 1000


def test_what_a_test_finds_tells_its_seed() -> None:
    @explore(seeds=3, first=717)
    def fails(outcome: Outcome) -> None:
        assert outcome.schedule.seed != 718

    assert "outcome" not in inspect.signature(fails).parameters
    with pytest.raises(AssertionError) as caught:
        fails()
    assert any("draw(718)" in note for note in caught.value.__notes__)


def test_a_violation_is_told_with_its_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Denunciator, "operations", faulty.forgetful)

    @explore(seeds=50)
    def never(outcome: Outcome) -> None:
        pass

    with pytest.raises(Violated, match=r"Schedule\.from_json"):
        never()


def test_what_is_no_such_test_is_refused() -> None:
    def nothing() -> None: ...

    async def later(outcome: Outcome) -> None: ...

    with pytest.raises(TypeError, match="must take an outcome"):
        explore()(nothing)
    with pytest.raises(TypeError, match="coroutine"):
        explore()(later)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(strategies.schedules(most_steps=8))
def test_hypothesis_draws_schedules(schedule: Schedule) -> None:
    assert Schedule.from_json(schedule.to_json()) == schedule
    assert not play(schedule).violations


def test_hypothesis_draws_all_that_seeds_have() -> None:
    kinds, networks = set[type[object]](), set[str]()

    @settings(max_examples=100, deadline=None, derandomize=True, database=None)
    @given(strategies.schedules())
    def collect(schedule: Schedule) -> None:
        kinds.update(map(type, schedule.steps))
        names = ("makers", "upgrades", "replaced", "quorum")
        networks.update(name for name in names if getattr(schedule, name))
        assert not (schedule.replaced and schedule.upgrades)
        assert schedule.makers or not schedule.quorum

    collect()
    assert kinds == set(get_args(Step))
    assert networks == {"makers", "upgrades", "replaced", "quorum"}


@settings(max_examples=5, deadline=None)
@given(strategies.drawn(seeds=1000))
def test_hypothesis_draws_seeds(schedule: Schedule) -> None:
    assert schedule == draw(schedule.seed)
