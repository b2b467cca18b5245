"""Simpler variants of a schedule, each with one change, for the shrinker. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .schedule import Bake, Maker, Pass, Schedule, Step, Watcher

_replace = msgspec.structs.replace


def without(schedule: Schedule, first: int, count: int) -> Schedule:
    """The schedule without some of its steps."""
    return _replace(schedule, steps=schedule.steps[:first] + schedule.steps[first + count :])


def plainer_networks(schedule: Schedule) -> Iterator[Schedule]:
    """Fewer nodes, accusers and bakers, and plainer ones; what takes most away comes first."""
    watchers, makers = schedule.watchers, schedule.makers
    if len(watchers) > 1:
        for index in range(len(watchers)):
            yield _replace(schedule, watchers=(watchers[index],))
            yield _replace(schedule, watchers=watchers[:index] + watchers[index + 1 :])
    if makers:
        yield _replace(schedule, makers=())
        for index in range(len(makers)):
            yield _replace(schedule, makers=makers[:index] + makers[index + 1 :])
    if schedule.nodes > 1:
        yield _replace(schedule, nodes=1)
        yield _replace(schedule, nodes=schedule.nodes - 1)
    for name, plain in (("upgrades", {}), ("replaced", False), ("quorum", 0), ("seed", 0)):
        if getattr(schedule, name) != plain:
            yield _replace(schedule, **{name: plain})
    for index, watcher in enumerate(watchers):
        for one in _plainer_watchers(watcher):
            yield _replace(schedule, watchers=(*watchers[:index], one, *watchers[index + 1 :]))
    for index, maker in enumerate(makers):
        for other in _plainer_makers(maker):
            yield _replace(schedule, makers=(*makers[:index], other, *makers[index + 1 :]))


def _plainer_watchers(watcher: Watcher) -> Iterator[Watcher]:
    if watcher.node:
        yield _replace(watcher, node=0)
    if watcher.keep_alive:
        yield _replace(watcher, keep_alive=False)
    if watcher.preserved_levels is not None:
        yield _replace(watcher, preserved_levels=None)


def _plainer_makers(maker: Maker) -> Iterator[Maker]:
    if maker.node:
        yield _replace(maker, node=0)
    if len(maker.delegates) > 1:
        for index in range(len(maker.delegates)):
            yield _replace(maker, delegates=maker.delegates[:index] + maker.delegates[index + 1 :])


def joined(schedule: Schedule) -> Iterator[Schedule]:
    """Steps that follow each other as one: equal blocks, and times that pass."""
    steps: list[Step] = []
    for step in schedule.steps:
        last = steps[-1] if steps else None
        if isinstance(step, Pass) and isinstance(last, Pass):
            steps[-1] = Pass(seconds=last.seconds + step.seconds)
        elif isinstance(step, Bake) and isinstance(last, Bake) and _alike(step, last):
            steps[-1] = _replace(last, times=last.times + step.times)
        else:
            steps.append(step)
    if len(steps) < len(schedule.steps):
        yield _replace(schedule, steps=tuple(steps))


def _alike(one: Bake, other: Bake) -> bool:
    return _replace(one, times=1) == _replace(other, times=1)


def plainer_steps(schedule: Schedule) -> Iterator[Schedule]:
    """Less time and fewer blocks; then each value of each step as it is by default."""
    for index, step in enumerate(schedule.steps):
        for plain in (*_less(step), *_plainer(step)):
            yield _replace(schedule, steps=(*schedule.steps[:index], plain, *schedule.steps[index + 1 :]))


def _less(step: Step) -> Iterator[Step]:
    if isinstance(step, Bake) and step.times > 1:
        yield from (_replace(step, times=times) for times in {step.times // 2, step.times - 1})
    if isinstance(step, Pass) and step.seconds > 1.0:
        yield _replace(step, seconds=max(1.0, step.seconds // 2))


def _plainer(step: Step) -> Iterator[Step]:
    for field in msgspec.structs.fields(step):
        is_less = isinstance(step, Pass) and step.seconds < 1.0
        if getattr(step, field.name) != field.default and field.name != "times" and not is_less:
            yield _replace(step, **{field.name: field.default})
