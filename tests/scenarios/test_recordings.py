"""Recordings of a scenario tell the same, whatever its daemons are: tasks, processes, or real executables."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.both_forms import HERE, RECORDED, differences


@pytest.mark.parametrize("name", HERE)
def test_every_form_tells_the_same(name: str, tmp_path: Path) -> None:
    """Also what real executables told, where such recordings are beside the checkout."""
    assert differences(name, tmp_path) == []


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"recordings of the real accuser are not in {RECORDED}")
def test_the_real_accuser_was_recorded_in_scenarios_that_there_are() -> None:
    assert {path.stem for path in RECORDED.glob("*.jsonl")} <= set(HERE)
