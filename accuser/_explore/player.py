"""A network while its schedule is played: it does the steps, and has the accusers judged after each."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import Any, Final

import attrs
import trio

from .._mavryk.codec.operations import Operation
from .._mavryk.protocol import Protocol
from ..sandbox.chain.block import Block, Operations
from ..sandbox.chain.block import Network as ChainNetwork
from ..sandbox.surroundings.network import Network
from . import making
from .bakers import Living, Signed
from .crowd import Crowd
from .doors import Door
from .drivers import AsProcess, Driver, InMemory
from .outcome import Executable, Outcome, Pace
from .schedule import (
    Again,
    Bake,
    Cut,
    Down,
    Fault,
    Halt,
    Link,
    Pass,
    Resume,
    Schedule,
    Start,
    Step,
    Stop,
    Up,
    Vote,
)
from .signatures import BY_HAND, Signatures
from .stations import Links, Payload, Quality, Station, missing
from .transcript import Transcript
from .watching import Watching

_LATER: Final = 1_000_000
"""Seconds between the first block and the time of an exploration."""

_PORT: Final = 10_000
_PATIENCE: Final = 12.0
"""Seconds in which an accuser looks again for a node that was lost."""


@attrs.define(eq=False, repr=False)
class Player:
    schedule: Schedule
    executable: Executable | None
    pace: Pace
    nursery: trio.Nursery
    stations: list[Station] = attrs.field(init=False)
    watching: list[Watching] = attrs.field(factory=list, init=False)
    links: Links = attrs.field(init=False)
    made: dict[str, Block] = attrs.field(factory=dict, init=False)
    """Every block, by its hash."""
    contents: dict[str, Operations] = attrs.field(factory=dict, init=False)
    violations: list[str] = attrs.field(factory=list, init=False)
    step: int | None = attrs.field(default=None, init=False)
    signed: Signatures = attrs.field(factory=Signatures, init=False)
    transcript: Transcript = attrs.field(init=False)
    network: Network = attrs.field(factory=Network, init=False)
    crowd: Crowd = attrs.field(init=False)
    _now: float = attrs.field(default=0.0, init=False)
    """Seconds, of the links."""
    _begun: float = attrs.field(init=False)
    _before: Counter[str] = attrs.field(factory=Counter, init=False)
    """Decisions until the last step."""
    _blocks: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        schedule = self.schedule
        self._begun = trio.current_time()
        self.links = Links(random.Random(f"links {schedule.seed}"), schedule.nodes)
        upgrades = {level: Protocol.parse(name).hash for level, name in schedule.upgrades.items()}
        overrides = {self._replaced.hash: self._protocol.hash} if schedule.replaced else {}
        chain = ChainNetwork(upgrades=upgrades, overrides=overrides)
        self.stations = [Station(index, chain, self.clock, self.nursery) for index in range(schedule.nodes)]
        self.crowd = Crowd.of(schedule.makers, self.stations, self._hand_in)
        self.transcript = Transcript(making.ACTIVATED + _LATER, lambda: trio.current_time() - self._begun)

    def clock(self) -> float:
        """Seconds since the epoch."""
        return making.ACTIVATED + _LATER + trio.current_time() - self._begun

    @property
    def _protocol(self) -> Protocol:
        return Protocol.parse(self.schedule.protocol)

    @property
    def _replaced(self) -> Protocol:
        return Protocol.ALPHA if self._protocol is not Protocol.ALPHA else Protocol.BOREAS

    # The whole

    async def do_steps(self) -> bool:
        """Do one step after the other; False if one violated something, which ends it."""
        first = self.stations[0]
        named = self._replaced if self.schedule.replaced else self._protocol
        header = making.activation(first.chain, named, self.schedule.quorum)
        for station in self.stations:
            await station.take((header, ()))
        self.made[header.hash] = first.head
        for index, watcher in enumerate(self.schedule.watchers):
            await self._open(index, watcher)
        self.crowd.begin(self._now)
        for number, step in enumerate(self.schedule.steps):
            self.transcript.step(number, step)
            self._before = self._decisions()
            await self._do(step)
            await self._pass(step.seconds if isinstance(step, Pass) else 0.0)
            if self.look(number):
                return False
        return True

    def _decisions(self) -> Counter[str]:
        return sum((each.decisions for each in self.watching), Counter())

    def look(self, number: int) -> bool:
        """Take what is complained of since the last look, as of a step; whether there is any by now."""
        for each in self.watching:
            each.look()
            self.violations += each.complaints
            each.complaints.clear()
        if self.violations and self.step is None:
            self.step = number
        return bool(self.violations)

    async def _open(self, index: int, watcher: Any) -> None:
        station = self.stations[watcher.node % len(self.stations)]
        name, door = f"accuser{index + 1}", Door(lambda: station.handler)

        def hear(said: Any, item: bytes) -> None:
            each.hear(said, item)
            self.transcript.event(each.name, item)

        port = await self._listen(door, _PORT + index)
        driver: Driver
        if self.executable is None:
            driver = InMemory(name, watcher, port, self.network, self.nursery, self.clock, hear)
        else:
            toolchain, path = self.executable.toolchain, self.executable.path
            driver = AsProcess(
                name,
                watcher,
                port,
                self.nursery,
                toolchain,
                path,
                hear,
                lambda: door.served,
                self.pace.patience,
            )
        each = Watching(name, watcher, station, door, driver)
        # Whoever is here is stopped at the end, also after a Ctrl-C in the midst of this.
        self.watching.append(each)
        await self._begin(each)

    async def _listen(self, door: Door, port: int) -> int:
        if self.executable is None:
            listeners: Any = [self.network.listen("127.0.0.1", port, None, lambda connection: None)]
        else:
            listeners = await trio.open_tcp_listeners(door.port, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
        door.port = port
        await self.nursery.start(partial(door.serve, listeners))
        return port

    async def _begin(self, each: Watching) -> None:
        self.transcript.started(each.name, each.protocol.long_name, each.watcher)
        await each.start()

    # Steps

    async def _do(self, step: Step) -> None:
        match step:
            case Bake():
                await self._bake(step)
            case Vote():
                station = self._up(step.node)
                vote = station and making.vote(station.chain, station.head, step)
                if station and vote:
                    self.signed.voted(station.head, vote, BY_HAND)
                    await self.deliver(station, vote)
            case Pass():
                pass
            case Link():
                count = len(self.stations)
                one, other = step.one % count, step.other % count
                self.links.set(one, other, Quality(step.delay, step.jitter, step.loss))
            case Cut():
                self.links.cut(step.at % len(self.stations))
                if step.at % len(self.stations) == 0:
                    self.tell_heads()
            case Stop():
                each = self._watching(step.accuser)
                if each.driver.is_alive:
                    await each.stop(step.how)
                    self.transcript.ended(each.name, each.driver.status)
            case Start():
                each = self._watching(step.accuser)
                if not each.driver.is_alive and each.station.is_up:
                    await self._begin(each)
            case Down():
                await self._down(self.stations[step.node % len(self.stations)])
            case Up():
                await self.raise_up(self.stations[step.node % len(self.stations)])
            case Halt() | Resume():
                self.crowd.do(step, self._now)
            case Again():
                await self._watching(step.accuser).tell_again(step.back)
            case Fault():
                each = self._watching(step.accuser)
                if each.judge is not None:
                    each.door.faults[step.what] = each.door.faults.get(step.what, 0) + 1

    def _up(self, node: int) -> Station | None:
        station = self.stations[node % len(self.stations)]
        return station if station.is_up else None

    def _watching(self, index: int) -> Watching:
        return self.watching[index % len(self.watching)]

    async def _bake(self, step: Bake) -> None:
        for number in range(step.times):
            if number:
                await self._arrive()
            await self.bake(step)
            if any(each.complaints for each in self.watching):
                return

    async def bake(self, step: Bake) -> Block | None:
        """Bake one block, and hand it to a node; None if there can be none."""
        station = self._up(step.node)
        if station is None:
            return None
        chain = station.chain
        below = chain.ancestor(station.head, min(step.back, station.head.level - 1))
        content = making.attestations(chain, below, step.voters)
        if step.evidence:
            content += station.evidence()
        made = making.block(chain, below, step.round, step.flavour, content)
        if made is None:
            return None
        header, operations = made
        if header.hash not in self.contents:
            self.contents[header.hash] = operations
            self.signed.baked(below, step.round, header.hash, BY_HAND)
            for each in content:
                self.signed.voted(station.head, each, BY_HAND)
        await self.deliver(station, made)
        return chain.blocks.get(header.hash)

    async def _hand_in(self, baker: Living, signed: Signed) -> None:
        """A baker hands what it has signed to its node."""
        payload, source = signed.payload, baker.directory.name
        if isinstance(payload, Operation):
            self.signed.voted(baker.station.head, payload, source)
        elif signed.below is not None:
            self.contents.setdefault(payload[0].hash, payload[1])
            self.signed.baked(signed.below, signed.round, payload[0].hash, source)
        await self.deliver(baker.station, payload)

    async def _down(self, station: Station) -> None:
        if not station.is_up:
            return
        station.is_up = False
        mine = [each for each in self.watching if each.station is station]
        alive = [each for each in mine if each.driver.is_alive]
        for each in mine:
            await each.door.shut()
        self.crowd.lose(station)
        for each in alive:
            await each.lose_node()
            if not each.driver.is_alive:
                self.transcript.ended(each.name, each.driver.status)

    async def raise_up(self, station: Station) -> None:
        """Let a node run again, if it is down."""
        if station.is_up:
            return
        station.start()
        for each in self.watching:
            if each.station is station:
                await self._listen(each.door, each.door.port)
        if self.executable is None:
            await trio.sleep(_PATIENCE)
        for each in self.watching:
            if each.station is station:
                await each.judged([])
        self.crowd.begin(self._now, station)
        self.tell_heads()

    # Messages

    def tell_heads(self) -> None:
        """Every node tells the others of its head, as when a connection is made."""
        for station in self.stations:
            if station.is_up and station.head.hash in self.contents:
                header = station.head.header
                self.links.send(self._now, station.index, (header, self.contents[header.hash]))

    def tell_evidence(self) -> None:
        """Every node tells the others what its mempool has against whom, as when a connection is made."""
        for station in self.stations:
            for evidence in station.evidence():
                self.links.send(self._now, station.index, evidence)

    async def _pass(self, seconds: float) -> None:
        """Let time pass: what is on its way arrives, and bakers bake."""
        until = self._now + seconds
        while self.crowd.bakers and (at := min(self.links.next_at(), self.crowd.next_at())) <= until:
            self._now = max(self._now, at)
            await self._arrive()
            await self.crowd.act(self._now)
        self._now = until
        await self._arrive()

    async def _arrive(self) -> None:
        """Let everything arrive whose time has come."""
        while self.links.next_at() <= self._now:
            to, payload = self.links.take()
            station = self.stations[to]
            if not station.is_up:
                continue
            if not isinstance(payload, Operation):
                for block in missing(station, payload[0], self.made):
                    await self.deliver(station, (block.header, self.contents[block.hash]), pass_on=False)
            await self.deliver(station, payload)

    async def drain(self) -> None:
        """Let everything arrive that is under way."""
        while (at := self.links.next_at()) != float("inf"):
            self._now = max(self._now, at)
            await self._arrive()

    async def deliver(self, station: Station, payload: Payload, *, pass_on: bool = True) -> None:
        """Hand something to a node, have its accusers judged, and let the node tell the others."""
        mine = [each for each in self.watching if each.station is station]
        before, head = [each.before() for each in mine], station.head
        taken = await station.take(payload)
        what: Block | Operation | None
        if isinstance(payload, Operation):
            what = payload
        else:
            what = station.chain.blocks.get(payload[0].hash)
            if taken and what is not None:
                self.made.setdefault(what.hash, what)
                self._blocks += 1
        for each, was in zip(mine, before, strict=True):
            if each.runs:
                await each.judged(each.arrivals(was, what, taken=taken))
        if taken and what is not None:
            self.crowd.heard(station, what, is_head=station.head is not head, now=self._now)
        if taken and pass_on:
            self.links.send(self._now, station.index, payload)
        for evidence in station.evidence():
            if evidence.hash not in station.told:
                station.told.add(evidence.hash)
                self.links.send(self._now, station.index, evidence)

    def outcome(self) -> Outcome:
        """What came of it."""
        decisions = self._decisions()
        return Outcome(
            self.schedule,
            tuple(self.violations),
            dict(sorted(decisions.items())),
            self._blocks,
            self.step,
            frozenset(decisions - self._before),
            self.transcript.content(),
            {each.name: tuple((one.name, one.value) for one in each.said) for each in self.watching},
        )
