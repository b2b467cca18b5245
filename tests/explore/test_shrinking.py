"""A violation is made small, and printed as a program that shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from accuser._explore.schedule import Bake, Vote
from accuser._explore.shrinking import kind_of
from accuser.explore import Executable, Schedule, draw, play, program, shrink
from accuser.sandbox.accuser.denunciation import Denunciator
from tests.explore import faulty

FAULTY = Path(__file__).parent / "faulty.py"


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Denunciator, "operations", faulty.forgetful)


def executable(tmp_path: Path) -> Path:
    path = tmp_path / "mavkit-accuser-PtBoreas"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {FAULTY} "$@"\n')
    path.chmod(0o755)
    return path


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
def test_what_was_made_small_can_be_read_again() -> None:
    steps = (Bake(), Vote(kind="preattestation"), Vote(kind="preattestation", payload=1), Bake())
    small = shrink(play(Schedule(steps=steps)), plays=30)
    assert play(Schedule.from_json(small.schedule.to_json())).violations == small.violations


def test_a_sound_accuser_violates_nothing_in_a_program() -> None:
    text = program(play(Schedule(steps=(Bake(),))), "sound")
    names: dict[str, object] = {"__name__": "sound"}
    exec(compile(text, "sound", "exec"), names)
    test = names["test_sound"]
    assert callable(test)
    test()


def test_the_program_judges_an_executable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULTY_ACCUSER", "forgets")
    judged = Executable(path=executable(tmp_path))
    steps = (Bake(), Bake(), Vote(kind="preattestation"), Bake())
    outcome = play(Schedule(steps=steps), judged)
    assert outcome.violations
    small = shrink(outcome, judged, plays=5)
    assert len(small.schedule.steps) < len(steps)
    path = tmp_path / "program.py"
    path.write_text(program(small, "seed_1", judged))

    def run(fault: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "FAULTY_ACCUSER": fault}
        return subprocess.run(
            [sys.executable, str(path)], env=environment, capture_output=True, text=True, check=False
        )

    failed, sound = run("forgets"), run("")
    assert failed.returncode == 1
    assert small.violations[0] in failed.stderr
    assert sound.returncode == 0, sound.stderr
