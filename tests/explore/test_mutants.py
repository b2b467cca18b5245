"""The explorer finds faults put into the accuser's decisions: a sample; the whole is a session of nox."""

from __future__ import annotations

import pytest

from tests.tools.explored_mutants import hunt, lines


@pytest.mark.parametrize(
    "only",
    [
        "_operation: behind > self._preserved -> behind >= self._preserved",
        "old.branch) == (new.content.payload_hash, ... -> (old.content.payload_hash, old.content.slot)",
        "branch_offset: level >= BRANCH_OFFSET -> level < BRANCH_OFFSET",
    ],
)
def test_a_mutant_is_found(only: str) -> None:
    (found,) = hunt(60, 1, only)
    assert found.seed is not None
    *_, last = lines([found])
    assert "100.0%" in last


def test_what_changes_nothing_is_not_found() -> None:
    (found,) = hunt(3, 1, "branch_offset: 0 -> -1 in max(0, level - 1)")
    assert found.seed is None
    assert any("nothing of level 0" in line for line in lines([found]))
