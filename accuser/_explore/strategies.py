"""Schedules for Hypothesis, which ``accuser[explore]`` installs."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from .drawing import draw as draw_seed
from .schedule import (
    MOST_NODES,
    Again,
    Answer,
    Bake,
    Cut,
    Down,
    Fault,
    Halt,
    Link,
    Maker,
    Pass,
    Resume,
    Schedule,
    Start,
    Step,
    Stop,
    Up,
    Vote,
    VotedKind,
    Watcher,
)

_SMALL = st.integers(0, 3)
_NODE = st.integers(0, MOST_NODES - 1)
_SECONDS = st.sampled_from([0.0, 0.5, 1.0, 3.0, 10.0])
_NEXT: dict[str, list[str]] = {"atlas": ["boreas", "alpha"], "boreas": ["alpha"], "alpha": []}
"""What may follow each protocol."""

_PROTOCOLS = st.sampled_from(list(_NEXT))
_SHORT = st.sampled_from([0.0, 0.5, 1.0, 2.0])
"""Seconds that pass where bakers are at work, each of which they fill with blocks and votes."""


def steps() -> st.SearchStrategy[Step]:
    """One step of any kind."""
    return _steps(_SECONDS)


def _steps(seconds: st.SearchStrategy[float]) -> st.SearchStrategy[Step]:
    kinds: tuple[st.SearchStrategy[Any], ...] = (
        st.builds(
            Bake,
            node=_NODE,
            back=_SMALL,
            round=st.integers(0, 2),
            flavour=_SMALL,
            voters=st.integers(0, 5),
            evidence=st.booleans(),
        ),
        st.builds(
            Vote,
            node=_NODE,
            kind=st.sampled_from(get_args(VotedKind)),
            delegate=st.integers(0, 4),
            level=st.integers(-2, 4),
            round=st.integers(0, 2),
            slot=_SMALL,
            payload=_SMALL,
            branch=_SMALL,
            dal=st.none() | _SMALL,
        ),
        st.builds(Again, accuser=st.integers(0, 1), back=_SMALL),
        st.builds(Pass, seconds=seconds),
        st.builds(
            Link, one=_NODE, other=_NODE, delay=_SECONDS, jitter=_SECONDS, loss=st.sampled_from([0.0, 0.5])
        ),
        st.builds(Cut, at=_NODE),
        st.builds(Stop, accuser=st.integers(0, 1), how=st.sampled_from(["kill", "terminate"])),
        st.builds(Start, accuser=st.integers(0, 1)),
        st.builds(Halt, maker=st.integers(0, 1)),
        st.builds(Resume, maker=st.integers(0, 1), forgets=st.booleans()),
        st.builds(Down, node=_NODE),
        st.builds(Up, node=_NODE),
        st.builds(Fault, accuser=st.integers(0, 1), what=st.sampled_from(get_args(Answer))),
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


def makers() -> st.SearchStrategy[Maker]:
    """A baker on any node, with some of the keys or all."""
    delegates = st.sets(st.integers(0, 4), min_size=1).map(lambda chosen: tuple(sorted(chosen)))
    return st.builds(Maker, node=_NODE, delegates=delegates)


@st.composite
def schedules(draw: st.DrawFn, *, most_steps: int = 30) -> Schedule:
    """A whole schedule, of so many steps at most; Hypothesis makes it small when a test fails.

    Some have bakers, and a quorum for them; some a migration, or a protocol that overrides another one.
    """
    protocol = draw(_PROTOCOLS)
    replaced, upgrades = False, dict[int, str]()
    following, migrates = _NEXT[protocol], draw(st.booleans())
    if following and migrates:
        upgrades = {draw(st.integers(2, 8)): draw(st.sampled_from(following))}
    else:
        replaced = draw(st.booleans())
    bakers = tuple(draw(st.lists(makers(), max_size=2)))
    return Schedule(
        seed=draw(st.integers(0, 2**16)),
        nodes=draw(st.integers(1, MOST_NODES)),
        protocol=protocol,
        replaced=replaced,
        upgrades=upgrades,
        watchers=tuple(draw(st.lists(watchers(), min_size=1, max_size=2))),
        makers=bakers,
        quorum=draw(st.sampled_from([0, 86, 171])) if bakers else 0,
        steps=tuple(draw(st.lists(_steps(_SHORT if bakers else _SECONDS), max_size=most_steps))),
    )


def drawn(*, seeds: int = 2**31) -> st.SearchStrategy[Schedule]:
    """The schedules of seeds, as ``accuser explore`` draws them."""
    return st.integers(0, seeds - 1).map(draw_seed)
