"""Draws networks that live by themselves: bakers, and what befalls them, their nodes and links."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from .schedule import (
    Again,
    Cut,
    Down,
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
    Watcher,
)

SHARE: Final = 0.15
"""How many of all schedules have bakers."""

_ALL: Final = (0, 1, 2, 3, 4)
_QUORUMS: Final = (0, 0, 0, 86, 171)
"""The last one is upstream's, two thirds; nobody bakes on in the smaller part of a network then."""

_PRESERVED: Final = (None, None, 0, 1, 2, 3, 5)
_NEXT: Final = {"atlas": "boreas", "boreas": "alpha"}


def draw_living(seed: int) -> Schedule:
    """The schedule of a seed, with bakers."""
    chance = random.Random(f"accuser explore, living {seed}")
    nodes, protocol = chance.randint(1, 5), chance.choice(("atlas", "boreas", "boreas", "alpha"))
    upgrades = {}
    protocols = [protocol]
    if protocol in _NEXT and chance.random() < 0.2:
        protocols.append(_NEXT[protocol])
        upgrades = {chance.randint(2, 8): protocols[-1]}
    watchers = [draw_watcher(chance, nodes, name) for name in protocols]
    if chance.random() < 0.2:
        watchers.append(draw_watcher(chance, nodes, protocol))
    makers = _makers(chance, nodes)
    steps: list[Step] = [_link(chance, nodes) for _ in range(chance.choice((0, 0, 1, nodes)))]
    steps.append(Pass(seconds=chance.choice((1.0, 3.0))))
    for _ in range(chance.randint(2, 9)):
        steps += _some(chance, nodes, len(watchers), len(makers))
        steps.append(Pass(seconds=chance.choice((0.2, 1.0, 1.0, 2.5))))
    return Schedule(
        seed=seed,
        nodes=nodes,
        protocol=protocol,
        upgrades=upgrades,
        watchers=tuple(watchers),
        makers=makers,
        quorum=chance.choice(_QUORUMS),
        steps=tuple(steps),
    )


def draw_watcher(
    chance: random.Random, nodes: int, protocol: str, preserved: Sequence[int | None] = _PRESERVED
) -> Watcher:
    """Draw an accuser, beside one of so many nodes, which preserves one of these numbers of levels."""
    return Watcher(
        node=chance.randrange(nodes),
        protocol=protocol,
        preserved_levels=chance.choice(preserved),
        keep_alive=chance.random() < 0.5,
    )


def _makers(chance: random.Random, nodes: int) -> tuple[Maker, ...]:
    """All keys are with somebody; often some are with two."""
    count = chance.choice((1, 2, 2, 3))
    shares: list[set[int]] = [set() for _ in range(count)]
    for delegate in _ALL:
        shares[chance.randrange(count)].add(delegate)
        if chance.random() < 0.4:
            shares[chance.randrange(count)].add(delegate)
    return tuple(
        Maker(node=chance.randrange(nodes), delegates=tuple(sorted(share))) for share in shares if share
    )


def _link(chance: random.Random, nodes: int) -> Link:
    return Link(
        one=chance.randrange(nodes),
        other=chance.randrange(nodes),
        delay=chance.choice((0.0, 0.2, 0.7, 2.0)),
        jitter=chance.choice((0.0, 0.3, 1.5)),
        loss=chance.choice((0.0, 0.0, 0.2)),
    )


def _some(chance: random.Random, nodes: int, watchers: int, makers: int) -> list[Step]:
    """Something that befalls a network."""
    maker, accuser, node = chance.randrange(makers), chance.randrange(watchers), chance.randrange(nodes)
    between = Pass(seconds=chance.choice((0.0, 0.6, 2.0)))
    match chance.choice(("cut", "cut", "cut", "heal", "baker", "baker", "accuser", "node", "link", "again")):
        case "cut":
            return [Cut(at=chance.randrange(nodes))]
        case "heal":
            return [Cut()]
        case "baker":
            return [Halt(maker=maker), between, Resume(maker=maker, forgets=chance.random() < 0.4)]
        case "accuser":
            how = Stop(accuser=accuser) if chance.random() < 0.5 else Stop(accuser=accuser, how="terminate")
            return [how, between, Start(accuser=accuser)]
        case "node":
            return [Down(node=node), between, Up(node=node), Start(accuser=accuser)]
        case "link":
            return [_link(chance, nodes)]
    return [Again(accuser=accuser, back=chance.choice((0, 1, 2)))]
