"""A violation is made small, and printed as a program that shows it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from accuser import SANDBOX, Toolchain, installed
from accuser._explore.schedule import Bake, Cut, Link, Pass, Start, Step, Stop, Vote
from accuser._explore.shrinking import kind_of
from accuser.commands import cli
from accuser.explore import Executable, Maker, Schedule, draw, play, program, shrink
from accuser.sandbox.accuser.denunciation import Denunciator, SeenBlock, Steps
from tests.explore import faulty

FAULTY = Path(__file__).parent / "faulty.py"
FAULT = "FAULTY_ACCUSER"
TWINS = (Bake(), Bake(), Bake(back=1, flavour=1))
USELESS: tuple[Step, ...] = (
    *(Bake(voters=3), Vote(round=1), Bake(), Vote(level=1), Bake(round=1), Bake(voters=1), Vote(delegate=2)),
    *(Bake(voters=2), Vote(delegate=3, level=2), Bake()),
)


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Denunciator, "operations", faulty.forgetful)


@pytest.fixture
def executable(tmp_path: Path) -> Path:
    path = tmp_path / "mavkit-accuser-PtBoreas"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {FAULTY} "$@"\n')
    path.chmod(0o755)
    return path


def printed(text: str, name: str) -> Callable[[], None]:
    """The test of a printed program."""
    names: dict[str, object] = {"__name__": "printed"}
    exec(compile(text, "printed", "exec"), names)
    test = names[f"test_{name}"]
    assert callable(test)
    return test


@pytest.mark.usefixtures("forgetful")
def test_a_violation_is_made_small() -> None:
    outcome = next(found for found in map(play, map(draw, range(50))) if found.violations)
    small = shrink(outcome)
    assert small.violations
    assert len(small.schedule.steps) <= 3
    assert small.schedule.nodes == 1
    # It is the same fault, not another one that came up on the way.
    assert {kind_of(each) for each in small.violations} & {kind_of(each) for each in outcome.violations}


@pytest.mark.usefixtures("forgetful")
def test_a_network_that_lives_is_made_small_too() -> None:
    makers = (Maker(delegates=(0, 1)), Maker(node=1, delegates=(1, 2, 3)), Maker(node=2, delegates=(4,)))
    steps = (Link(delay=0.3), Pass(seconds=2.5), Cut(at=1), Pass(seconds=2.5), Cut(), Pass(seconds=1.0))
    outcome = play(Schedule(nodes=3, quorum=3, makers=makers, steps=steps))
    assert outcome.violations
    small = shrink(outcome).schedule
    assert len(small.steps) == 1
    assert len(small.makers) <= 1


def test_what_happens_after_a_restart_alone_keeps_the_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    def tired(self: Denunciator, seen: SeenBlock) -> Steps:
        # Each play has accusers of its own.
        is_first = vars(self).setdefault("is_first", seen.level < 4)
        yield from (faulty.BLOCK if is_first else faulty.never)(self, seen)

    monkeypatch.setattr(Denunciator, "block", tired)
    steps = (*USELESS, Stop(), Start(), *TWINS)
    small = shrink(play(Schedule(steps=steps)))
    assert small.violations
    assert any(isinstance(step, Start) for step in small.schedule.steps)
    assert len(small.schedule.steps) <= 6


def test_blocks_that_follow_each_other_become_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Denunciator, "block", faulty.late)
    small = shrink(play(Schedule(steps=(Bake(),) * 12)))
    assert small.schedule.steps == (Bake(times=9),)


@pytest.mark.usefixtures("forgetful")
def test_what_was_made_small_can_be_read_again() -> None:
    steps = (Bake(), Vote(kind="preattestation"), Vote(kind="preattestation", payload=1), Bake())
    small = shrink(play(Schedule(steps=steps)), plays=30)
    assert play(Schedule.from_json(small.schedule.to_json())).violations == small.violations


def test_a_sound_accuser_violates_nothing_in_a_program() -> None:
    printed(program(play(Schedule(steps=(Bake(),))), "sound"), "sound")()


@pytest.mark.parametrize(
    ("toolchain", "words"),
    [
        (SANDBOX, "toolchain=SANDBOX"),
        (installed("/bin"), "toolchain=installed('/bin')"),
        (Toolchain.image("some/image:1"), "toolchain=Toolchain.image('some/image:1')"),
    ],
)
def test_a_program_names_the_toolchain(toolchain: Toolchain, words: str) -> None:
    text = program(play(Schedule(steps=(Bake(),))), "one", Executable(toolchain))
    assert words in text
    # Nothing runs before the test is called.
    printed(text, "one")


@pytest.mark.parametrize(
    ("fault", "schedule"),
    [
        ("forgets", Schedule(steps=(*USELESS, Vote(kind="preattestation"), Bake()))),
        ("repeats", Schedule(nodes=2, steps=(*USELESS, *TWINS, *USELESS))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_an_executable_violates_is_made_small(
    executable: Path, monkeypatch: pytest.MonkeyPatch, fault: str, schedule: Schedule
) -> None:
    monkeypatch.setenv(FAULT, fault)
    judged = Executable(path=executable)
    outcome = play(schedule, judged)
    assert outcome.violations
    small = shrink(outcome, judged, plays=6)
    assert len(small.schedule.steps) <= 10
    text = program(small, "case", judged)
    with pytest.raises(AssertionError):
        printed(text, "case")()
    monkeypatch.setenv(FAULT, "")
    printed(text, "case")()


def test_the_command_finds_a_faulty_executable(
    executable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FAULT, "never")
    words = ["explore", "--accuser", str(executable), "--seeds", "1", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, words, standalone_mode=False)
    assert done.return_value == 1, done.output
    case = Schedule.from_json((tmp_path / "out" / "seed-0.json").read_bytes())
    assert len(case.steps) <= 10
    test = printed((tmp_path / "out" / "seed-0.py").read_text(), "seed_0")
    with pytest.raises(AssertionError, match="accuser1"):
        test()
    monkeypatch.setenv(FAULT, "")
    test()
    assert "violates nothing there" in (tmp_path / "out" / "explore.html").read_text()
