"""How many blocks ``accuser explore`` plays and judges in a second of processor time."""

from __future__ import annotations

import cProfile
import pstats
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from standins import Writer
from table import Row

from accuser._explore.examining import Judged
from accuser._explore.results import Results
from accuser._explore.schedule import Bake
from accuser._explore.searching import search
from accuser.explore import Schedule, Watcher, play

BLOCKS = 100
NODES = 3
VOTERS = 3
LEAST = 150.0
"""Blocks a second, each of which all three nodes and the accuser took."""

ROUNDS = 3
SEEDS = 80

PARTS = {
    "signatures": ("cryptography", "ed25519", "codec/crypto"),
    "HTTP": ("h11", "_http/"),
    "trio": ("trio/", "outcome"),
    "chain and nodes": ("sandbox/chain/", "sandbox/node/", "_mavryk/"),
    "the accuser": ("sandbox/accuser/", "sandbox/rpc/", "sandbox/sink/", "sandbox/surroundings/"),
    "explorer and judge": ("accuser/_explore/",),
}
"""Of processor time, by what stands in the path of a function."""


def measure_exploring(writer: Writer) -> list[Row]:
    """Play a plain chain; then seeds, in one process and in two."""
    schedule = Schedule(nodes=NODES, watchers=(Watcher(),), steps=(Bake(voters=VOTERS),) * BLOCKS)
    play(schedule)
    rates = [_rate(schedule) for _ in range(ROUNDS)]
    rate = statistics.median(rates)
    label = f"explored blocks a second of processor time, {NODES} nodes and an accuser"
    rows = [Row(measure=label, ours=rate, unit="1/s", target=f">= {LEAST:g}", ok=rate >= LEAST)]
    rows += [Row(measure=f"of that, {name}", ours=share, unit="%") for name, share in _shares(schedule)]
    alone, together = _seconds(1), _seconds(2)
    return [
        *rows,
        Row(measure=f"{SEEDS} seeds in one process", ours=alone, unit="s"),
        Row(measure=f"{SEEDS} seeds, --jobs 2", ours=together, floor=alone, ratio=together / alone, unit="s"),
    ]


def _rate(schedule: Schedule) -> float:
    begun = time.process_time()
    outcome = play(schedule)
    seconds = time.process_time() - begun
    assert not outcome.violations
    return outcome.blocks / NODES / seconds


def _shares(schedule: Schedule) -> Iterator[tuple[str, float]]:
    profile = cProfile.Profile()
    profile.runcall(play, schedule)
    times = [(str(key), value[2]) for key, value in pstats.Stats(profile).stats.items()]  # type: ignore[attr-defined]  # not known by its type
    whole = sum(seconds for _, seconds in times)
    left = times
    for name, marks in PARTS.items():
        mine = [each for each in left if any(mark in each[0] for mark in marks)]
        left = [each for each in left if each not in mine]
        yield name, 100 * sum(seconds for _, seconds in mine) / whole
    yield "the rest", 100 * sum(seconds for _, seconds in left) / whole


def _seconds(jobs: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder), Judged())
        begun = time.perf_counter()
        with results.open(resume=False):
            list(search(results, range(SEEDS), jobs=jobs))
        return time.perf_counter() - begun
