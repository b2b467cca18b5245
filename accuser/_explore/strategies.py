"""Schedules for Hypothesis, which ``accuser[explore]`` installs."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from .drawing import draw
from .schedule import (
    MOST_NODES,
    Again,
    Bake,
    Cut,
    Down,
    Fault,
    Link,
    Pass,
    Schedule,
    Start,
    Step,
    Stop,
    Up,
    Vote,
    Watcher,
)

_SMALL = st.integers(0, 3)
_NODE = st.integers(0, MOST_NODES - 1)
_SECONDS = st.sampled_from([0.0, 0.5, 1.0, 3.0, 10.0])
_PROTOCOLS = st.sampled_from(["atlas", "boreas", "alpha"])


def steps() -> st.SearchStrategy[Step]:
    """One step of any kind."""
    kinds: tuple[st.SearchStrategy[Any], ...] = (
        st.builds(
            Bake, node=_NODE, back=_SMALL, round=st.integers(0, 2), flavour=_SMALL, voters=st.integers(0, 5)
        ),
        st.builds(
            Vote,
            node=_NODE,
            kind=st.sampled_from(["attestation", "preattestation"]),
            delegate=st.integers(0, 4),
            level=st.integers(-2, 4),
            round=st.integers(0, 2),
            slot=_SMALL,
            payload=_SMALL,
            branch=_SMALL,
        ),
        st.builds(Again, accuser=st.integers(0, 1), back=_SMALL),
        st.builds(Pass, seconds=_SECONDS),
        st.builds(
            Link, one=_NODE, other=_NODE, delay=_SECONDS, jitter=_SECONDS, loss=st.sampled_from([0.0, 0.5])
        ),
        st.builds(Cut, at=_NODE),
        st.builds(Stop, accuser=st.integers(0, 1), how=st.sampled_from(["kill", "terminate"])),
        st.builds(Start, accuser=st.integers(0, 1)),
        st.builds(Down, node=_NODE),
        st.builds(Up, node=_NODE),
        st.builds(
            Fault,
            accuser=st.integers(0, 1),
            what=st.sampled_from(
                ["block", "header", "hash", "forge", "inject", "validators", "pruned", "bare", "nobody"]
            ),
        ),
    )
    return st.one_of(*kinds)


def watchers() -> st.SearchStrategy[Watcher]:
    """An accuser on any node."""
    return st.builds(
        Watcher,
        node=_NODE,
        protocol=_PROTOCOLS,
        preserved_levels=st.none() | st.integers(0, 30),
        keep_alive=st.booleans(),
    )


def schedules(*, most_steps: int = 30) -> st.SearchStrategy[Schedule]:
    """A whole schedule, of so many steps at most; Hypothesis makes it small when a test fails."""
    return st.builds(
        Schedule,
        seed=st.integers(0, 2**16),
        nodes=st.integers(1, MOST_NODES),
        protocol=_PROTOCOLS,
        watchers=st.lists(watchers(), min_size=1, max_size=2).map(tuple),
        steps=st.lists(steps(), max_size=most_steps).map(tuple),
    )


def drawn(*, seeds: int = 2**31) -> st.SearchStrategy[Schedule]:
    """The schedules of seeds, as ``accuser explore`` draws them."""
    return st.integers(0, seeds - 1).map(draw)
