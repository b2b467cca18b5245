"""A part of the soak in every run of the suite, and the table that it holds against the daemons."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.faults import FAULTS
from tests.tools.soak import deck, fresh_seed, soak


async def test_forty_sessions_with_faults() -> None:
    seed = os.environ.get("ACCUSER_SOAK_SEED") or fresh_seed()
    print(f"ACCUSER_SOAK_SEED={seed}")
    await soak(40, seed)


def test_a_seed_draws_the_same_and_every_fault_before_any_twice() -> None:
    def drawn(seed: str) -> list[list[tuple[int, str]]]:
        return [[(number, fault.what) for number, fault in wave] for wave in deck(100, seed)]

    assert drawn("a") == drawn("a") != drawn("b")
    first = [what for wave in drawn("a") for number, what in wave if number < len(FAULTS)]
    assert sorted(first) == sorted(fault.what for fault in FAULTS)
    assert sum(map(len, drawn("a"))) == 100


def test_the_documented_table_is_the_one_that_is_tested() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "testing.md").read_text()
    table = text.partition("| it ends with |")[2].splitlines()[2:]
    assert table[: table.index("")] == [fault.row for fault in FAULTS]
