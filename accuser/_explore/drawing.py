"""Draws schedules from seeds. The same seed gives the same schedule, wherever."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from .living import SHARE, draw_living, draw_watcher
from .schedule import (
    Again,
    Answer,
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
    VotedKind,
    Watcher,
)

DEFAULT_PRESERVED: Final = 200
"""Levels that an accuser keeps where nothing else is said."""

_DEEP: Final = 0.06
"""How many schedules reach beyond that."""

_LATE: Final = 0.12
_AGAIN: Final = 0.95
_PRESERVED: Final = (None, 0, 1, 2, 3, 5, 19, 20, 29, 30)
_FAULTS: Final[Sequence[Answer]] = (
    *("block", "header", "hash", "forge", "inject"),
    *("validators", "pruned", "bare", "nobody"),
)
_KINDS: Final[Sequence[VotedKind]] = ("attestation", "preattestation")
_THEMES: Final = ("votes", "forks", "links", "restarts", "faults", "migration", "mixed", "long", "cycles")


def draw(seed: int, protocol: str | None = None) -> Schedule:
    """The schedule of a seed, of one or more themes, so that rare things come together.

    Args:
        seed: decides everything.
        protocol: the only one whose accusers there are; by default any.
    """
    schedule = _draw(seed)
    return schedule if protocol is None else _only(schedule, protocol)


def _only(schedule: Schedule, protocol: str) -> Schedule:
    """The same with accusers of one protocol, on a chain that has it from the start, or migrates to it."""
    first, *others = schedule.watchers
    migrates = bool(schedule.upgrades) and protocol != "atlas"
    kept = others[:1] if migrates else [first]
    return msgspec.structs.replace(
        schedule,
        protocol="atlas" if migrates else protocol,
        upgrades=dict.fromkeys(schedule.upgrades, protocol) if migrates else {},
        watchers=tuple(msgspec.structs.replace(each, protocol=protocol) for each in kept),
    )


def _draw(seed: int) -> Schedule:
    if random.Random(f"accuser explore, which {seed}").random() < SHARE:
        return draw_living(seed)
    chance = random.Random(f"accuser explore {seed}")
    themes = set(chance.sample(_THEMES, chance.choice((1, 1, 2, 3))))
    nodes = chance.choice((2, 3, 3, 4, 5)) if themes & {"links", "mixed"} else chance.choice((1, 1, 1, 2, 3))
    protocol, replaced, upgrades = chance.choice(("atlas", "boreas", "boreas", "alpha")), False, {}
    watchers = [draw_watcher(chance, nodes, protocol, _PRESERVED)]
    if "migration" in themes:
        protocol, after = "atlas", chance.choice(("boreas", "alpha"))
        upgrades = {chance.randint(2, 6): after}
        watchers = [draw_watcher(chance, nodes, name, _PRESERVED) for name in (protocol, after)]
    elif chance.random() < 0.1:
        replaced = True
    if chance.random() < 0.15:
        watchers.append(draw_watcher(chance, nodes, protocol, _PRESERVED))
    kept = [DEFAULT_PRESERVED if one.preserved_levels is None else one.preserved_levels for one in watchers]
    if chance.random() < _DEEP:
        return _deep(chance, seed, protocol, watchers[0])
    steps: list[Step] = []
    if "links" in themes:
        steps += _links(chance, nodes)
    wanted = chance.randint(6, 24) + (24 if "long" in themes else 0) + (12 if "cycles" in themes else 0)
    for _ in range(wanted):
        steps += _some(chance, themes, nodes, len(watchers))
        if chance.random() < _LATE:
            steps.append(_late(chance, nodes, chance.choice(kept)))
    return Schedule(
        seed=seed,
        nodes=nodes,
        protocol=protocol,
        replaced=replaced,
        upgrades=upgrades,
        watchers=tuple(watchers),
        steps=tuple(steps),
    )


def _deep(chance: random.Random, seed: int, protocol: str, watcher: Watcher) -> Schedule:
    """A chain that is longer than what an accuser remembers, and blocks of what it is about to forget."""
    kept = chance.choice((None, 19, 20, 20, 29, 30))
    preserved = DEFAULT_PRESERVED if kept is None else kept
    watcher = Watcher(protocol=protocol, keep_alive=watcher.keep_alive, preserved_levels=kept)
    steps: list[Step] = [Bake() for _ in range(preserved + chance.randint(3, 30))]
    for _ in range(chance.randint(4, 20)):
        steps.append(_late(chance, 1, preserved))
        if chance.random() < 0.3:
            steps.append(Bake())
    return Schedule(seed=seed, protocol=protocol, watchers=(watcher,), steps=tuple(steps))


def _late(chance: random.Random, nodes: int, preserved: int) -> Bake:
    """A block, with votes, of about the level that an accuser is just about to forget."""
    back = preserved + chance.choice((-1, 0, 0, 1, 1, 2, 2, 3))
    return Bake(
        node=chance.randrange(nodes),
        back=max(0, back),
        round=chance.choice((0, 0, 1)),
        flavour=chance.choice((0, 1, 1, 2)),
        voters=chance.choice((0, 1, 5)),
    )


def _links(chance: random.Random, nodes: int) -> list[Step]:
    return [
        Link(
            one=chance.randrange(nodes),
            other=chance.randrange(nodes),
            delay=chance.choice((0.0, 0.5, 2.0)),
            jitter=chance.choice((0.0, 1.0, 4.0)),
            loss=chance.choice((0.0, 0.0, 0.3)),
        )
        for _ in range(nodes)
    ]


def _some(chance: random.Random, themes: set[str], nodes: int, watchers: int) -> list[Step]:
    """One step, or a few that belong together."""
    node = chance.randrange(nodes)
    dice = chance.random()
    if "faults" in themes and dice < 0.25:
        return [Fault(accuser=chance.randrange(watchers), what=chance.choice(_FAULTS))]
    if "restarts" in themes and dice < 0.25:
        return _restart(chance, node, watchers)
    if themes & {"links", "mixed"} and dice < 0.3:
        return [_network(chance, nodes)]
    if themes & {"forks", "mixed", "cycles"} and dice > _AGAIN:
        return [Again(accuser=chance.randrange(watchers), back=chance.choice((0, 1, 2)))]
    if themes & {"votes", "mixed", "faults", "restarts"} and dice < 0.6:
        return votes(chance, node)
    if themes & {"forks", "mixed", "faults", "migration", "cycles"} and dice < 0.7:
        return twins(chance, node)
    if dice < 0.75:
        return votes(chance, node)
    voters = chance.choice((0, 0, 1, 3, 5))
    bake = Bake(
        node=node, round=chance.choice((0, 0, 0, 1, 2)), voters=voters, evidence=chance.random() < 0.8
    )
    return [bake] * (chance.randint(2, 8) if themes & {"long", "cycles"} and dice < 0.85 else 1)


def _restart(chance: random.Random, node: int, watchers: int) -> list[Step]:
    accuser = chance.randrange(watchers)
    if chance.random() < 0.6:
        between: list[Step] = [Bake(node=node)] if chance.random() < 0.4 else []
        how = chance.choice(("kill", "terminate"))
        return [
            Stop(accuser=accuser, how="kill" if how == "kill" else "terminate"),
            *between,
            Start(accuser=accuser),
        ]
    return [Down(node=node), Pass(seconds=chance.choice((0.5, 3.0))), Up(node=node), Start(accuser=accuser)]


def _network(chance: random.Random, nodes: int) -> Step:
    if chance.random() < 0.5:
        return Cut(at=chance.choice((0, chance.randrange(nodes))))
    return Pass(seconds=chance.choice((0.3, 1.0, 5.0)))


def twins(chance: random.Random, node: int) -> list[Step]:
    """Blocks of one level, which often are of one round and so of one baker; and a branch on one of them."""
    back, near = chance.choice((1, 1, 1, 2, 3, 6)), chance.choice((0, 0, 1))
    made: list[Step] = []
    for flavour in range(1, chance.choice((1, 1, 2, 2, 3)) + 1):
        voters = chance.choice((0, 0, 2, 5))
        kept = chance.random() < 0.8
        flavour = chance.choice((flavour, flavour, 0))
        at_round = near if chance.random() < 0.8 else near + 1
        made.append(Bake(node=node, back=back, round=at_round, flavour=flavour, voters=voters, evidence=kept))
    return [*made, *([Bake(node=node)] if chance.random() < 0.7 else [])]


def votes(chance: random.Random, node: int) -> list[Step]:
    """Votes of one delegate, of which the later ones often differ from the first in one thing."""
    first = Vote(
        node=node,
        kind=chance.choice(_KINDS),
        delegate=chance.randrange(5),
        level=chance.choice((-1, 0, 0, 0, 0, 1, 2, 3, 4, 5)),
        round=chance.choice((0, 0, 0, 1)),
    )
    given: list[Step] = [first]
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        given += [Bake(node=node)] if chance.random() < 0.15 else []
        given.append(_otherwise(chance, first))
    return given


def _otherwise(chance: random.Random, first: Vote) -> Vote:
    slot, payload, branch, kind, at_round, dal = 0, 0, 0, first.kind, first.round, None
    what = chance.choice(("slot", "payload", "branch", "payload", "kind", "round", "dal", "nothing", "all"))
    if what in ("slot", "all"):
        slot = chance.randint(1, 3)
    if what in ("payload", "all"):
        payload = chance.randint(1, 2)
    if what in ("branch", "all"):
        branch = chance.randint(1, 3)
    if what == "kind":
        kind = "attestation" if first.kind == "preattestation" else "preattestation"
    if what == "round":
        at_round = first.round + 1
    if what == "dal" and kind == "attestation":
        dal = chance.randrange(3)
    return Vote(
        node=first.node,
        kind=kind,
        delegate=first.delegate,
        level=first.level,
        round=at_round,
        slot=slot,
        payload=payload,
        branch=branch,
        dal=dal,
    )
